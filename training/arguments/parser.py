"""The parser of the command line."""

import argparse
from pathlib import Path
from typing import get_args

from model import SHIPPED
from model.metadata import Label
from training.arguments import groups
from training.arguments.types import integer, probability
from training.fitting.recipe_names import RECIPE_NAMES

RECIPES_HELP = "recipes:\n" + "\n".join(f"  {name:14}  {text}" for name, text in RECIPE_NAMES.items())


def create_parser() -> argparse.ArgumentParser:
    """The parser of all commands, whose name is the attribute `command`."""
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
    merge.add_argument("data", type=Path, metavar="DIR", help="a hackathon tree")

    train = add("train", "train on folders of pictures; writes a run folder", RECIPES_HELP)
    groups.add_training(train)
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
    groups.add_training(crossvalidate)
    crossvalidate.add_argument(
        "--folds", type=integer(2), metavar="N", default=5, help="number of parts; default: 5"
    )
    crossvalidate.add_argument(
        "--sample",
        type=integer(1),
        metavar="N",
        help="use at most this many pictures, evenly spaced; default: all",
    )
    crossvalidate.add_argument("--out", type=Path, required=True, help="folder for metrics.json and plots")

    evaluate = add("evaluate", "metrics of a checkpoint on labelled pictures")
    evaluate.add_argument("--data", type=Path, required=True, help=groups.DATA_HELP)
    evaluate.add_argument(
        "--split",
        choices=("published", "ours"),
        default="published",
        help="published: all test pictures; ours: those of CIFAKE's published 20,000 that the project's "
        "figures are of, one half; default: %(default)s",
    )
    groups.add_json(evaluate, "the metrics")
    evaluate.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="write the reliability diagram to this file, as PNG; default: not drawn",
    )
    evaluate.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write a copy of the checkpoint that has these metrics as `metrics.test`, which the service's "
        "/model and its web page show; must not be --model; default: not written",
    )
    evaluate.add_argument(
        "--robustness", action="store_true", help="accuracy on pictures compressed, blurred, upscaled, ..."
    )
    evaluate.add_argument(
        "--ood", action="store_true", help="detection rates on out-of-distribution pictures: noise, text, ..."
    )
    evaluate.add_argument(
        "--deletion", action="store_true", help="drop of the logit without the pixels that heat maps mark"
    )
    groups.add_model(evaluate)
    groups.add_engine(evaluate, "f32")
    groups.add_positive_class(evaluate, "take the probability of this label as that of label 1 in the data")

    quantise = add(
        "quantise",
        "add int8 ranges to a checkpoint, and measure the accuracy of int8 and bf16",
    )
    quantise.add_argument("--data", type=Path, required=True, help=groups.DATA_HELP)
    quantise.add_argument("--model", type=Path, metavar="FILE", default=SHIPPED, help=groups.MODEL_HELP)
    quantise.add_argument("--out", type=Path, required=True, help="the new checkpoint; must not be --model")
    groups.add_target(quantise)

    export = add("export", "a checkpoint as a file that other programs run")
    export.add_argument("out", type=Path, metavar="OUT", help="the file to write, such as cifake.onnx")
    export.add_argument(
        "--format", choices=["onnx"], default="onnx", help="the file's format; default: %(default)s"
    )
    export.add_argument("--model", type=Path, metavar="FILE", default=SHIPPED, help=groups.MODEL_HELP)

    infer = add("infer", "predictions for a folder of pictures, in the hackathon's format")
    infer.add_argument("images", type=Path, metavar="IMAGES", help="the folder of the pictures")
    infer.add_argument("--team", required=True, help="name, for the names of the files")
    infer.add_argument(
        "--out",
        type=Path,
        default=Path("outputs"),
        help="folder for TEAM_prediction.json; default: %(default)s",
    )
    groups.add_model(infer)
    groups.add_positive_class(infer, "`prediction` is the probability of this label")
    infer.add_argument(
        "--missing",
        type=probability,
        metavar="P",
        help="prediction, 0 to 1, of pictures that cannot be read; default: they are left out",
    )
    groups.add_json(infer, "a summary")

    predict = add("predict", "label, confidence and domain of picture files")
    predict.add_argument(
        "images",
        type=Path,
        metavar="IMAGE",
        nargs="+",
        help="a picture, or a folder of them",
    )
    groups.add_json(predict, "the answers")
    groups.add_model(predict)
    groups.add_engine(predict, "auto")

    explain = add("explain", "heat maps of what the answers to picture files go by")
    explain.add_argument(
        "images", type=Path, metavar="IMAGE", nargs="+", help="a picture, or a folder of them"
    )
    explain.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="the folder that gets NAME_gradcam.png of each"
    )
    explain.add_argument(
        "--size",
        type=integer(128, 2048),
        metavar="PX",
        default=384,
        help="side of the enlarged picture in pixels, 128 to 2048; default: %(default)s",
    )
    groups.add_model(explain)

    audit = add("audit", "find label errors: compare labels with the model's predictions")
    audit.add_argument("data", type=Path, metavar="DIR", help=groups.DATA_HELP)
    audit.add_argument(
        "--out",
        type=Path,
        default=Path("outputs"),
        help="folder for audit.csv, audit.png; default: %(default)s",
    )
    audit.add_argument(
        "--show",
        type=integer(0),
        metavar="N",
        default=60,
        help="number of pictures in audit.png; default: %(default)s",
    )
    groups.add_model(audit)
    groups.add_json(audit, "the verdict and its numbers")

    overlap = add("overlap", "count pictures of one data set that are in the training data of another")
    overlap.add_argument("data", type=Path, metavar="DIR", help=groups.DATA_HELP)
    overlap.add_argument(
        "other", type=Path, metavar="OTHER", help="the other data set; of a CIFAKE tree, train/"
    )

    plots = add("plots", "write the plots of a run folder")
    plots.add_argument("folder", type=Path, metavar="RUN_DIR", help="the run folder of train")

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
