"""Commands on data sets alone. `merge` imports no large library."""

from argparse import Namespace

from model.images.preprocess import Preprocess
from training.data.datasets import load_test, load_train
from training.data.hackathon import write_meta


def merge(args: Namespace) -> None:
    """Write a hackathon tree's `*_preds.json` as one `train_meta.json`."""
    print(write_meta(args.data))


def overlap(args: Namespace) -> None:
    """Count the labelled pictures of one data set that are in the training data of another."""
    from training.data.overlap import describe  # imports PyTorch

    pictures = load_test(args.data, Preprocess()).pictures
    others = load_train(args.other, Preprocess()).pictures
    print(describe(pictures, others, args.data, args.other))
