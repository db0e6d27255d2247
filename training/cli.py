"""The command line: runs a command, and tells its errors in one sentence."""

import argparse
import sys
from collections.abc import Callable
from importlib import import_module

from model.metadata import CheckpointError
from training import progress
from training.arguments.parser import create_parser
from training.data.errors import TrainingError

Command = Callable[[argparse.Namespace], None]
EXPECTED_ERRORS = (CheckpointError, TrainingError, OSError, ValueError)

MODULES = {
    "audit": "audit",
    "crossvalidate": "runs",
    "evaluate": "evaluation",
    "explain": "pictures",
    "export": "checkpoints",
    "infer": "pictures",
    "merge": "data",
    "overlap": "data",
    "plots": "runs",
    "predict": "pictures",
    "quantise": "checkpoints",
    "recipes": "runs",
    "submission": "submission",
    "train": "runs",
}
"""The module in `training.commands` that has the function of a command, which has its name."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns 0, 1 after an error, which is printed to standard error, or 130 after Ctrl-C."""
    args = create_parser().parse_args(arguments)
    try:
        load_command(args.command)(args)
    except EXPECTED_ERRORS as error:
        progress.clear()
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        progress.clear()
        print(f"stopped{_resume_hint(args)}", file=sys.stderr)
        return 130
    return 0


def load_command(name: str) -> Command:
    """The function of a command. Its module is imported here, as most import large libraries."""
    return getattr(import_module(f"training.commands.{MODULES[name]}"), name)


def _resume_hint(args: argparse.Namespace) -> str:
    if args.command != "train":
        return ""
    from training.fitting.run import checkpoint_path, state_path

    resumable = state_path(checkpoint_path(args.out)).is_file()
    return "; train --resume continues after the last complete epoch" if resumable else ""
