"""The training loop: from pictures to the averaged weights of the best epoch."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from model.engines.hardware import autocast, pick_device
from model.files import atomically
from model.metadata import CheckpointError
from model.network import build_network, logits
from model.predictor import PASS_PIXELS
from model.tensors import load_tensors
from training.data.labelled_images import LabelledImages
from training.fitting.distillation import Distillation
from training.fitting.finite import check_finite, size_of
from training.fitting.history import Epoch, best_of, describe, last_cycle, stalled
from training.fitting.initial_weights import digest_of
from training.fitting.precision import Choice, choose, step_times
from training.fitting.pruning import Pruning
from training.fitting.recipes import Recipe


@dataclass(frozen=True)
class TrainingResult:
    """weights: the averaged weights of the last cycle's epoch with the lowest validation loss.

    Earlier cycles are on the way: they may have ended better on pictures as they are, before the network
    knew those that are blurred or compressed. precision: what it was trained in.
    """

    weights: dict[str, Tensor]
    best: Epoch
    history: list[Epoch]
    precision: Choice


class ResumeError(Exception):
    """There is no state to resume from, or it belongs to another run."""


def train(
    recipe: Recipe,
    training: LabelledImages,
    validation: LabelledImages,
    state_path: Path,
    first_weights: dict[str, Tensor] | None = None,
    resume: bool = False,
    device: str = "auto",
    precision: str = "auto",
) -> TrainingResult:
    """Train the recipe's network; the state after each epoch goes to `state_path`.

    With `resume` the run goes on from that state and ends as an unbroken run would: all randomness
    of an epoch comes from the recipe's seed and the epoch's number, the precision is the one it was begun
    in, and a state from other first weights, pictures or another order of them, or another kind of device is
    refused. precision: see training.fitting.precision. Raises ResumeError, or NotFiniteError, with the state
    as it was after the last epoch.
    """
    run = _Trainer(recipe, training, first_weights or {}, pick_device(device))
    identity = {
        "recipe": repr(recipe),
        "data": training.digest(),
        "validation": validation.digest(),
        "order of pictures": training.digest(ordered=True) + validation.digest(ordered=True),
        "first weights": digest_of(run.network.state_dict()),
        "device": run.on.type,
    }
    history: list[Epoch] = []
    best: dict[str, Tensor] = {}
    if resume:
        state = _load_state(state_path, identity)
        for name, part in run.parts().items():
            part.load_state_dict(state[name])
        history = [Epoch(**row) for row in state["history"]]
        best = state["best"]
        if "precision" not in state:
            raise ResumeError(
                f"{state_path} does not say in which precision it was made: train without --resume"
            )
        run.precision = Choice(**state["precision"])
        if precision not in ("auto", run.precision.precision):
            raise ResumeError(f"{state_path} was made in {run.precision.precision}, not in {precision}")
    else:
        run.precision = choose(
            precision, run.on, lambda: step_times(run.network, recipe, run.on, len(training))
        )
    tqdm.write(run.precision.sentence())

    for epoch in range(len(history) + 1, recipe.epochs + 1):
        if stalled(history, recipe):
            break
        start = time.monotonic()
        train_loss, train_accuracy = run.epoch(epoch)
        validation_loss, validation_accuracy = run.validate(validation)
        size = size_of(run.network, run.ema.module)
        check_finite(epoch, {"validation loss": validation_loss, "weight": size})
        row = Epoch(
            epoch=epoch,
            crop_size=recipe.crop_sizes[epoch - 1],
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.monotonic() - start,
        )
        history.append(row)
        if row is best_of(last_cycle(history, recipe)):
            best = run.averaged()
        parts = {name: part.state_dict() for name, part in run.parts().items()}
        rows = [asdict(row) for row in history]
        with atomically(state_path) as file:
            state = {"history": rows, "best": best, "precision": asdict(run.precision)}
            torch.save({**identity, **parts, **state}, file)
        left = sum((side / row.crop_size) ** 2 for side in recipe.crop_sizes[epoch:]) * row.seconds / 60
        tqdm.write(describe(row) + f"  about {left:.0f} min left")
    return TrainingResult(best, best_of(last_cycle(history, recipe)), history, run.precision)


class _Trainer:
    """The network in training and all that moves with it."""

    def __init__(
        self, recipe: Recipe, training: LabelledImages, first_weights: dict[str, Tensor], on: torch.device
    ) -> None:
        torch.manual_seed(recipe.seed)
        network = build_network(recipe.architecture)
        network.load_state_dict(first_weights, strict=False)
        self.recipe = recipe
        self.on = on
        self.precision = Choice("f32", {})
        self.network = network.to(on).to(memory_format=torch.channels_last)
        self.optimizer = _optimizer(recipe, self.network)
        self.ema = AveragedModel(
            self.network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True
        )
        self.pruning = Pruning(len(training), recipe.prune_ratio)
        self.distillation = Distillation(len(training))
        self.images = torch.from_numpy(training.images).permute(0, 3, 1, 2)
        self.labels = torch.from_numpy(training.labels).float()
        self.targets = torch.from_numpy(training.targets)
        counts = np.bincount(training.labels, minlength=2)
        shares = len(training) / (2 * counts) if recipe.balance else np.ones(2)
        self.class_weights = torch.from_numpy(shares[training.labels]).float()

    def parts(self) -> dict[str, Any]:
        """What has to be saved for the run to go on, by name."""
        return {
            "network": self.network,
            "ema": self.ema,
            "optimizer": self.optimizer,
            "pruning": self.pruning,
            "distillation": self.distillation,
        }

    def averaged(self) -> dict[str, Tensor]:
        """A copy of the averaged weights."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.ema.module.state_dict().items()}

    def epoch(self, epoch: int) -> tuple[float, float]:
        """Train one epoch, counted from 1. Returns its mean loss and accuracy over all pictures."""
        recipe, on = self.recipe, self.on
        random = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
        torch.manual_seed(recipe.seed * 1000 + epoch)  # dropout
        cycle, within = recipe.locate(epoch)
        last = within == len(recipe.lr_cycles[cycle]) - 1
        learn_from_earlier = recipe.distill_weight[min(cycle, len(recipe.distill_weight) - 1)]
        if within == 0 and learn_from_earlier:
            self.distillation.ask(self._said_by)
        order, weights = self.pruning.choose(random, everything=cycle == 0 or last)
        steps = len(order) // recipe.batch_size or 1
        sums = torch.zeros(4, device=on)  # of weights, of losses, of right answers, of gradients' norms
        parameters = list(self.network.parameters())
        self.network.train()
        bar = tqdm(range(steps), f"epoch {epoch}/{recipe.epochs}", unit="batch", mininterval=5)
        for step in bar:
            part = slice(step * recipe.batch_size, (step + 1) * recipe.batch_size)
            chosen = order[part]
            batch = recipe.augmentation(self.images[chosen], recipe.crop_sizes[epoch - 1], random).to(on)
            label = self.labels[chosen].to(on)
            smooth = self.targets[chosen] * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
            target = self.distillation.towards(chosen, smooth, learn_from_earlier).to(on)
            weight = (weights[part] * self.class_weights[chosen]).to(on)
            with autocast(on, self.precision.precision):
                z = logits(self.network, recipe.preprocess.normalise(batch)).float()
            losses = F.binary_cross_entropy_with_logits(z, target, reduction="none")
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.lr_at(epoch, (step + 0.5) / steps)
            self.optimizer.zero_grad()
            (weight * losses).mean().backward()
            norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
            self.optimizer.step()
            self.ema.update_parameters(self.network)
            self.pruning.record(chosen, losses)
            right = ((z.detach() > 0) == (label > 0.5)).float()
            loss = (weight * losses.detach()).sum()
            sums += torch.stack([weight.sum(), loss, (weight * right).sum(), norm])
            if step % 20 == 0 or step == steps - 1:  # each look waits for the device
                total, lost, hits, norms = sums.cpu().tolist()
                check_finite(epoch, {"training loss": lost, "gradient": norms})
                bar.set_postfix(loss=f"{lost / total:.4f}")
        if last:
            self.distillation.remember(self.averaged())
        return lost / total, hits / total

    @torch.inference_mode()
    def validate(self, pictures: LabelledImages) -> tuple[float, float]:
        """Mean loss and accuracy of the averaged weights on whole pictures."""
        images = torch.from_numpy(pictures.images).permute(0, 3, 1, 2)
        z = self._logits(self.ema.module, images)
        labels = torch.from_numpy(pictures.labels).float()
        loss = F.binary_cross_entropy_with_logits(z, labels)
        return float(loss), float(((z > 0) == (labels > 0.5)).float().mean())

    def _said_by(self, weights: dict[str, Tensor]) -> Tensor:
        """The logits of all training pictures by other weights."""
        network = build_network(self.recipe.architecture)
        network.load_state_dict(weights)
        return self._logits(network.to(self.on), self.images)

    @torch.inference_mode()
    def _logits(self, network: nn.Module, images: Tensor) -> Tensor:
        network.eval()
        # No more at once than training takes, or some 0.5 GB.
        batches = images.split(max(self.recipe.batch_size, PASS_PIXELS // self.recipe.preprocess.size**2))
        normalise = self.recipe.preprocess.normalise
        return torch.cat([logits(network, normalise(batch.to(self.on))) for batch in batches]).cpu()


def _optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    # Weight decay on matrices only: batch norm's scales and all biases have nothing to overfit with.
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True)


def _load_state(path: Path, identity: dict[str, str]) -> dict:
    try:
        state = load_tensors(path)
    except CheckpointError as error:
        raise ResumeError(f"nothing to resume: {error}") from error
    for what, value in identity.items():
        if what not in state:
            raise ResumeError(f"{path} does not say with which {what} it was made: train without --resume")
        if state[what] != value:
            raise ResumeError(f"{path} was made with another {what}: train without --resume to start afresh")
    return state
