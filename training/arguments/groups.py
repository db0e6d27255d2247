"""Groups of arguments that several commands have."""

from argparse import ArgumentParser
from pathlib import Path
from typing import get_args

from model import SHIPPED
from model.architecture import BACKBONES
from model.engines.engine import EngineName, Precision
from model.metadata import Label
from training.arguments.types import integer
from training.data.hackathon import Target
from training.fitting.recipe_names import RECIPE_NAMES

DATA_HELP = "a CIFAKE tree, a folder with REAL/ and FAKE/, or a hackathon tree"
MODEL_HELP = "the checkpoint; default: the shipped one, %(default)s"


def add_training(command: ArgumentParser) -> None:
    """What a run needs."""
    command.add_argument(
        "--recipe", choices=RECIPE_NAMES, default="cifake", help="see below; default: %(default)s"
    )
    command.add_argument("--data", type=Path, metavar="DIR", required=True, help=DATA_HELP)
    command.add_argument(
        "--backbone",
        choices=BACKBONES,
        help="the network; all but resnet18 need `pip install --group backbones`; default: the recipe's, "
        "which is resnet18",
    )
    command.add_argument(
        "--seed",
        type=integer(0, 2**32 - 1),  # what both NumPy and PyTorch accept
        metavar="N",
        help="random seed, 0 to 2^32 - 1; default: the recipe's",
    )
    command.add_argument(
        "--epochs",
        type=integer(1),
        metavar="N",
        help="passes over the pictures, all whole and in one cycle of the rate; default: the recipe's",
    )
    command.add_argument(
        "--batch-size", type=integer(2), metavar="N", help="pictures a step; default: the recipe's"
    )
    command.add_argument(
        "--lr", type=float, metavar="X", help="peak of the learning rate, above 0; default: the recipe's"
    )
    command.add_argument(
        "--init",
        metavar="WEIGHTS",
        help="initial weights: none, imagenet, shipped, or a checkpoint's path; default: the recipe's",
    )
    add_target(command)
    add_device(command)
    command.add_argument(
        "--precision",
        choices=("auto", "f32", "bf16"),
        default="auto",
        help="default: auto, the faster one of f32 and bf16, by a short benchmark, if the device has bf16",
    )


def add_target(command: ArgumentParser) -> None:
    """Which labels are learnt."""
    command.add_argument(
        "--target",
        choices=get_args(Target),
        default="folder",
        help="labels of a hackathon tree: its folders', its detector's, or the mean of both; default: folder",
    )


def add_model(command: ArgumentParser) -> None:
    """The checkpoint, where it runs, and what its label 1 means."""
    command.add_argument("--model", type=Path, metavar="FILE", default=SHIPPED, help=MODEL_HELP)
    add_device(command)
    command.add_argument(
        "--label-1",
        choices=get_args(Label),
        help="what label 1 means in the training data of a bare state dict; default: REAL, which is assumed",
    )


def add_device(command: ArgumentParser) -> None:
    """Where the network runs."""
    command.add_argument("--device", default="auto", help="cpu, cuda or auto; default: %(default)s")


def add_engine(command: ArgumentParser, precision: str) -> None:
    """What computes the network. precision: the default."""
    command.add_argument(
        "--engine",
        choices=["auto", *get_args(EngineName)],
        default="auto",
        help="what computes; default: auto, OpenVINO on a CPU and PyTorch on a GPU",
    )
    command.add_argument(
        "--precision",
        choices=["auto", *get_args(Precision)],
        default=precision,
        help="default: %(default)s; auto: what is served, int8 on a CPU where the checkpoint allows it",
    )


def add_positive_class(command: ArgumentParser, description: str) -> None:
    """The class whose probability is meant."""
    command.add_argument(
        "--positive",
        dest="positive_class",
        choices=get_args(Label),
        default="REAL",
        help=f"{description}; default: REAL",
    )


def add_json(command: ArgumentParser, content: str) -> None:
    """A file for machines."""
    command.add_argument(
        "--json", type=Path, metavar="FILE", help=f"write {content} to this file; default: not written"
    )
