"""Commands that train, and that show recipes and runs."""

import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.engines.hardware import autocast, pick_device
from model.files import check_writable
from model.images.preprocess import Preprocess
from model.metadata import Label
from model.network import build_network
from training.commands.inputs import print_dataset
from training.data.datasets import Dataset, load_train
from training.data.reports import check_files, write_json
from training.evaluation.evaluate import describe_calibration, describe_positive_class
from training.evaluation.metrics import classification_metrics, describe
from training.evaluation.plots import plot_run
from training.evaluation.run_folder import describe_history, describe_recipe
from training.evaluation.validation_overlap import describe_overlap, has_unseen
from training.fitting.fitted import Options, seen_by
from training.fitting.initial_weights import initial_weights
from training.fitting.loop import ResumeError
from training.fitting.recipe import Recipe
from training.fitting.recipe_names import RECIPE_NAMES
from training.fitting.recipes import RECIPES, recipe_record
from training.fitting.run import (
    audit_labels,
    check_room,
    checkpoint_path,
    cross_validate,
    overlap_record,
    run,
    state_path,
)
from training.tables import table


def train(args: Namespace) -> None:
    """Write a checkpoint, and beside it the run's metrics, predictions and plots."""
    recipe, out = _recipe(args), checkpoint_path(args.out)
    options = Options(args.init, args.resume, args.device, args.precision)
    check_files(out)
    _check_state(state_path(out), args.resume)
    check_room(recipe, out)
    _check_before_loading(recipe, args)
    start = time.monotonic()
    dataset = _load(recipe, args)
    positive_class = args.label_1 or detect_positive_class(dataset, args)
    metadata = run(recipe, dataset, out, options, positive_class).metadata
    plotted = plot_run(out.parent)
    print(f"\nrecipe {describe_recipe(metadata.recipe)}\n\n{describe_history(out.parent)}\n")
    _print_metrics("on validation", metadata.metrics)
    print(f"\n{describe_calibration(metadata.calibration)}\n{describe_positive_class(metadata)}")
    print(f"\n{out} and {len(plotted)} plots written after {(time.monotonic() - start) / 60:.0f} min")


def crossvalidate(args: Namespace) -> None:
    """Write and print the metrics of out-of-fold predictions."""
    recipe = _recipe(args)
    options = Options(args.init, device=args.device, precision=args.precision)
    check_writable(args.out)
    _check_before_loading(recipe, args)
    dataset = _load(recipe, args)
    if args.sample:
        dataset = replace(dataset, pictures=dataset.pictures.subsample(args.sample))
    pictures, p = cross_validate(recipe, dataset, args.folds, args.out, options)
    init = args.init or recipe.init
    record = recipe_record(recipe, init)
    overlap = overlap_record(init, seen_by(init, pictures), p, pictures.labels)
    metrics = {"validation": classification_metrics(p, pictures.labels)} | overlap
    write_json(args.out / "metrics.json", {"folds": args.folds, "recipe": record} | metrics)
    plot_run(args.out)
    print()
    _print_metrics(f"{args.folds} folds of recipe {describe_recipe(record)}", metrics)


def plots(args: Namespace) -> None:
    """Write the PNGs of a run folder."""
    print(*plot_run(args.folder), sep="\n")


def recipes(args: Namespace) -> None:
    """Print the recipes as a table."""
    rows = [
        (
            recipe.name,
            str(recipe.preprocess.size),
            str(recipe.epochs),
            str(recipe.batch_size),
            f"{recipe.learning_rate:g}",
            recipe.optimizer,
            recipe.init,
            f"{recipe.validation_fraction:.0%}",
            RECIPE_NAMES[recipe.name],
        )
        for recipe in RECIPES.values()
    ]
    header = ("recipe", "px", "epochs", "batch", "rate", "optimizer", "init", "validation", "what it is")
    print(table(rows, header, "<>>>><<><"))


def detect_positive_class(dataset: Dataset, args: Namespace) -> Label:
    """What label 1 means by the shipped model's predictions; REAL unless the labels look inverted."""
    pictures, preprocess = dataset.pictures, Preprocess()
    if pictures.images.shape[1] != preprocess.size:
        pictures = load_train(args.data, preprocess, args.target).pictures
    result = audit_labels(pictures, args.device)
    if result is None:
        print("labels are not checked: there is no shipped model")
        return "REAL"
    print(f"{'' if result.verdict == 'sound' else 'warning: '}{result.describe()}", flush=True)
    return "FAKE" if result.inverted else "REAL"


def _recipe(args: Namespace) -> Recipe:
    return RECIPES[args.recipe].override(
        epochs=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.lr,
        seed=args.seed,
        backbone=args.backbone,
    )


def _check_state(state: Path, resume: bool) -> None:
    """Raise ResumeError for a missing state to resume, or one that would be written over."""
    if resume and not state.is_file():
        raise ResumeError(f"nothing to resume: there is no file {state}, which a finished run has removed")
    if not resume and state.exists():
        raise ResumeError(
            f"{state} is of an interrupted run: continue it with --resume, or delete it to start afresh"
        )


def _check_before_loading(recipe: Recipe, args: Namespace) -> None:
    """Raise the errors of the options before minutes are spent on loading data."""
    autocast(pick_device(args.device), args.precision)
    build_network(recipe.architecture)  # raises BackboneError
    initial_weights(args.init or recipe.init, recipe.architecture)


def _load(recipe: Recipe, args: Namespace) -> Dataset:
    dataset = load_train(args.data, recipe.preprocess, args.target)
    print_dataset(dataset, args.data)
    return dataset


def _print_metrics(where: str, metrics: dict[str, Any]) -> None:
    """The figures of a run, and what the initial weights had seen; only that where they had seen all."""
    if overlap := describe_overlap(metrics):
        print(overlap)
    if has_unseen(metrics):
        print(f"{where}:\n{describe(metrics['validation'])}")
