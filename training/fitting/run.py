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
from training.data.datasets import Dataset
from training.data.labelled_images import LabelledImages, deduplicate, folds, train_val_split
from training.data.reports import truncate_list, write_csv, write_json
from training.evaluation.audit import Audit, audit, validation_error
from training.evaluation.evaluate import evaluate
from training.evaluation.ood import fit_detector
from training.fitting import loop
from training.fitting.calibration import fit_calibration
from training.fitting.history import write_history
from training.fitting.initial_weights import initial_weights, negate_inverted_head
from training.fitting.recipes import Recipe

LABEL_CHECK_SAMPLE = 2000
DETECTOR_SAMPLE = 10_000  # training pictures that the OOD detector is fitted to
MAX_LISTED = 10


@dataclass(frozen=True)
class Options:
    """The options of a run, besides its recipe and its pictures.

    init: see initial_weights; None for the recipe's own. precision: see training.fitting.precision.
    """

    init: str | None = None
    resume: bool = False
    device: str = "auto"
    precision: str = "auto"


def run(recipe: Recipe, dataset: Dataset, out: Path, options: Options, positive_class: Label) -> Checkpoint:
    """Train and write `out`, and beside it `history.csv`, `metrics.json` and `validation.csv`.

    Calibration, OOD detector and metrics are of the weights as saved, in float16; the history of epochs is of
    those in float32. positive_class: the class, REAL or FAKE, of the dataset's label 1.
    """
    start = time.monotonic()
    clean, record = _clean(dataset)
    training, validation = train_val_split(clean, recipe.validation_fraction, recipe.seed)
    print(f"{len(training)} pictures to train on, {len(validation)} to validate with", flush=True)
    record |= {"training": _summary(training), "validation": _summary(validation)}
    trained, checkpoint = _fit(recipe, training, validation, state_path(out), options)
    predictor = Predictor.from_checkpoint(checkpoint, options.device)
    _, means = predictor.forward(validation.images)
    _, train_means = predictor.forward(training.subsample(DETECTOR_SAMPLE).images)
    checkpoint = checkpoint.with_metadata(
        ood_detector=fit_detector(train_means, means),
        positive_class=positive_class,
        data={"kind": dataset.kind, "label_1": positive_class} | record,
    )
    found = evaluate(Predictor(checkpoint.metadata, predictor.engine), validation, positive_class)
    checkpoint = checkpoint.with_metadata(metrics={"validation": found.metrics})
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
    recipe: Recipe, dataset: Dataset, count: int, out: Path, options: Options
) -> tuple[LabelledImages, np.ndarray]:
    """Stratified k-fold cross-validation with `count` folds.

    Returns the pictures, and for each the probability of label 1, in [0, 1], by the model of the fold that it
    was held out from. Epoch and calibration are chosen on a validation split of the other folds.
    """
    clean, _ = _clean(dataset)
    predictions, raw = np.empty(len(clean)), np.empty(len(clean))
    for number, (rest, held) in enumerate(folds(clean, count, recipe.seed), 1):
        print(f"fold {number} of {count}", flush=True)
        training, validation = train_val_split(rest, recipe.validation_fraction, recipe.seed)
        state = out / f"fold-{number}.resume"
        trained, checkpoint = _fit(recipe, training, validation, state, options)
        options = replace(options, precision=trained.precision.precision)  # the same in all folds
        z = Predictor.from_checkpoint(checkpoint, options.device).logits(clean.images[held])
        predictions[held] = checkpoint.metadata.probability(z)
        raw[held] = checkpoint.metadata.uncalibrated_probability(z)
        state.unlink()
    _write_predictions(out / "validation.csv", clean, predictions, raw)
    return clean, predictions


def audit_labels(pictures: LabelledImages, device: str) -> Audit | None:
    """The audit of a sample of the labels by the shipped model; None where there is no shipped model.

    The pictures are of the shipped model's size.
    """
    if not SHIPPED.is_file():
        return None
    predictor = Predictor.load(SHIPPED, device)
    sample = pictures.subsample(LABEL_CHECK_SAMPLE)
    return audit(predictor.predict_proba(sample.images), sample.labels, validation_error(predictor.metadata))


def _clean(dataset: Dataset) -> tuple[LabelledImages, dict[str, Any]]:
    """The pictures without duplicates and leaks, and the record of those that were dropped."""
    clean, leaked, repeats, contradictions = deduplicate(dataset.pictures, dataset.excluded)
    print(
        f"{len(dataset.pictures)} pictures; dropped {leaked} that are in the test split too, {repeats} "
        f"repeats and {len(contradictions)} with both labels",
        flush=True,
    )
    if contradictions:
        print(f"with both labels: {truncate_list(contradictions, MAX_LISTED)}", file=sys.stderr)
    record = {
        "unreadable": len(dataset.pictures.unreadable),
        "dropped_in_test": leaked,
        "dropped_repeats": repeats,
        "dropped_contradictions": len(contradictions),
        "findings": {kind: len(names) for kind, names in dataset.issues.items()},
    }
    return clean, record


def _summary(pictures: LabelledImages) -> dict[str, Any]:
    return {"pictures": len(pictures), "sha256": pictures.digest()}


def _fit(
    recipe: Recipe, training: LabelledImages, validation: LabelledImages, state: Path, options: Options
) -> tuple[loop.TrainingResult, Checkpoint]:
    """A trained and calibrated checkpoint for the data's own label 1, its weights rounded as in a file."""
    init = options.init or recipe.init
    weights = initial_weights(init, recipe.architecture)
    if weights:
        weights, right = negate_inverted_head(
            weights, recipe, training.subsample(LABEL_CHECK_SAMPLE), options.device
        )
        print(f"{len(weights)} tensors start from {init}")
        if right < 0.5:
            print(f"they agree with {right:.1%} of these labels: the last layer starts negated")
    trained = loop.train(
        recipe,
        training,
        validation,
        state,
        initial_weights=weights,
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
    return trained, checkpoint.with_metadata(calibration=fit_calibration(z, validation.labels))


def _write_predictions(
    path: Path, pictures: LabelledImages, predictions: np.ndarray, raw: np.ndarray
) -> None:
    columns = ([f"{p:.6f}" for p in part] for part in (predictions, raw))
    rows = zip(pictures.names, pictures.labels, *columns, strict=True)
    write_csv(path, ["name", "label", "prediction", "uncalibrated"], rows)
