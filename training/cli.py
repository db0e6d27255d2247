"""The command line: arguments of the commands."""

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
from training.fitting.precision import PrecisionOption
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
DATA_HELP = "a CIFAKE tree, a folder with REAL/ and FAKE/, or a hackathon tree"


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns 0, 1 after an error, which is printed to standard error, or 130 after Ctrl-C."""
    args = _parser().parse_args(arguments)
    try:
        args.run(args)
    except EXPECTED_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        resumable = args.run is commands.train and state_path(args.out).is_file()
        hint = "; train --resume continues after the last complete epoch" if resumable else ""
        print(f"stopped{hint}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train and evaluate detectors.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], None], summary: str) -> argparse.ArgumentParser:
        command = subparsers.add_parser(name, help=summary, description=summary)
        command.set_defaults(run=run)
        return command

    merge = add("merge", commands.merge, "merge a hackathon tree's *_preds.json into train_meta.json")
    merge.add_argument("data", type=Path, metavar="DIR")

    train = add("train", commands.train, "train on folders of pictures; writes a checkpoint and a run folder")
    _add_training_arguments(train)
    train.add_argument(
        "--out", type=Path, required=True, help="the checkpoint; the run's files are written beside it"
    )
    train.add_argument(
        "--resume", action="store_true", help="continue an interrupted run after its last epoch"
    )
    train.add_argument(
        "--label-1",
        choices=get_args(Label),
        help="what label 1 means; default: FAKE if the shipped model finds the labels inverted, else REAL",
    )

    crossvalidate = add("crossvalidate", commands.crossvalidate, "k-fold cross-validation")
    _add_training_arguments(crossvalidate)
    crossvalidate.add_argument("--folds", type=_at_least(2), default=5)
    crossvalidate.add_argument(
        "--sample", type=_at_least(1), help="use at most this many pictures, evenly spaced"
    )
    crossvalidate.add_argument("--out", type=Path, required=True, help="folder for metrics.json and plots")

    evaluate = add("evaluate", commands.evaluate, "metrics of a checkpoint on labelled pictures")
    evaluate.add_argument("--data", type=Path, required=True, help=DATA_HELP)
    evaluate.add_argument("--json", type=Path, help="write the metrics to this file")
    evaluate.add_argument("--plot", type=Path, help="write the reliability diagram to this file, as PNG")
    evaluate.add_argument(
        "--robustness", action="store_true", help="accuracy on pictures compressed, blurred, upscaled, ..."
    )
    evaluate.add_argument(
        "--ood", action="store_true", help="detection rates on out-of-distribution pictures: noise, text, ..."
    )
    evaluate.add_argument(
        "--deletion", action="store_true", help="drop of the logit without the pixels that heat maps mark"
    )
    _add_model_arguments(evaluate)
    evaluate.add_argument("--engine", choices=["auto", "torch", "openvino"], default="auto")
    evaluate.add_argument("--precision", choices=get_args(Precision), default="f32")
    _add_positive_class(evaluate, "take the probability of this label as that of label 1 in the data")

    quantise = add(
        "quantise",
        commands.quantise,
        "add int8 ranges to a checkpoint, and measure the accuracy of int8 and bf16",
    )
    quantise.add_argument("--data", type=Path, required=True, help=DATA_HELP)
    quantise.add_argument(
        "--model", type=Path, default=SHIPPED, help="default: the shipped model, %(default)s"
    )
    quantise.add_argument("--out", type=Path, required=True, help="the new checkpoint; must not be --model")
    _add_target(quantise)

    export = add("export", commands.export, "a checkpoint as a file that other programs run")
    export.add_argument("out", type=Path, metavar="OUT", help="the file to write, such as cifake.onnx")
    export.add_argument("--format", choices=["onnx"], default="onnx")
    export.add_argument("--model", type=Path, default=SHIPPED, help="default: the shipped one, %(default)s")

    infer = add("infer", commands.infer, "predictions for a folder of pictures, in the hackathon's format")
    infer.add_argument("images", type=Path, metavar="IMAGES")
    infer.add_argument("--team", required=True)
    infer.add_argument("--out", type=Path, default=Path("outputs"), help="folder for TEAM_prediction.json")
    _add_model_arguments(infer)
    _add_positive_class(infer, "`prediction` is the probability of this label")

    audit = add("audit", commands.audit, "find label errors: compare labels with the model's predictions")
    audit.add_argument("data", type=Path, metavar="DIR", help=DATA_HELP)
    audit.add_argument("--out", type=Path, default=Path("outputs"), help="folder for audit.csv, audit.png")
    audit.add_argument("--show", type=_at_least(0), default=60, help="number of pictures in audit.png")
    _add_model_arguments(audit)

    overlap = add(
        "overlap", commands.overlap, "count pictures of one data set that are in the training data of another"
    )
    overlap.add_argument("data", type=Path, metavar="DIR", help=DATA_HELP)
    overlap.add_argument(
        "other", type=Path, metavar="OTHER", help="the other data set; of a CIFAKE tree, train/"
    )

    plots = add("plots", commands.plot, "write the plots of a run folder")
    plots.add_argument("folder", type=Path, metavar="RUN_DIR")

    submission = add("submission", commands.submission, "check predictions and write the hackathon's ZIP")
    submission.add_argument("--team", required=True)
    submission.add_argument("--data", type=Path, default=Path("data/hackathon"), help="a hackathon tree")
    submission.add_argument("--run", type=Path, default=Path("runs/hackathon"), dest="folder")
    submission.add_argument(
        "--out", type=Path, default=Path("outputs"), help="folder of TEAM_prediction.json and the ZIP"
    )
    return parser


def _add_training_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--recipe", choices=RECIPES, default="cifake")
    command.add_argument("--data", type=Path, required=True, help=DATA_HELP)
    command.add_argument("--seed", type=_seed, help="random seed; default: the recipe's")
    command.add_argument(
        "--init",
        help="initial weights: none, imagenet, shipped, or a checkpoint's path; default: the recipe's",
    )
    _add_target(command)
    command.add_argument("--device", default="auto")
    command.add_argument(
        "--precision",
        choices=get_args(PrecisionOption),
        default="auto",
        help="auto: the faster one of f32 and bf16, by a short benchmark, if the device has bf16",
    )


def _add_target(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--target",
        choices=get_args(Target),
        default="folder",
        help="labels of a hackathon tree: its folders', its detector's, or the mean of both",
    )


def _at_least(least: int) -> Callable[[str], int]:
    """An argparse type: an integer of at least `least`."""

    def integer(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least {least}")
        return int(text)

    return integer


def _seed(text: str) -> int:
    """An argparse type: a seed that both NumPy and PyTorch accept. argparse reports the ValueError."""
    seed = int(text)
    if not 0 <= seed < 2**32:
        raise ValueError
    return seed


def _add_model_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", type=Path, default=SHIPPED)
    command.add_argument("--device", default="auto")


def _add_positive_class(command: argparse.ArgumentParser, description: str) -> None:
    command.add_argument(
        "--positive", dest="positive_class", choices=get_args(Label), default="REAL", help=description
    )
