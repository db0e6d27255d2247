"""The command that judges a checkpoint on labelled pictures."""

import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from model.checkpoint import Checkpoint
from training.commands.checkpoints import check_is_other_file, save_copy
from training.commands.inputs import load_predictor, print_dataset
from training.data.datasets import load_test
from training.data.published_test import describe_selection, select_ours
from training.data.reports import check_files, write_json
from training.evaluation import deletion, ood, robustness
from training.evaluation.audit import MIN_AGREEMENT
from training.evaluation.evaluate import describe_positive_class
from training.evaluation.evaluate import evaluate as evaluate_pictures
from training.evaluation.figures import save_figure
from training.evaluation.metrics import describe
from training.evaluation.plots import reliability_diagram

DELETION_SAMPLE = 1000


def evaluate(args: Namespace) -> None:
    """Print the metrics of a checkpoint on labelled pictures, and the results of the optional tests."""
    check_files(args.json, args.plot, args.out)
    if args.out:
        check_is_other_file(args.out, args.model)
    predictor = load_predictor(args, args.engine, args.precision)
    if args.ood:
        ood.check_detector(predictor.metadata)
    if args.robustness:
        robustness.check_size(predictor.preprocess.size)
    dataset = load_test(args.data, predictor.preprocess)
    print_dataset(dataset, args.data)
    pictures = dataset.pictures
    if args.split == "ours":
        pictures = select_ours(dataset.pictures)
        print(describe_selection(pictures, len(dataset.pictures)), flush=True)
    start = time.monotonic()
    evaluation = evaluate_pictures(predictor, pictures, args.positive_class)
    seconds = time.monotonic() - start
    print(f"{args.model} on {args.data}, P({args.positive_class}) as the probability of label 1\n")
    print(f"{describe_positive_class(predictor.metadata)}\n\n{describe(evaluation.metrics)}\n")
    print(f"{seconds / len(pictures) * 1000:.2f} ms a picture, {predictor.info}", flush=True)
    if evaluation.metrics["accuracy"] < 1 - MIN_AGREEMENT:
        print("\nThe labels look inverted: check them with `audit`, or choose another --positive.")
    report = {
        "model_sha256": predictor.metadata.digest,
        "engine": str(predictor.info),
        "positive_class": args.positive_class,
        "data": {
            "folder": str(args.data),
            "kind": dataset.kind,
            "split": args.split,
            "found": len(dataset.pictures),
            "sha256": pictures.digest(),
            "unreadable": len(dataset.pictures.unreadable),
        },
        **evaluation.metrics,
    }
    if args.plot:
        curves = {"before calibration": evaluation.uncalibrated, "after": evaluation.predictions}
        save_figure(args.plot, lambda axes: reliability_diagram(axes, curves, pictures.labels))
    if args.robustness:
        labels = pictures.labels if args.positive_class == "REAL" else 1 - pictures.labels
        report["robustness"] = robustness.robustness(predictor, pictures.images, labels)
        print("\n" + robustness.describe(report["robustness"]), flush=True)
    if args.ood:
        report["ood"] = ood.detection_rates(predictor)
        print("\n" + ood.describe(report["ood"]), flush=True)
    if args.deletion:
        report["deletion"] = deletion.deletion(predictor, pictures.subsample(DELETION_SAMPLE).images)
        print("\n" + deletion.describe(report["deletion"]))
    if args.json:
        write_json(args.json, report)
    if args.out:
        _save_with_metrics(args.model, report, args.out)
        print(f"\n{args.out} written, with these metrics as its `metrics.test`")


def _save_with_metrics(path: Path, report: dict[str, Any], out: Path) -> None:
    """Write a copy of the checkpoint at `path` whose `metrics.test` is the report of `evaluate`."""
    checkpoint = Checkpoint.load(path)
    test = {name: value for name, value in report.items() if name != "model_sha256"}
    test["data"] = {name: value for name, value in test["data"].items() if name != "folder"}
    save_copy(checkpoint.with_metadata(metrics=checkpoint.metadata.metrics | {"test": test}), path, out)
