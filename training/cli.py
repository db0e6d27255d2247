"""The command line: its commands, their options, and what they print."""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from model import SHIPPED
from model.checkpoint import Checkpoint, CheckpointError
from model.files import atomically
from model.hardware import pick_device
from model.predictor import Predictor
from training import loop
from training.calibrate import fit_temperature
from training.data import DataError, Pictures, drop_repeats, hold_out, read_split
from training.initial import InitialWeightsError, initial_weights
from training.metrics import describe, score
from training.recipes import RECIPES, Recipe

EXPECTED_ERRORS = (CheckpointError, DataError, InitialWeightsError, loop.ResumeError, OSError, ValueError)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 1 with a sentence on standard error otherwise."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except EXPECTED_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; train --resume goes on after the last whole epoch", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train and judge detectors.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="from folders of pictures to a checkpoint")
    train.add_argument("--recipe", choices=RECIPES, default="cifake")
    train.add_argument(
        "--data", type=Path, required=True, help="a CIFAKE tree: train/ and test/ with REAL/, FAKE/"
    )
    train.add_argument("--out", type=Path, required=True, help="the checkpoint; history.csv goes beside it")
    train.add_argument("--init", default="none", help="first weights: none, imagenet, or a checkpoint's path")
    train.add_argument("--resume", action="store_true", help="go on after the last epoch of a broken run")
    train.add_argument("--device", default="auto")
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="how good a checkpoint is on labelled pictures")
    evaluate.add_argument(
        "--data", type=Path, required=True, help="a CIFAKE tree, or a folder with REAL/, FAKE/"
    )
    evaluate.add_argument("--model", type=Path, default=SHIPPED)
    evaluate.add_argument("--json", type=Path, help="write the figures there")
    evaluate.add_argument("--device", default="auto")
    evaluate.set_defaults(run=_evaluate)
    return parser


def _train(options: argparse.Namespace) -> None:
    recipe = RECIPES[options.recipe]
    pick_device(options.device)  # a wrong one is told before the minutes that reading takes
    first = initial_weights(options.init, recipe.architecture)
    if first:
        print(f"{len(first)} tensors start from {options.init}")
    start = time.monotonic()
    training, validation, data = _cifake(options.data, recipe)
    trained = loop.train(
        recipe,
        training,
        validation,
        state_path=options.out.with_suffix(".resume"),
        first_weights=first,
        resume=options.resume,
        device=options.device,
    )
    loop.write_history(trained.history, options.out.with_name("history.csv"))
    checkpoint = Checkpoint(
        architecture=recipe.architecture,
        preprocess=recipe.preprocess,
        weights=trained.weights,
        recipe=asdict(recipe) | {"init": options.init},
        data=data,
    )
    checkpoint = _calibrated(checkpoint, validation, options.device)
    checkpoint.save(options.out)

    print("\n".join(loop.describe(row) for row in trained.history))
    print(f"\nbest epoch {trained.best.epoch}, on validation, temperature {checkpoint.temperature:.3f}:")
    print(describe(checkpoint.metrics["validation"]))
    print(f"\n{options.out} written after {(time.monotonic() - start) / 60:.0f} min")


def _cifake(tree: Path, recipe: Recipe) -> tuple[Pictures, Pictures, dict[str, object]]:
    """Training and validation pictures of a CIFAKE tree, and the record of them for the checkpoint."""
    print(f"reading {tree} as a CIFAKE tree", flush=True)
    everything = read_split(tree / "train", recipe.preprocess)
    elsewhere = [read_split(tree / "test", recipe.preprocess)] if (tree / "test").is_dir() else []
    sound, leaked, repeats = drop_repeats(everything, elsewhere)
    for name, reason in everything.unreadable:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    training, validation = hold_out(sound, recipe.validation, recipe.seed)
    print(
        f"{len(everything)} pictures; dropped {leaked} that stand in test too and {repeats} repeats; "
        f"{len(training)} to train on, {len(validation)} to validate with",
        flush=True,
    )
    return (
        training,
        validation,
        {
            "unreadable": len(everything.unreadable),
            "dropped_in_test": leaked,
            "dropped_repeats": repeats,
            "training": {"pictures": len(training), "sha256": training.digest()},
            "validation": {"pictures": len(validation), "sha256": validation.digest()},
        },
    )


def _calibrated(checkpoint: Checkpoint, validation: Pictures, device: str) -> Checkpoint:
    """With its temperature and metrics from the validation pictures."""
    z = Predictor(checkpoint, device).logits(validation.images)
    temperature = fit_temperature(z, validation.labels)
    checkpoint = replace(checkpoint, temperature=temperature)
    scores = score(checkpoint.probability(z), validation.labels, checkpoint.threshold)
    return replace(checkpoint, metrics={"validation": scores})


def _evaluate(options: argparse.Namespace) -> None:
    predictor = Predictor.load(options.model, options.device)
    folder = options.data / "test" if (options.data / "test").is_dir() else options.data
    pictures = read_split(folder, predictor.preprocess)
    for name, reason in pictures.unreadable:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    start = time.monotonic()
    predictions = predictor.predict(pictures.images)
    seconds = time.monotonic() - start
    scores = score(predictions, pictures.labels, predictor.checkpoint.threshold)
    print(f"{options.model} on {folder}\n")
    print(describe(scores))
    print(f"\n{seconds / len(pictures) * 1000:.2f} ms a picture on {predictor.device}")
    if options.json:
        report = {
            "model_sha256": predictor.checkpoint.digest,
            "data": {
                "folder": str(folder),
                "sha256": pictures.digest(),
                "unreadable": len(pictures.unreadable),
            },
            **scores,
        }
        with atomically(options.json) as file:
            file.write(json.dumps(report, indent=2).encode() + b"\n")
