"""The training loop."""

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.architecture import Stem
from model.engines.hardware import autocast, pick_device
from model.files import atomic_write
from model.metadata import CheckpointError
from model.network import build_network, features, head, head_module, place_pool, predict_logits
from model.predictor import PASS_PIXELS
from model.tensors import load_tensors
from training.data.errors import TrainingError
from training.data.labelled_images import LabelledImages
from training.data.object_classes import OBJECT_CLASSES
from training.data.reports import torch_writes
from training.fitting.distillation import Distillation
from training.fitting.finite import check_finite, total_norm
from training.fitting.history import Epoch, best_epoch, current_cycle, describe, should_stop_early
from training.fitting.initial_weights import digest_of
from training.fitting.kernel_rounding import rounded_kernels
from training.fitting.moving_average import MovingAverage
from training.fitting.precision import PrecisionChoice, choose_precision, step_times
from training.fitting.pruning import Pruning
from training.fitting.recipe import Recipe, value_of_cycle
from training.fitting.training_data import TrainingData, normalization
from training.progress import track

STATE_VERSION = 5  # of the saved training state


@dataclass(frozen=True)
class TrainingResult:
    """weights: the moving average after `best`, the last cycle's epoch with the lowest validation loss; its
    kernels are rounded if those of that epoch were.

    Earlier cycles may have a lower loss on the validation images, which are not augmented, but are less
    robust to blur and compression.
    """

    weights: dict[str, Tensor]
    best: Epoch
    history: list[Epoch]
    precision: PrecisionChoice


class ResumeError(TrainingError):
    """There is no saved training state, or it belongs to a run with other settings or data."""


def train(
    recipe: Recipe,
    training: LabelledImages,
    validation: LabelledImages,
    state_path: Path,
    initial_weights: dict[str, Tensor] | None = None,
    resume: bool = False,
    device: str = "auto",
    precision: str = "auto",
    teacher: nn.Module | None = None,
) -> TrainingResult:
    """Train the recipe's network, saving the training state to `state_path` after each epoch.

    Pictures, losses and weights are on the device, augmentation computes there, and steps do not wait for it.

    initial_weights: initial weights by name; the others are random. precision: `auto`, `f32` or `bf16`.
    teacher: a network whose predictions for each batch, as it is augmented, are in the targets with the
    recipe's `distill_weight`, in place of those of earlier cycles. It maps normalized images to logits.
    resume: continue from the saved state, in its precision, with the result of an uninterrupted run: all
    randomness of an epoch is seeded with the recipe's seed and the epoch's number.

    Raises ValueError where `distill_weight` needs a teacher from the first cycle on and none is given,
    ResumeError for a missing state or one of another recipe, data, device, teacher or initial weights, and
    NotFiniteError, the saved state being that of the last complete epoch.
    """
    if recipe.distill_weight[0] and teacher is None:
        raise ValueError("distill_weight must be 0 for the first cycle where no teacher is given")

    # Data on the device
    torch_device = pick_device(device)
    data = TrainingData.of(training, recipe, torch_device)
    normalize = normalization(recipe.preprocess, torch_device)
    validation_images = torch.from_numpy(validation.images).to(torch_device).permute(0, 3, 1, 2)
    validation_labels = torch.from_numpy(validation.labels).float()

    def create_network(stem: Stem) -> nn.Module:
        return build_network(replace(recipe.architecture, stem=stem))

    # Network, optimizer and moving average of the weights
    torch.manual_seed(recipe.seed)
    network = create_network(recipe.stems[0])
    network.load_state_dict(initial_weights or {}, strict=False)
    network = network.to(torch_device).to(memory_format=torch.channels_last)
    object_head = None
    if data.objects is not None:
        width = next(head_module(network).parameters()).shape[1]
        object_head = nn.Linear(width, len(OBJECT_CLASSES)).to(torch_device)
    trained = nn.ModuleList([network, object_head] if object_head else [network])
    optimizer = recipe.create_optimizer(trained)
    ema = MovingAverage(network, recipe.ema_decay)
    pruning = Pruning(len(training), recipe.prune_ratio, torch_device)
    distillation = Distillation(len(training), create_network, torch_device, teacher)

    def evaluate(network: nn.Module, images: Tensor) -> Tensor:
        """Logits of whole images, in batches of the training's size or of up to about 0.5 GB of memory."""
        batch_size = max(recipe.batch_size, PASS_PIXELS // recipe.preprocess.size**2)
        return predict_logits(network.to(torch_device), images, recipe.preprocess, batch_size)

    # Resume, or choose the precision
    stateful: dict[str, Any] = {
        "networks": trained,
        "ema": ema,
        "optimizer": optimizer,
        "pruning": pruning,
        "distillation": distillation,
    }
    settings = {
        "recipe": repr(recipe),
        "training data": training.digest(),
        "validation data": validation.digest(),
        "object classes": "none" if data.objects is None else digest_of({"classes": data.objects.cpu()}),
        "image order": training.digest(ordered=True) + validation.digest(ordered=True),
        "initial weights": digest_of(network.state_dict()),
        "teacher": digest_of(teacher.state_dict()) if teacher else "none",
        "device": torch_device.type,
    }
    history: list[Epoch] = []
    best_weights: dict[str, Tensor] = {}
    if resume:
        state = load_state(state_path, settings)
        chosen = PrecisionChoice(**state["precision"])
        if precision not in ("auto", chosen.precision):
            raise ResumeError(f"{state_path} was made in {chosen.precision}, not in {precision}")
        history = [Epoch(**row) for row in state["history"]]
        best_weights = state["best_weights"]
        for name, part in stateful.items():
            part.load_state_dict(state[name])
    else:
        chosen = choose_precision(
            precision, torch_device, lambda: step_times(network, recipe, torch_device, len(training))
        )
    print(chosen, flush=True)

    for epoch in range(len(history) + 1, recipe.epochs + 1):
        if should_stop_early(history, recipe):
            break
        start = time.monotonic()
        crop_size = recipe.crop_sizes[epoch - 1]
        generator = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
        torch.manual_seed(recipe.seed * 1000 + epoch)  # for dropout

        # The cycle's stem, soft targets by earlier cycles' networks, and the images of this epoch
        cycle, epoch_in_cycle = recipe.locate(epoch)
        last_of_cycle = epoch_in_cycle == len(recipe.lr_cycles[cycle]) - 1
        distill_weight = value_of_cycle(recipe.distill_weight, cycle)
        object_weight = value_of_cycle(recipe.object_weight, cycle)
        stem = recipe.stems[cycle]
        if recipe.early_stems:
            for moved in (network, ema.network):
                place_pool(moved, stem)
        if epoch_in_cycle == 0 and distill_weight:
            distillation.update_soft_targets(lambda snapshot: evaluate(snapshot, data.images))
        order, pruning_weights = pruning.select(generator, keep_all=cycle == 0 or last_of_cycle)

        # Train
        rounded = rounded_kernels if recipe.rounds_kernels(epoch) else nullcontext
        network.train()
        steps = len(order) // recipe.batch_size or 1
        sums = torch.zeros(4, device=torch_device)  # of weights, losses, correct ones, gradient norms
        tracked = track(range(steps), f"epoch {epoch} of {recipe.epochs}", units="batches")
        for step in tracked:
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr_at(epoch, (step + 0.5) / steps)

            batch = slice(step * recipe.batch_size, (step + 1) * recipe.batch_size)
            index = order[batch]
            x = recipe.augmentation(data.images[index], crop_size, generator)
            with rounded(network):
                with autocast(torch_device, chosen.precision):
                    normalized = normalize(x)
                    image_features = features(network, normalized)
                    z = head(network, image_features).float()
                    target = distillation.blend(index, normalized, data.targets[index], distill_weight)
                losses = F.binary_cross_entropy_with_logits(z, target, reduction="none")
                weight = pruning_weights[batch] * data.weights[index]
                total_losses = losses
                if object_head and data.objects is not None and object_weight:
                    object_losses = F.cross_entropy(
                        object_head(image_features.float()),
                        data.objects[index],
                        reduction="none",
                        label_smoothing=recipe.label_smoothing,
                    )
                    total_losses = losses + object_weight * object_losses
                optimizer.zero_grad()
                (weight * total_losses).mean().backward()
            norm = nn.utils.get_total_norm([p.grad for p in trained.parameters() if p.grad is not None])
            optimizer.step()
            ema.update()
            pruning.update(index, losses)

            correct = ((z.detach() > 0) == (data.labels[index] > 0.5)).float()
            loss = (weight * losses.detach()).sum()
            sums += torch.stack([weight.sum(), loss, (weight * correct).sum(), norm])
            if step % 20 == 0 or step == steps - 1:  # not at each step, as it waits for the device
                weight_sum, loss_sum, correct_sum, norm_sum = sums.cpu().tolist()
                check_finite(epoch, {"training loss": loss_sum, "gradient": norm_sum})
                tracked.note = f"loss {loss_sum / weight_sum:.4f}"

        # Validate the averaged weights
        with rounded(ema.network):
            z = evaluate(ema.network, validation_images)
            averaged = {name: tensor.cpu().clone() for name, tensor in ema.network.state_dict().items()}
        validation_loss = float(F.binary_cross_entropy_with_logits(z, validation_labels))
        validation_accuracy = float(((z > 0) == (validation_labels > 0.5)).float().mean())
        check_finite(epoch, {"validation loss": validation_loss, "weight": total_norm(network, ema.network)})

        # Record and save
        row = Epoch(
            epoch=epoch,
            crop_size=crop_size,
            train_loss=loss_sum / weight_sum,
            train_accuracy=correct_sum / weight_sum,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.monotonic() - start,
        )
        history.append(row)
        if last_of_cycle:
            distillation.add_snapshot(stem, averaged)
        if row is best_epoch(current_cycle(history, recipe)):
            best_weights = averaged
        state = {
            "version": STATE_VERSION,
            "settings": settings,
            "precision": asdict(chosen),
            "history": [asdict(row) for row in history],
            "best_weights": best_weights,
            **{name: part.state_dict() for name, part in stateful.items()},
        }
        with torch_writes(state_path), atomic_write(state_path) as file:
            torch.save(state, file)
        minutes = sum((size / crop_size) ** 2 for size in recipe.crop_sizes[epoch:]) * row.seconds / 60
        print(f"{describe(row)}  about {minutes:.0f} min left", flush=True)

    return TrainingResult(best_weights, best_epoch(current_cycle(history, recipe)), history, chosen)


def load_state(path: Path, settings: dict[str, str]) -> dict[str, Any]:
    """The training state saved by a run with these settings. Raises ResumeError."""
    try:
        state = load_tensors(path)
    except CheckpointError as error:
        raise ResumeError(f"nothing to resume: {error}") from error
    if state.get("version") != STATE_VERSION or "settings" not in state:
        raise ResumeError(f"{path} was made by another version: delete it to start afresh")
    for name, value in settings.items():
        if state["settings"].get(name) != value:
            raise ResumeError(f"{path} was made with another {name}: delete it to start afresh")
    return state
