"""The command line: arguments of the commands."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from model import SHIPPED
from model.engines.engine import EngineName, Precision
from model.metadata import CheckpointError, Label
from training.data.errors import TrainingError
from training.data.hackathon import Target, write_meta
from training.fitting.recipe_names import RECIPE_NAMES

# `training.commands` is imported when one of its commands runs, as it imports PyTorch.
Command = Callable[[argparse.Namespace], None]
EXPECTED_ERRORS = (CheckpointError, TrainingError, OSError, ValueError)
RECIPES_HELP = "recipes:\n" + "\n".join(f"  {name:12}  {text}" for name, text in RECIPE_NAMES.items())
DATA_HELP = "a CIFAKE tree, a folder with REAL/ and FAKE/, or a hackathon tree"


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns 0, 1 after an error, which is printed to standard error, or 130 after Ctrl-C."""
    args = _parser().parse_args(arguments)
    try:
        load_command(args.command)(args)
    except EXPECTED_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped{_resume_hint(args)}", file=sys.stderr)
        return 130
    return 0


def load_command(name: str) -> Command:
    """The function of a command."""
    if name == "merge":
        return lambda args: print(write_meta(args.data))
    from training import commands

    return getattr(commands, {"plots": "plot"}.get(name, name))


def _resume_hint(args: argparse.Namespace) -> str:
    if args.command != "train":
        return ""
    from training.fitting.run import checkpoint_path, state_path

    resumable = state_path(checkpoint_path(args.out)).is_file()
    return "; train --resume continues after the last complete epoch" if resumable else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train and evaluate detectors.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def add(name: str, summary: str, epilog: str = "") -> argparse.ArgumentParser:
        return subparsers.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    merge = add("merge", "merge a hackathon tree's *_preds.json into train_meta.json")
    merge.add_argument("data", type=Path, metavar="DIR")

    train = add("train", "train on folders of pictures; writes a run folder", RECIPES_HELP)
    _add_training_arguments(train)
    train.add_argument(
        "--out",
        type=Path,
        required=True,
        help="the run's folder, which gets cifake_model.pth; or a path that ends in .pth, for another name",
    )
    train.add_argument(
        "--resume", action="store_true", help="continue an interrupted run after its last epoch"
    )
    train.add_argument(
        "--label-1",
        choices=get_args(Label),
        help="what label 1 means; default: FAKE if the shipped model finds the labels inverted, else REAL",
    )

    add("recipes", "the settings of all recipes, as a table")

    crossvalidate = add("crossvalidate", "k-fold cross-validation", RECIPES_HELP)
    _add_training_arguments(crossvalidate)
    crossvalidate.add_argument("--folds", type=_at_least(2), default=5, help="number of parts; default: 5")
    crossvalidate.add_argument(
        "--sample", type=_at_least(1), help="use at most this many pictures, evenly spaced"
    )
    crossvalidate.add_argument("--out", type=Path, required=True, help="folder for metrics.json and plots")

    evaluate = add("evaluate", "metrics of a checkpoint on labelled pictures")
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
    _add_engine_arguments(evaluate, "f32")
    _add_positive_class(evaluate, "take the probability of this label as that of label 1 in the data")

    quantise = add(
        "quantise",
        "add int8 ranges to a checkpoint, and measure the accuracy of int8 and bf16",
    )
    quantise.add_argument("--data", type=Path, required=True, help=DATA_HELP)
    quantise.add_argument(
        "--model", type=Path, default=SHIPPED, help="default: the shipped model, %(default)s"
    )
    quantise.add_argument("--out", type=Path, required=True, help="the new checkpoint; must not be --model")
    _add_target(quantise)

    export = add("export", "a checkpoint as a file that other programs run")
    export.add_argument("out", type=Path, metavar="OUT", help="the file to write, such as cifake.onnx")
    export.add_argument("--format", choices=["onnx"], default="onnx", help="default: %(default)s")
    export.add_argument("--model", type=Path, default=SHIPPED, help="default: the shipped one, %(default)s")

    infer = add("infer", "predictions for a folder of pictures, in the hackathon's format")
    infer.add_argument("images", type=Path, metavar="IMAGES")
    infer.add_argument("--team", required=True, help="name, for the names of the files")
    infer.add_argument(
        "--out",
        type=Path,
        default=Path("outputs"),
        help="folder for TEAM_prediction.json; default: %(default)s",
    )
    _add_model_arguments(infer)
    _add_positive_class(infer, "`prediction` is the probability of this label")
    infer.add_argument(
        "--missing",
        type=_probability,
        metavar="P",
        help="prediction, 0 to 1, of pictures that cannot be read; default: they are left out",
    )

    predict = add("predict", "label, confidence and domain of picture files")
    predict.add_argument(
        "images",
        type=Path,
        metavar="IMAGE",
        nargs="+",
        help="a picture, or a folder of them",
    )
    predict.add_argument("--json", type=Path, help="write the answers to this file")
    _add_model_arguments(predict)
    _add_engine_arguments(predict, "auto")

    audit = add("audit", "find label errors: compare labels with the model's predictions")
    audit.add_argument("data", type=Path, metavar="DIR", help=DATA_HELP)
    audit.add_argument(
        "--out",
        type=Path,
        default=Path("outputs"),
        help="folder for audit.csv, audit.png; default: %(default)s",
    )
    audit.add_argument(
        "--show", type=_at_least(0), default=60, help="number of pictures in audit.png; default: %(default)s"
    )
    _add_model_arguments(audit)

    overlap = add("overlap", "count pictures of one data set that are in the training data of another")
    overlap.add_argument("data", type=Path, metavar="DIR", help=DATA_HELP)
    overlap.add_argument(
        "other", type=Path, metavar="OTHER", help="the other data set; of a CIFAKE tree, train/"
    )

    plots = add("plots", "write the plots of a run folder")
    plots.add_argument("folder", type=Path, metavar="RUN_DIR")

    submission = add("submission", "check predictions and write the hackathon's ZIP")
    submission.add_argument("--team", required=True, help="name, as it was given to infer")
    submission.add_argument(
        "--data", type=Path, default=Path("data/hackathon"), help="a hackathon tree; default: %(default)s"
    )
    submission.add_argument(
        "--run",
        type=Path,
        default=Path("runs/hackathon"),
        dest="folder",
        help="the run folder of train; default: %(default)s",
    )
    submission.add_argument(
        "--out",
        type=Path,
        default=Path("outputs"),
        help="folder of TEAM_prediction.json and the ZIP; default: %(default)s",
    )
    submission.add_argument(
        "--force", action="store_true", help="pack predictions that do not fit the run; the README says so"
    )
    return parser


def _add_training_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--recipe", choices=RECIPE_NAMES, default="cifake", help="see below; default: %(default)s"
    )
    command.add_argument("--data", type=Path, required=True, help=DATA_HELP)
    command.add_argument("--seed", type=_seed, help="random seed, 0 to 2^32 - 1; default: the recipe's")
    command.add_argument(
        "--epochs",
        type=_at_least(1),
        help="passes over the pictures, all whole and in one cycle of the rate; default: the recipe's",
    )
    command.add_argument("--batch-size", type=_at_least(2), help="pictures a step; default: the recipe's")
    command.add_argument("--lr", type=float, help="peak of the learning rate; default: the recipe's")
    command.add_argument(
        "--init",
        help="initial weights: none, imagenet, shipped, or a checkpoint's path; default: the recipe's",
    )
    _add_target(command)
    command.add_argument("--device", default="auto", help="cpu, cuda or auto; default: %(default)s")
    command.add_argument(
        "--precision",
        choices=("auto", "f32", "bf16"),
        default="auto",
        help="default: auto, the faster one of f32 and bf16, by a short benchmark, if the device has bf16",
    )


def _add_target(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--target",
        choices=get_args(Target),
        default="folder",
        help="labels of a hackathon tree: its folders', its detector's, or the mean of both; default: folder",
    )


def _at_least(least: int) -> Callable[[str], int]:
    """An argparse type: an integer of at least `least`."""

    def integer(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least {least}")
        return int(text)

    return integer


def _probability(text: str) -> float:
    """An argparse type: a number from 0 to 1. argparse reports the ValueError."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def _seed(text: str) -> int:
    """An argparse type: a seed that both NumPy and PyTorch accept. argparse reports the ValueError."""
    seed = int(text)
    if not 0 <= seed < 2**32:
        raise ValueError
    return seed


def _add_model_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", type=Path, default=SHIPPED, help="default: the shipped one, %(default)s")
    command.add_argument("--device", default="auto", help="cpu, cuda or auto; default: %(default)s")
    command.add_argument(
        "--label-1",
        choices=get_args(Label),
        help="what label 1 means in the training data of a bare state dict; default: REAL, which is assumed",
    )


def _add_engine_arguments(command: argparse.ArgumentParser, precision: str) -> None:
    command.add_argument(
        "--engine", choices=["auto", *get_args(EngineName)], default="auto", help="default: auto"
    )
    command.add_argument(
        "--precision",
        choices=["auto", *get_args(Precision)],
        default=precision,
        help="default: %(default)s; auto: what is served, int8 on a CPU where the checkpoint allows it",
    )


def _add_positive_class(command: argparse.ArgumentParser, description: str) -> None:
    command.add_argument(
        "--positive",
        dest="positive_class",
        choices=get_args(Label),
        default="REAL",
        help=f"{description}; default: REAL",
    )
