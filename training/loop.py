"""The training loop: from pictures to the averaged weights of the best epoch."""

import csv
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from model.checkpoint import CheckpointError, load_tensors
from model.files import atomically
from model.hardware import fast_bf16, pick_device
from model.network import build_network, logits
from training.data import Pictures
from training.pruning import Pruning
from training.recipes import Recipe


@dataclass(frozen=True)
class Epoch:
    """One row of the table: mean losses (binary cross-entropy) and accuracies in [0, 1].

    The training figures are of the windows trained on, augmented, by the weights as they moved;
    the validation figures are of whole pictures, by the averaged weights.
    """

    epoch: int
    window: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Trained:
    """weights: the averaged weights of the epoch with the lowest validation loss."""

    weights: dict[str, Tensor]
    best: Epoch
    history: list[Epoch]


class ResumeError(Exception):
    """There is no state to resume from, or it belongs to another run."""


def train(
    recipe: Recipe,
    training: Pictures,
    validation: Pictures,
    state_path: Path,
    first_weights: dict[str, Tensor] | None = None,
    resume: bool = False,
    device: str = "auto",
) -> Trained:
    """Train the recipe's network; the state after each epoch goes to `state_path`.

    With `resume` the run goes on from that state and ends as an unbroken run would: all randomness
    of an epoch comes from the recipe's seed and the epoch's number. Raises ResumeError.
    """
    on = pick_device(device)
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.architecture)
    if first_weights is not None:
        network.load_state_dict(first_weights, strict=False)
    network = network.to(on).to(memory_format=torch.channels_last)
    pruning = Pruning(len(training), recipe.prune)
    optimiser = torch.optim.SGD(
        _groups(network, recipe.weight_decay),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=True,
    )
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average), use_buffers=True)
    history: list[Epoch] = []
    best: dict[str, Tensor] = {}
    moving: dict[str, Any] = {
        "network": network,
        "average": average,
        "optimiser": optimiser,
        "pruning": pruning,
    }
    identity = {"recipe": repr(recipe), "data": training.digest(), "validation": validation.digest()}

    if resume:
        state = _load_state(state_path, identity)
        for name, part in moving.items():
            part.load_state_dict(state[name])
        history = [Epoch(**row) for row in state["history"]]
        best = state["best"]

    images = torch.from_numpy(training.images).permute(0, 3, 1, 2)
    labels = torch.from_numpy(training.labels).float()
    amp = fast_bf16(on)
    for epoch in range(len(history) + 1, recipe.epochs + 1):
        if _stalled(history, recipe):
            break
        start = time.monotonic()
        random = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
        torch.manual_seed(recipe.seed * 1000 + epoch)  # dropout
        window = recipe.windows[epoch - 1]
        cycle, within = recipe.place(epoch)
        whole_epoch = cycle == 0 or within == len(recipe.cycles[cycle]) - 1
        order, weights = pruning.choose(random, whole_epoch)
        steps = len(order) // recipe.batch_size or 1
        network.train()
        sums = torch.zeros(3, device=on)  # of weights, of losses, of right answers
        bar = tqdm(range(steps), f"epoch {epoch}/{recipe.epochs}", unit="batch", mininterval=5)
        for step in bar:
            part = slice(step * recipe.batch_size, (step + 1) * recipe.batch_size)
            chosen = order[part]
            weight = weights[part].to(on)
            batch = recipe.augmentation(images[chosen], window, random).to(on)
            target = labels[chosen].to(on)
            with torch.autocast(on.type, torch.bfloat16, enabled=amp):
                z = logits(network, recipe.preprocess.normalise(batch)).float()
            smooth = target * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
            losses = F.binary_cross_entropy_with_logits(z, smooth, reduction="none")
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate(epoch, (step + 0.5) / steps)
            optimiser.zero_grad()
            (weight * losses).mean().backward()
            optimiser.step()
            average.update_parameters(network)
            pruning.record(chosen, losses)
            right = ((z.detach() > 0) == (target > 0.5)).float()
            sums += torch.stack([weight.sum(), (weight * losses.detach()).sum(), (weight * right).sum()])
            if step % 20 == 0:
                bar.set_postfix(loss=f"{float(sums[1] / sums[0]):.4f}")
        validation_loss, validation_accuracy = _validate(average.module, recipe, validation, on)
        row = Epoch(
            epoch=epoch,
            window=window,
            train_loss=float(sums[1] / sums[0]),
            train_accuracy=float(sums[2] / sums[0]),
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.monotonic() - start,
        )
        history.append(row)
        if row is _best(history):
            best = {
                name: tensor.detach().cpu().clone() for name, tensor in average.module.state_dict().items()
            }
        parts = {name: part.state_dict() for name, part in moving.items()}
        rows = [asdict(row) for row in history]
        with atomically(state_path) as file:
            torch.save({**identity, **parts, "history": rows, "best": best}, file)
        left = sum((side / window) ** 2 for side in recipe.windows[epoch:]) * row.seconds / 60
        tqdm.write(describe(row) + f"  about {left:.0f} min left")
    return Trained(best, _best(history), history)


def describe(row: Epoch) -> str:
    """A line of the table of epochs."""
    return (
        f"epoch {row.epoch:3d}  window {row.window:3d}"
        f"  train loss {row.train_loss:.4f} accuracy {row.train_accuracy:.2%}"
        f"  validation loss {row.validation_loss:.4f} accuracy {row.validation_accuracy:.2%}"
        f"  {row.seconds:.0f} s"
    )


def write_history(history: list[Epoch], path: Path) -> None:
    """The table of epochs as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(Epoch.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(row) for row in history)


def _groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay on matrices only: batch norm's scales and all biases have nothing to overfit with."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _best(history: list[Epoch]) -> Epoch:
    return min(history, key=lambda row: row.validation_loss)


def _stalled(history: list[Epoch], recipe: Recipe) -> bool:
    """Whether `patience` epochs on whole pictures of this cycle went by without a better validation loss."""
    _, within = recipe.place(len(history) + 1)
    rows = history[len(history) - within :]
    whole = [row for row in rows if row.window == max(recipe.windows)]
    return len(whole) > recipe.patience and _best(rows) not in whole[-recipe.patience :]


@torch.inference_mode()
def _validate(
    network: nn.Module, recipe: Recipe, pictures: Pictures, on: torch.device
) -> tuple[float, float]:
    network.eval()
    images = torch.from_numpy(pictures.images).permute(0, 3, 1, 2)
    parts = [logits(network, recipe.preprocess.normalise(batch.to(on))) for batch in images.split(512)]
    z = torch.cat(parts).cpu()
    labels = torch.from_numpy(pictures.labels).float()
    loss = F.binary_cross_entropy_with_logits(z, labels)
    return float(loss), float(((z > 0) == (labels > 0.5)).float().mean())


def _load_state(path: Path, identity: dict[str, str]) -> dict:
    try:
        state = load_tensors(path)
    except CheckpointError as error:
        raise ResumeError(f"nothing to resume: {error}") from error
    for what, value in identity.items():
        if state.get(what) != value:
            raise ResumeError(f"{path} was made with another {what}: train without --resume to start afresh")
    return state
