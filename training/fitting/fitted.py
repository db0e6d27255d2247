"""Fitting: from initial weights and pictures to a trained and calibrated checkpoint."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from model.calibration import Calibration
from model.checkpoint import Checkpoint, as_saved
from model.metadata import CheckpointMetadata
from model.network import build_network
from model.predictor import Predictor
from model.tensors import to_arrays
from training.data.fingerprints import contained, fingerprints
from training.data.labelled_images import LabelledImages
from training.data.object_classes import object_classes
from training.evaluation.forward import forward
from training.evaluation.validation_overlap import OF
from training.fitting import loop
from training.fitting.calibration import MIN_PICTURES, cross_entropy, fit_calibration
from training.fitting.history import Epoch
from training.fitting.initial_weights import (
    initial_calibration,
    initial_stem,
    initial_weights,
    is_complete,
    negate_inverted_head,
    seen_fingerprints,
)
from training.fitting.precision import PrecisionChoice
from training.fitting.recipe import Recipe
from training.fitting.recipes import recipe_record

LABEL_CHECK_SAMPLE = 2000


@dataclass(frozen=True)
class Options:
    """The options of a run, besides its recipe and its pictures.

    init: see initial_weights; None for the recipe's own. precision: see training.fitting.precision.
    """

    init: str | None = None
    resume: bool = False
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class Fitted:
    """A trained network, and what was decided on the way.

    checkpoint: for the data's own label 1, its weights rounded as in a file.
    best_epoch: the epoch whose weights these are; 0 for the initial weights.
    teacher: the training of the recipe's teacher, or None.
    seen: see `seen_by`, for the validation pictures.
    notes: what was decided otherwise than the recipe says, as sentences.
    """

    init: str
    checkpoint: Checkpoint
    history: list[Epoch]
    precision: PrecisionChoice
    best_epoch: int
    teacher: loop.TrainingResult | None
    seen: np.ndarray | None
    notes: list[str]


def fit(
    recipe: Recipe, training: LabelledImages, validation: LabelledImages, state: Path, options: Options
) -> Fitted:
    """Train, a teacher first if there is one, choose between trained and initial weights, and calibrate.

    state: see `state_paths`.
    """
    init = options.init or recipe.init
    weights = initial_weights(init, recipe.architecture)
    right = math.nan
    if weights:
        weights, right = negate_inverted_head(
            weights, recipe, training.subsample(LABEL_CHECK_SAMPLE), options.device
        )
        print(f"{len(weights)} tensors start from {init}")
        stem, first = initial_stem(init), recipe.stems[0]
        if stem not in (None, first):
            print(f"they were trained with the stem {stem}, and this run begins with {first}")
        if right < 0.5:
            print(f"they agree with {right:.1%} of these labels: the last layer starts negated")
    seen = seen_by(init, validation)
    if seen is None or seen.any():
        found = "an unknown number" if seen is None else str(seen.sum())
        print(f"{found} of the {len(validation)} validation pictures stand in {OF}", flush=True)

    def judge(weights: dict[str, Tensor]) -> tuple[Checkpoint, np.ndarray, float]:
        """The weights as in a file, and their logits and loss for the validation pictures."""
        metadata = CheckpointMetadata(recipe.architecture, recipe.preprocess)
        checkpoint = Checkpoint(metadata, as_saved(to_arrays(weights)))
        z, _ = forward(Predictor.from_checkpoint(checkpoint, options.device), validation.images, "validating")
        return checkpoint, z, cross_entropy(z, validation.labels)

    before = judge(weights) if weights and is_complete(weights, recipe.architecture) else None
    if before:
        print(f"validation loss of the initial weights: {before[2]:.4f}", flush=True)
    taught: loop.TrainingResult | None = None
    teacher: nn.Module | None = None
    states, resume = state_paths(recipe, state), options.resume
    device, precision = options.device, options.precision
    if recipe.teacher:
        print(f"first the teacher: recipe {recipe.teacher.name}", flush=True)
        if not resume:
            states[-1].unlink(missing_ok=True)
        taught = loop.train(
            recipe.teacher, training, validation, state, resume=resume, device=device, precision=precision
        )
        teacher = build_network(recipe.teacher.architecture)
        teacher.load_state_dict(taught.weights)
        resume = resume and states[-1].is_file()
        print(f"it is kept as after epoch {taught.best.epoch}; now recipe {recipe.name}", flush=True)
    trained = loop.train(
        recipe, training, validation, states[-1], weights, resume, device, precision, teacher
    )
    checkpoint, z, loss = judge(trained.weights)
    epoch, calibration, notes = trained.best.epoch, Calibration(), []
    new = np.ones(len(validation), bool) if seen is None else ~seen
    if before and before[2] <= loss:
        checkpoint, z, loss_before = before
        notes.append(
            f"Training brought nothing: the validation loss is {loss_before:.4f} with the initial weights "
            f"and {loss:.4f} after epoch {epoch}, the best one, so the initial weights are kept."
        )
        if seen is None or new.sum() < MIN_PICTURES:
            unseen = "an unknown number" if seen is None else str(new.sum())
            notes.append(
                f"That was judged on {len(validation)} validation pictures, of which {unseen} are new to the "
                f"initial weights; that favours them, and {MIN_PICTURES} new ones would be needed to tell."
            )
        epoch, calibration = 0, initial_calibration(init, recipe, negated=right < 0.5)
    else:
        print(f"Epoch {epoch} is kept, with a validation loss of {loss:.4f}.")
    if recipe.learns_objects and object_classes(training.names) is None:
        notes.append(
            "The classes of objects were not learnt: the names of the files do not tell them, as CIFAKE's do."
        )
    if new.sum() >= MIN_PICTURES:
        calibration = fit_calibration(z[new], validation.labels[new])
    else:
        which = "" if init == "none" else " that are new to the initial weights"
        instead = "the initial weights keep theirs" if epoch == 0 else "confidences are the network's own"
        notes.append(
            f"Not calibrated: there are {new.sum()} validation pictures{which}, and calibration takes "
            f"{MIN_PICTURES}; {instead}."
        )
    print(*notes, sep="\n", flush=True)
    record = recipe_record(recipe, init) | {"precision": trained.precision.precision}
    return Fitted(
        init,
        checkpoint.with_metadata(recipe=record, calibration=calibration),
        trained.history,
        trained.precision,
        epoch,
        taught,
        seen,
        notes,
    )


def state_paths(recipe: Recipe, state: Path) -> list[Path]:
    """Where a run keeps the state of each part. The first has `state`: it is the teacher, if there is one.

    The teacher's state has its weights, and remains until the run ends.
    """
    return [state, state.with_suffix(".student.resume")] if recipe.teacher else [state]


def seen_by(init: str, pictures: LabelledImages) -> np.ndarray | None:
    """Whether the weights `init` were fitted to each picture, bool of shape (N,); None if unknown."""
    known = seen_fingerprints(init)
    return None if known is None else contained(fingerprints(pictures.images), known)
