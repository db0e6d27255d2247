from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.architecture import Architecture
from model.network import build_network, predict_logits
from tests.training.fitting.loop.recipes import ONE_STEM, RECIPE
from training.data.labelled_images import LabelledImages
from training.fitting import loop
from training.fitting.kernel_rounding import round_kernels
from training.fitting.loop import train


def test_training_learns(uninterrupted: loop.TrainingResult) -> None:
    assert [row.crop_size for row in uninterrupted.history] == [8, 16, 16, 16, 16]
    assert uninterrupted.history[-1].train_accuracy > uninterrupted.history[0].train_accuracy
    assert uninterrupted.best.validation_accuracy > 0.9
    assert uninterrupted.best.validation_loss == min(row.validation_loss for row in uninterrupted.history[2:])


def test_the_best_epoch_is_of_the_last_cycle(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    """Even if an earlier cycle has a lower validation loss."""
    worse = replace(ONE_STEM, lr_cycles=((16, 16), (8,)), peak_lr_scales=(1.0, 20.0), ema_decay=0.0)
    trained = train(worse, *data, tmp_path / "state", device="cpu")
    assert trained.best == trained.history[-1]
    assert trained.best.validation_loss > min(row.validation_loss for row in trained.history)


def test_the_kernels_of_the_last_epochs_are_rounded(
    uninterrupted: loop.TrainingResult, data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    """Where one of these epochs is the best one."""
    assert uninterrupted.best.epoch > RECIPE.epochs - 2
    assert are_rounded(uninterrupted.weights)
    plain = train(replace(RECIPE, qat_epochs=0), *data, tmp_path / "state", device="cpu")
    assert not are_rounded(plain.weights)
    assert plain.history[2].train_loss == uninterrupted.history[2].train_loss
    assert plain.history[3].train_loss != uninterrupted.history[3].train_loss


def test_the_weights_are_those_of_the_last_cycles_stem(
    uninterrupted: loop.TrainingResult, data: tuple[LabelledImages, LabelledImages]
) -> None:
    _, validation = data
    images = torch.from_numpy(validation.images).permute(0, 3, 1, 2)
    losses = []
    for stem in ("small-late-pool", "small-pool"):
        network = build_network(Architecture(stem))
        network.load_state_dict(uninterrupted.weights)
        z = predict_logits(network, images, RECIPE.preprocess, 16)
        losses.append(F.binary_cross_entropy_with_logits(z, torch.from_numpy(validation.labels).float()))
    assert float(losses[0]) == pytest.approx(uninterrupted.best.validation_loss)
    assert float(losses[1]) != pytest.approx(uninterrupted.best.validation_loss)


def are_rounded(weights: dict[str, Tensor]) -> bool:
    kernels = [tensor for tensor in weights.values() if tensor.ndim == 4]
    return all(torch.allclose(round_kernels(kernel), kernel) for kernel in kernels)


def test_training_starts_from_the_initial_weights(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    first = build_network(RECIPE.architecture).state_dict()
    still = replace(ONE_STEM, lr_cycles=((8,),), learning_rate=0.0, qat_epochs=0)
    trained = train(still, *data, tmp_path / "state", first, device="cpu")
    assert torch.equal(trained.weights["conv1.weight"], first["conv1.weight"])


@pytest.mark.parametrize(("lr_cycles", "epochs"), [(((8,) * 5,), 3), (((8,),) * 5, 5)])
def test_early_stopping_counts_epochs_of_one_cycle(
    lr_cycles: tuple[tuple[int, ...], ...],
    epochs: int,
    data: tuple[LabelledImages, LabelledImages],
    tmp_path: Path,
) -> None:
    """On validation labels that contradict the training labels, so that the loss rises with each epoch."""
    training, validation = data
    contradicting = replace(validation, labels=1 - validation.labels)
    recipe = replace(ONE_STEM, lr_cycles=lr_cycles, learning_rate=0.05, patience=2, ema_decay=0.0)
    assert len(train(recipe, training, contradicting, tmp_path / "state", device="cpu").history) == epochs
