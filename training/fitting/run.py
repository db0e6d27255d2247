"""A training run: from pictures to a run folder, and the same by cross-validation."""

import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from model import SHIPPED
from model.checkpoint import Checkpoint
from model.metadata import Label, digest_of
from model.network import build_network
from model.predictor import Predictor
from training.data.datasets import Dataset
from training.data.fingerprints import SUFFIX, fingerprints, write_fingerprints
from training.data.labelled_images import LabelledImages, deduplicate, folds, train_val_split
from training.data.reports import torch_writes, truncate_list, write_csv, write_json
from training.evaluation.audit import Audit, audit, validation_error
from training.evaluation.evaluate import evaluate
from training.evaluation.forward import forward
from training.evaluation.ood import fit_detectors
from training.evaluation.validation_overlap import overlap_metrics
from training.fitting.fitted import LABEL_CHECK_SAMPLE, Options, fit, state_paths
from training.fitting.history import write_history
from training.fitting.initial_weights import seen_fingerprints
from training.fitting.recipe import Recipe

DETECTOR_SAMPLE = 10_000  # training pictures that the OOD detector is fitted to
MAX_LISTED = 10


def run(recipe: Recipe, dataset: Dataset, out: Path, options: Options, positive_class: Label) -> Checkpoint:
    """Train and write `out`, and beside it `history.csv`, `metrics.json`, `validation.csv` and fingerprints.

    A teacher's epochs are in `teacher_history.csv`, and its best one in `metrics.json`.
    Calibration, OOD detector and metrics are of the weights as saved, in float16; the history of epochs is of
    those in float32. positive_class: the class, REAL or FAKE, of the dataset's label 1.
    """
    start = time.monotonic()
    clean, record = _clean(dataset)
    training, validation = train_val_split(clean, recipe.validation_fraction, recipe.seed)
    print(f"{len(training)} pictures to train on, {len(validation)} to validate with", flush=True)
    record |= {"training": _summary(training), "validation": _summary(validation)}
    fitted = fit(recipe, training, validation, state_path(out), options)
    checkpoint = fitted.checkpoint
    predictor = Predictor.from_checkpoint(checkpoint, options.device)
    _, features = forward(predictor, validation.images, "domain: validation")
    _, train_features = forward(predictor, training.subsample(DETECTOR_SAMPLE).images, "domain: training")
    ood_detector, image_detector = fit_detectors(train_features, features)
    checkpoint = checkpoint.with_metadata(
        ood_detector=ood_detector,
        image_detector=image_detector,
        positive_class=positive_class,
        data={"kind": dataset.kind, "label_1": positive_class} | record,
    )
    found = evaluate(Predictor(checkpoint.metadata, predictor.engine), validation, positive_class)
    metrics = {"validation": found.metrics} | overlap_record(
        fitted.init, fitted.seen, found.predictions, validation.labels
    )
    checkpoint = checkpoint.with_metadata(metrics=metrics)
    write_history(fitted.history, out.with_name("history.csv"))
    teacher_history = out.with_name("teacher_history.csv")
    teacher_history.unlink(missing_ok=True)  # of an earlier run
    if fitted.teacher:
        write_history(fitted.teacher.history, teacher_history)
    _write_predictions(out.with_name("validation.csv"), validation, found.predictions, found.uncalibrated)
    with torch_writes(out):
        checkpoint.save(out)
    digest = digest_of(out)
    _write_fingerprints(out, digest, fitted.init, training, validation)
    report = {
        "model_sha256": digest,
        "recipe": checkpoint.metadata.recipe,
        "data": checkpoint.metadata.data,
        "best_epoch": fitted.best_epoch,
        "seconds": round(time.monotonic() - start),
        "precision": asdict(fitted.precision),
        "teacher": asdict(fitted.teacher.best) if fitted.teacher else None,
        "notes": fitted.notes,
        **checkpoint.metadata.metrics,
    }
    write_json(out.with_name("metrics.json"), report)
    for state in state_paths(recipe, state_path(out)):
        state.unlink()
    return checkpoint


def state_path(out: Path) -> Path:
    """Where a run that writes the checkpoint `out` keeps its state, that of a teacher first."""
    return out.with_suffix(".resume")


def checkpoint_path(out: Path) -> Path:
    """The checkpoint of a run: `out` if that ends in .pth, else `cifake_model.pth` in the folder `out`."""
    return out if out.suffix == ".pth" else out / "cifake_model.pth"


def check_room(recipe: Recipe, out: Path) -> None:
    """Raise OSError unless the disk has room for the states and the files of a run.

    Raises BackboneError where the recipe's backbone cannot be built here.
    """
    folder = next(path for path in [*out.absolute().parents] if path.is_dir())
    # A state has the weights, their average, the best ones, twice as much of the optimizer, and a teacher for
    # each cycle. A new one is written before the last one is removed.
    parts = [part for part in (recipe, recipe.teacher) if part]
    needed = sum(2 * (5 + len(part.lr_cycles)) * _weight_bytes(part) for part in parts)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"a run of recipe {recipe.name} takes up to {needed / 1e6:.0f} MB, and {folder} has room for "
            f"{free / 1e6:.0f} MB: make room, or give another --out"
        )


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
        fitted = fit(recipe, training, validation, state, options)
        checkpoint = fitted.checkpoint
        options = replace(options, precision=fitted.precision.precision)  # the same in all folds
        predictor = Predictor.from_checkpoint(checkpoint, options.device)
        z, _ = forward(predictor, clean.images[held], f"judging fold {number}")
        predictions[held] = checkpoint.metadata.probability(z)
        raw[held] = checkpoint.metadata.uncalibrated_probability(z)
        for part in state_paths(recipe, state):
            part.unlink()
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
    z, _ = forward(predictor, sample.images, "checking labels")
    p = predictor.metadata.probability(z)
    return audit(p, sample.labels, validation_error(predictor.metadata))


def overlap_record(
    init: str, seen: np.ndarray | None, predictions: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    """The metrics of `overlap_metrics`; none for a run from random weights."""
    return {} if init == "none" else overlap_metrics(seen, predictions, labels)


def _weight_bytes(recipe: Recipe) -> int:
    """Of the recipe's network, in float32."""
    return 4 * sum(tensor.numel() for tensor in build_network(recipe.architecture).state_dict().values())


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


def _write_fingerprints(
    out: Path, digest: str, init: str, training: LabelledImages, validation: LabelledImages
) -> None:
    """Of all that the checkpoint and its initial weights were fitted to; none if that is unknown."""
    known = seen_fingerprints(init)
    if known is None:
        out.with_suffix(SUFFIX).unlink(missing_ok=True)  # of an earlier run
        return
    own = [fingerprints(pictures.images) for pictures in (training, validation)]
    write_fingerprints(out, digest, np.concatenate([known, *own]))


def _write_predictions(
    path: Path, pictures: LabelledImages, predictions: np.ndarray, raw: np.ndarray
) -> None:
    columns = ([f"{p:.6f}" for p in part] for part in (predictions, raw))
    rows = zip(pictures.names, pictures.labels, *columns, strict=True)
    write_csv(path, ["name", "label", "prediction", "uncalibrated"], rows)
