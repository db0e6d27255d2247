"""What commands read: the model and the data set, and what they say of them."""

import sys
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from model.metadata import CheckpointError
from model.predictor import Predictor
from training.data import hackathon
from training.data.datasets import Dataset


def load_predictor(args: Namespace, engine: str = "auto", precision: str = "f32") -> Predictor:
    """The predictor of --model, by --label-1 where the checkpoint has no record of what label 1 means."""
    predictor = Predictor.load(args.model, args.device, engine, precision)
    if args.label_1 is None:
        return predictor
    metadata = predictor.metadata
    if not metadata.positive_class_assumed:
        raise CheckpointError(
            f"{args.model} has a record of what label 1 means, {metadata.positive_class}: leave --label-1 out"
        )
    data = metadata.data | {"label_1": args.label_1}
    return Predictor(replace(metadata, positive_class=args.label_1, data=data), predictor.engine)


def print_dataset(dataset: Dataset, folder: Path) -> None:
    """What was found in a data set's folder; what could not be used goes to standard error."""
    print(f"{folder} is a {dataset.kind}: {len(dataset.pictures)} labelled pictures", flush=True)
    if dataset.issues:
        print(hackathon.describe(dataset.issues), file=sys.stderr)
    else:
        print_unreadable(dataset.pictures.unreadable)


def print_unreadable(unreadable: Iterable[tuple[str, str]]) -> None:
    """A line on standard error for each (name, reason)."""
    for name, reason in unreadable:
        print(f"skipped: {name}: {reason}", file=sys.stderr)
