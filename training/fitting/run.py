"""A training run: from pictures to a run folder, and the same by cross-validation."""

import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from model import SHIPPED
from model.checkpoint import Checkpoint, as_saved
from model.metadata import CheckpointMetadata, Label
from model.predictor import Predictor
from model.tensors import to_arrays
from training.data.labelled_images import LabelledImages, deduplicate, folds, train_val_split
from training.data.reports import listed, write_csv, write_json
from training.data.sources import Source
from training.evaluation.audit import Audit, audit, own_error
from training.evaluation.evaluate import evaluate
from training.evaluation.ood import fit_detector
from training.fitting import loop
from training.fitting.calibration import fit_calibration
from training.fitting.history import write_history
from training.fitting.initial_weights import initial_weights, negate_inverted_head
from training.fitting.recipes import Recipe

AUDITED = 2000
SURVEYED = 10_000  # trained pictures that the domain is fitted to
MAX_LISTED = 10


@dataclass(frozen=True)
class Options:
    """What a run is told besides its recipe and its pictures.

    init: see initial_weights; None for the recipe's own. precision: see training.fitting.precision.
    """

    init: str | None = None
    resume: bool = False
    device: str = "auto"
    precision: str = "auto"


def run(recipe: Recipe, source: Source, out: Path, options: Options, positive_class: Label) -> Checkpoint:
    """Train and write `out`, and beside it `history.csv`, `metrics.json` and `validation.csv`.

    Calibration, domain and figures are of the weights as the file holds them; the table of epochs is not.
    positive_class: what label 1 of the source is by the words of this project.
    """
    start = time.monotonic()
    sound, record = _sound(source)
    training, validation = train_val_split(sound, recipe.validation_fraction, recipe.seed)
    print(f"{len(training)} pictures to train on, {len(validation)} to validate with", flush=True)
    record |= {"training": _record(training), "validation": _record(validation)}
    trained, checkpoint = _trained(recipe, training, validation, state_path(out), options)
    predictor = Predictor.from_checkpoint(checkpoint, options.device)
    _, means = predictor.forward(validation.images)
    _, means_trained_on = predictor.forward(training.subsample(SURVEYED).images)
    checkpoint = checkpoint.updated(
        ood_detector=fit_detector(means_trained_on, means),
        positive_class=positive_class,
        data={"kind": source.kind, "label_1": positive_class} | record,
    )
    found = evaluate(Predictor(checkpoint.metadata, predictor.engine), validation, positive_class)
    checkpoint = checkpoint.updated(metrics={"validation": found.figures})
    write_history(trained.history, out.with_name("history.csv"))
    _write_predictions(out.with_name("validation.csv"), validation, found.predictions, found.uncalibrated)
    checkpoint.save(out)
    report = {
        "recipe": checkpoint.metadata.recipe,
        "data": checkpoint.metadata.data,
        "best_epoch": trained.best.epoch,
        "seconds": round(time.monotonic() - start),
        "precision": asdict(trained.precision),
        **checkpoint.metadata.metrics,
    }
    write_json(out.with_name("metrics.json"), report)
    return checkpoint


def state_path(out: Path) -> Path:
    """Where a run that writes the checkpoint `out` keeps its state."""
    return out.with_suffix(".resume")


def cross_validate(
    recipe: Recipe, source: Source, count: int, out: Path, options: Options
) -> tuple[LabelledImages, np.ndarray]:
    """Train `count` times, each time leaving out another part of equal shares of each class.

    Returns the pictures, and for each the probability of label 1, in [0, 1], by the one model that
    it had no part in: neither in training nor in the choice of epoch and calibration, which falls to
    a validation split of the rest.
    """
    sound, _ = _sound(source)
    predictions, raw = np.empty(len(sound)), np.empty(len(sound))
    for number, (rest, held) in enumerate(folds(sound, count, recipe.seed), 1):
        print(f"fold {number} of {count}", flush=True)
        training, validation = train_val_split(rest, recipe.validation_fraction, recipe.seed)
        state = out / f"fold-{number}.resume"
        trained, checkpoint = _trained(recipe, training, validation, state, options)
        options = replace(options, precision=trained.precision.precision)  # the same in all folds
        z = Predictor.from_checkpoint(checkpoint, options.device).logits(sound.images[held])
        predictions[held], raw[held] = checkpoint.metadata.probability(z), checkpoint.metadata.uncalibrated(z)
        state.unlink()
    _write_predictions(out / "validation.csv", sound, predictions, raw)
    return sound, predictions


def audit_labels(pictures: LabelledImages, device: str) -> Audit | None:
    """What the shipped model makes of a sample of the labels; None where it is not there to be asked.

    The pictures are of the shipped model's size.
    """
    if not SHIPPED.is_file():
        return None
    predictor = Predictor.load(SHIPPED, device)
    sample = pictures.subsample(AUDITED)
    return audit(predictor.predict_proba(sample.images), sample.labels, own_error(predictor.metadata))


def _sound(source: Source) -> tuple[LabelledImages, dict[str, Any]]:
    """The pictures that may be trained on or held out, and the record of those that may not."""
    sound, leaked, repeats, contradictions = deduplicate(source.pictures, source.elsewhere)
    print(
        f"{len(source.pictures)} pictures; dropped {leaked} that stand in test too, {repeats} repeats and "
        f"{len(contradictions)} that stand under both labels",
        flush=True,
    )
    if contradictions:
        print(f"under both labels: {listed(contradictions, MAX_LISTED)}", file=sys.stderr)
    record = {
        "unreadable": len(source.pictures.unreadable),
        "dropped_in_test": leaked,
        "dropped_repeats": repeats,
        "dropped_contradictions": len(contradictions),
        "findings": {kind: len(names) for kind, names in source.findings.items()},
    }
    return sound, record


def _record(pictures: LabelledImages) -> dict[str, Any]:
    return {"pictures": len(pictures), "sha256": pictures.digest()}


def _trained(
    recipe: Recipe, training: LabelledImages, validation: LabelledImages, state: Path, options: Options
) -> tuple[loop.TrainingResult, Checkpoint]:
    """A trained and calibrated checkpoint, label 1 being the data's own, its weights as a file has them."""
    init = options.init or recipe.init
    first = initial_weights(init, recipe.architecture)
    if first:
        first, right = negate_inverted_head(first, recipe, training.subsample(AUDITED), options.device)
        print(f"{len(first)} tensors start from {init}")
        if right < 0.5:
            print(f"they are right on {right:.1%} of these labels: the last layer starts negated")
    trained = loop.train(
        recipe,
        training,
        validation,
        state,
        first_weights=first,
        resume=options.resume,
        device=options.device,
        precision=options.precision,
    )
    metadata = CheckpointMetadata(
        recipe.architecture,
        recipe.preprocess,
        recipe=asdict(recipe) | {"init": init, "precision": trained.precision.precision},
    )
    checkpoint = Checkpoint(metadata, as_saved(to_arrays(trained.weights)))
    z = Predictor.from_checkpoint(checkpoint, options.device).logits(validation.images)
    return trained, checkpoint.updated(calibration=fit_calibration(z, validation.labels))


def _write_predictions(
    path: Path, pictures: LabelledImages, predictions: np.ndarray, raw: np.ndarray
) -> None:
    columns = ([f"{p:.6f}" for p in part] for part in (predictions, raw))
    rows = zip(pictures.names, pictures.labels, *columns, strict=True)
    write_csv(path, ["name", "label", "prediction", "uncalibrated"], rows)
