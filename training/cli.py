"""The command line: its commands and their options."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from model import SHIPPED
from model.engines.engine import Precision
from model.metadata import CheckpointError, Label
from training import commands
from training.data.hackathon import Target
from training.data.labelled_images import DataError
from training.fitting.finite import NotFiniteError
from training.fitting.initial_weights import InitialWeightsError
from training.fitting.loop import ResumeError
from training.fitting.precision import Asked
from training.fitting.recipes import RECIPES
from training.fitting.run import state_path
from training.submission.package import SubmissionError

EXPECTED_ERRORS = (
    CheckpointError,
    DataError,
    InitialWeightsError,
    NotFiniteError,
    ResumeError,
    SubmissionError,
    OSError,
    ValueError,
)
LABELLED = "a CIFAKE tree, a folder with REAL/ and FAKE/, or a hackathon tree"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 1 with a sentence on standard error otherwise."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except EXPECTED_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        resumable = options.run is commands.train and state_path(options.out).is_file()
        told = "; train --resume goes on after the last whole epoch" if resumable else ""
        print(f"stopped{told}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train and judge detectors.")
    commands_of = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], None], about: str) -> argparse.ArgumentParser:
        command = commands_of.add_parser(name, help=about, description=about)
        command.set_defaults(run=run)
        return command

    merge = add("merge", commands.merge, "real and fake *_preds.json of a hackathon tree to train_meta.json")
    merge.add_argument("data", type=Path, metavar="DIR")

    train = add("train", commands.train, "from folders of pictures to a checkpoint and a run folder")
    _add_training(train)
    train.add_argument("--out", type=Path, required=True, help="the checkpoint; the run's files go beside it")
    train.add_argument("--resume", action="store_true", help="go on after the last epoch of a broken run")
    train.add_argument(
        "--label-1",
        choices=get_args(Label),
        help="what label 1 of the data is in truth; without it, what the shipped model sees decides",
    )

    crossvalidate = add("crossvalidate", commands.crossvalidate, "train and judge on N parts in turn")
    _add_training(crossvalidate)
    crossvalidate.add_argument("--folds", type=_at_least(2), default=5)
    crossvalidate.add_argument(
        "--sample", type=_at_least(1), help="use this many pictures at most, evenly spaced"
    )
    crossvalidate.add_argument("--out", type=Path, required=True, help="folder for metrics.json and plots")

    evaluate = add("evaluate", commands.evaluate, "how good a checkpoint is on labelled pictures")
    evaluate.add_argument("--data", type=Path, required=True, help=LABELLED)
    evaluate.add_argument("--json", type=Path, help="write the figures there")
    evaluate.add_argument("--plot", type=Path, help="draw the reliability diagram there, as PNG")
    evaluate.add_argument(
        "--robustness", action="store_true", help="again with the pictures compressed, blurred, enlarged, ..."
    )
    evaluate.add_argument(
        "--ood",
        action="store_true",
        help="how much of noise, text, ... is found out of the domain",
    )
    evaluate.add_argument(
        "--deletion", action="store_true", help="do heat maps point at what the answer depends on?"
    )
    _add_model(evaluate)
    evaluate.add_argument("--engine", choices=["auto", "torch", "openvino"], default="auto")
    evaluate.add_argument("--precision", choices=get_args(Precision), default="f32")
    _add_positive(evaluate, "judge the probability of this label against label 1 of the data")

    quantise = add("quantise", commands.quantise, "add int8 to a checkpoint, and what it and bf16 cost")
    quantise.add_argument("--data", type=Path, required=True, help=LABELLED)
    quantise.add_argument("--model", type=Path, default=SHIPPED, help="default: the shipped one, %(default)s")
    quantise.add_argument("--out", type=Path, required=True, help="the new checkpoint; not --model itself")
    _add_target(quantise)

    infer = add("infer", commands.infer, "predictions for a folder of pictures, as the hackathon wants them")
    infer.add_argument("images", type=Path, metavar="IMAGES")
    infer.add_argument("--team", required=True)
    infer.add_argument("--out", type=Path, default=Path("outputs"), help="folder for TEAM_prediction.json")
    _add_model(infer)
    _add_positive(infer, "`prediction` is the probability of this label")

    audit = add("audit", commands.audit, "do the labels agree with what the model sees?")
    audit.add_argument("data", type=Path, metavar="DIR", help=LABELLED)
    audit.add_argument("--out", type=Path, default=Path("outputs"), help="folder for audit.csv, audit.png")
    audit.add_argument(
        "--show", type=_at_least(0), default=60, help="how many of the most suspicious to draw"
    )
    _add_model(audit)

    overlap = add("overlap", commands.overlap, "which pictures of one data set another was trained on")
    overlap.add_argument("data", type=Path, metavar="DIR", help=LABELLED)
    overlap.add_argument("other", type=Path, metavar="OTHER", help="the same, or a CIFAKE tree's train/")

    plots = add("plots", commands.draw, "draw the curves and diagrams of a run folder")
    plots.add_argument("folder", type=Path, metavar="RUN_DIR")

    submission = add("submission", commands.submission, "check predictions and build the hackathon's ZIP")
    submission.add_argument("--team", required=True)
    submission.add_argument("--data", type=Path, default=Path("data/hackathon"), help="a hackathon tree")
    submission.add_argument("--run", type=Path, default=Path("runs/hackathon"), dest="folder")
    submission.add_argument(
        "--out", type=Path, default=Path("outputs"), help="where TEAM_prediction.json is and the ZIP goes"
    )
    return parser


def _add_training(command: argparse.ArgumentParser) -> None:
    command.add_argument("--recipe", choices=RECIPES, default="cifake")
    command.add_argument("--data", type=Path, required=True, help=LABELLED)
    command.add_argument("--seed", type=_seed, help="of all that is random; else the recipe's")
    command.add_argument(
        "--init", help="first weights: none, imagenet, shipped, or a checkpoint's path; else the recipe's"
    )
    _add_target(command)
    command.add_argument("--device", default="auto")
    command.add_argument(
        "--precision",
        choices=get_args(Asked),
        default="auto",
        help="auto: where the device has bf16, the one in which a few steps are faster",
    )


def _add_target(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--target",
        choices=get_args(Target),
        default="folder",
        help="of a hackathon tree: trained towards the folder's word, its detector's, or the mean of both",
    )


def _at_least(least: int) -> Callable[[str], int]:
    """Of an option that is a whole number."""

    def whole(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return whole


def _seed(text: str) -> int:
    """A seed that NumPy and PyTorch both take; argparse words the ValueError."""
    seed = int(text)
    if not 0 <= seed < 2**32:
        raise ValueError
    return seed


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", type=Path, default=SHIPPED)
    command.add_argument("--device", default="auto")


def _add_positive(command: argparse.ArgumentParser, about: str) -> None:
    command.add_argument(
        "--positive", dest="positive_class", choices=get_args(Label), default="REAL", help=about
    )
