"""The commands of the command line: each takes the parsed arguments, and prints or writes its results."""

import sys
import time
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from model import predictions
from model.checkpoint import Checkpoint
from model.engines.hardware import autocast, pick_device
from model.files import check_writable
from model.images.preprocess import Preprocess
from model.metadata import CheckpointError, Label
from model.predictor import Predictor
from training.data import hackathon
from training.data import overlap as overlaps
from training.data.datasets import Dataset, load_test, load_train
from training.data.fingerprints import copy_fingerprints
from training.data.labelled_images import DataError, picture_files
from training.data.reports import check_files, torch_writes, write_json
from training.evaluation import answers, deletion, figures, ood, plots, robustness
from training.evaluation import audit as audits
from training.evaluation import evaluate as evaluations
from training.evaluation.metrics import classification_metrics, describe
from training.evaluation.validation_overlap import describe_overlap, has_unseen
from training.fitting import run as runs
from training.fitting.fitted import Options, seen_by
from training.fitting.initial_weights import initial_weights
from training.fitting.loop import ResumeError
from training.fitting.recipe_names import RECIPE_NAMES
from training.fitting.recipes import RECIPES, Recipe
from training.submission import consistency, package
from training.submission import infer as inference
from training.submission.origin import Origin, sha256, write_origin

DELETION_SAMPLE = 1000


def train(args: Namespace) -> None:
    """Write a checkpoint, and beside it the run's metrics, predictions and plots."""
    recipe, out = _recipe(args), runs.checkpoint_path(args.out)
    run_options = Options(args.init, args.resume, args.device, args.precision)
    check_files(out)
    state = runs.state_path(out)
    if args.resume and not state.is_file():
        raise ResumeError(f"nothing to resume: there is no file {state}, which a finished run has removed")
    if not args.resume and state.exists():
        raise ResumeError(
            f"{state} is of an interrupted run: continue it with --resume, or delete it to start afresh"
        )
    runs.check_room(recipe, out)
    _check_before_loading(recipe, args)
    start = time.monotonic()
    dataset = _load_train(recipe, args)
    positive_class = args.label_1 or _detect_positive_class(dataset, args)
    checkpoint = runs.run(recipe, dataset, out, run_options, positive_class)
    plotted = plots.plot_run(out.parent)
    print("\n" + (out.with_name("history.csv")).read_text())
    _print_metrics("on validation", checkpoint.metadata.metrics)
    print(checkpoint.metadata.calibration)
    print(evaluations.describe_positive_class(checkpoint.metadata))
    print(f"\n{out} and {len(plotted)} plots written after {(time.monotonic() - start) / 60:.0f} min")


def crossvalidate(args: Namespace) -> None:
    """Write and print the metrics of out-of-fold predictions."""
    recipe = _recipe(args)
    run_options = Options(args.init, device=args.device, precision=args.precision)
    check_writable(args.out)
    _check_before_loading(recipe, args)
    dataset = _load_train(recipe, args)
    if args.sample:
        dataset = replace(dataset, pictures=dataset.pictures.subsample(args.sample))
    pictures, p = runs.cross_validate(recipe, dataset, args.folds, args.out, run_options)
    init = args.init or recipe.init
    overlap = runs.overlap_record(init, seen_by(init, pictures), p, pictures.labels)
    metrics = {"validation": classification_metrics(p, pictures.labels)} | overlap
    write_json(args.out / "metrics.json", {"folds": args.folds} | metrics)
    plots.plot_run(args.out)
    print()
    _print_metrics(f"{args.folds} folds of recipe {recipe.name}", metrics)


def evaluate(args: Namespace) -> None:
    """Print the metrics of a checkpoint on labelled pictures, and the results of the optional tests."""
    check_files(args.json, args.plot)
    predictor = _load_predictor(args, args.engine, args.precision)
    if args.ood:
        ood.check_detector(predictor.metadata)
    if args.robustness:
        robustness.check_size(predictor.preprocess.size)
    dataset = load_test(args.data, predictor.preprocess)
    pictures = dataset.pictures
    _print_dataset(dataset, args.data)
    start = time.monotonic()
    evaluation = evaluations.evaluate(predictor, pictures, args.positive_class)
    seconds = time.monotonic() - start
    print(f"{args.model} on {args.data}, P({args.positive_class}) as the probability of label 1\n")
    print(f"{evaluations.describe_positive_class(predictor.metadata)}\n")
    print(f"{describe(evaluation.metrics)}\n\n{evaluations.describe_extra(evaluation.metrics)}")
    print(f"{seconds / len(pictures) * 1000:.2f} ms a picture, {predictor.info}")
    if evaluation.metrics["accuracy"] < 1 - audits.MIN_AGREEMENT:
        print("\nThe labels look inverted: check them with `audit`, or choose another --positive.")
    report = {
        "model_sha256": predictor.metadata.digest,
        "engine": str(predictor.info),
        "positive_class": args.positive_class,
        "data": {
            "folder": str(args.data),
            "kind": dataset.kind,
            "sha256": pictures.digest(),
            "unreadable": len(pictures.unreadable),
        },
        **evaluation.metrics,
    }
    if args.plot:
        curves = {"before calibration": evaluation.uncalibrated, "after": evaluation.predictions}
        figures.save_figure(args.plot, lambda axes: plots.reliability_diagram(axes, curves, pictures.labels))
    if args.robustness:
        labels = pictures.labels if args.positive_class == "REAL" else 1 - pictures.labels
        report["robustness"] = robustness.robustness(predictor, pictures.images, labels)
        print("\n" + robustness.describe(report["robustness"]))
    if args.ood:
        report["ood"] = ood.detection_rates(predictor)
        print("\n" + ood.describe(report["ood"]))
    if args.deletion:
        report["deletion"] = deletion.deletion(predictor, pictures.subsample(DELETION_SAMPLE).images)
        print("\n" + deletion.describe(report["deletion"]))
    if args.json:
        write_json(args.json, report)


def quantise(args: Namespace) -> None:
    """Write a copy of a checkpoint that has int8 ranges."""
    from training.fitting import quantization  # its import takes ten seconds

    if args.out.resolve() == args.model.resolve():
        raise DataError(f"--out is the same file as --model, {args.model}: give another file")
    check_files(args.out)
    checkpoint = Checkpoint.load(args.model)
    dataset = load_train(args.data, checkpoint.metadata.preprocess, args.target)
    checkpoint = quantization.quantise(checkpoint, dataset)
    with torch_writes(args.out):
        checkpoint.save(args.out)
    copy_fingerprints(args.model, checkpoint.metadata.digest, args.out)
    print(quantization.describe(checkpoint.metadata))
    print(f"{args.out} written")


def export(args: Namespace) -> None:
    """Write a checkpoint as a file that needs nothing of this project."""
    from training.export.onnx_export import CHECKED, export_onnx  # imports OpenVINO

    if args.out.resolve() == args.model.resolve():
        raise DataError(f"OUT is the checkpoint that is read, {args.model}: name another file")
    check_files(args.out)
    path = export_onnx(Checkpoint.load(args.model), args.out)
    size = path.stat().st_size / 1e6
    print(f"{path}: {size:.0f} MB, its answers to {CHECKED} pictures checked by onnxruntime")


def infer(args: Namespace) -> None:
    """Write `TEAM_prediction.json` for a folder of pictures."""
    team = predictions.validate_team(args.team)
    check_writable(args.out)
    predictor = _load_predictor(args)
    result = inference.infer(args.images, predictor)
    _print_unreadable(result.unreadable)
    rows, missing = result.rows, 0
    if args.missing is not None and result.unreadable:
        p_real = args.missing if args.positive_class == "REAL" else 1 - args.missing
        rows, missing = rows + [(name, p_real) for name, _ in result.unreadable], len(result.unreadable)
        print(f"warning: {missing} unreadable pictures have the prediction {args.missing:g}", file=sys.stderr)
    body = predictions.encode(rows, args.positive_class)
    path = predictions.write(args.out, team, body, result.unreadable)
    digest, images = predictor.metadata.digest, str(args.images)
    write_origin(path, Origin(sha256(body), digest, args.positive_class, images, missing))
    print(f"{len(rows)} predictions of P({args.positive_class}) written to {path}")
    print(evaluations.describe_positive_class(predictor.metadata))


def predict(args: Namespace) -> None:
    """Print the answer to each picture file, and the numbers of them for each folder and over all."""
    check_files(args.json)
    predictor = _load_predictor(args, args.engine, args.precision)
    print(f"{args.model}, {predictor.info}\n\n{answers.TABLE_HEADER}")
    total = answers.Counts()
    folders: list[tuple[Path, answers.Counts]] = []
    rows: list[dict[str, Any]] = []
    for folder, group in answers.answer_arguments(args.images, predictor):
        counts = answers.Counts()
        for answer in group:
            print(answers.table_row(answer, folder), flush=True)
            counts.add(answer)
            total.add(answer)
            if args.json:
                rows.append(answer.to_json())
        if folder:
            folders.append((folder, counts))
    print("", *(f"{folder}: {counts.describe()}" for folder, counts in folders), sep="\n")
    print(f"all: {total.describe()}")
    if args.json:
        report = {
            "model_sha256": predictor.metadata.digest,
            "engine": str(predictor.info),
            "files": rows,
            "folders": [{"folder": str(folder), **asdict(counts)} for folder, counts in folders],
            "all": asdict(total),
        }
        write_json(args.json, report)
    if not total.pictures:
        raise DataError("no picture could be read: give pictures, or folders of them")


def audit(args: Namespace) -> None:
    """Compare labels with the model's predictions; write `audit.csv` and `audit.png`."""
    check_writable(args.out)
    predictor = _load_predictor(args)
    dataset = load_test(args.data, predictor.preprocess)
    pictures = dataset.pictures
    _print_dataset(dataset, args.data)
    p = predictor.predict_proba(pictures.images)
    result = audits.audit(p, pictures.labels, audits.validation_error(predictor.metadata))
    shown = audits.write_report(args.out, pictures, result, args.show)
    print(f"{len(pictures)} pictures. {result.describe()}\n")
    if "label_1" not in predictor.metadata.data:
        print(evaluations.describe_positive_class(predictor.metadata))
        print("Where these labels are right and look inverted, it is FAKE: give --label-1 FAKE.\n")
    print("highest probability of a label error:")
    for i in shown[:10]:
        print(f"  {result.label_error_probability[i]:.2%}  {pictures.names[i]}")
    print(f"\nall in {args.out / 'audit.csv'}, the first {len(shown)} in {args.out / 'audit.png'}")


def overlap(args: Namespace) -> None:
    """Count the labelled pictures of one data set that are in the training data of another."""
    pictures = load_test(args.data, Preprocess()).pictures
    others = load_train(args.other, Preprocess()).pictures
    print(overlaps.describe(pictures, others, args.data, args.other))


def plot(args: Namespace) -> None:
    """Write the PNGs of a run folder."""
    print(*plots.plot_run(args.folder), sep="\n")


def submission(args: Namespace) -> None:
    """Write the ZIP of a team's predictions, a README and a presentation."""
    team = predictions.validate_team(args.team)
    check_writable(args.out)
    tree = hackathon.get_tree(args.data)
    if tree.test is None:
        raise DataError(f"{args.data} has no test_images/")
    path = args.out / f"{team}_prediction.json"
    if not path.is_file():
        raise DataError(f"there is no {path}: `infer {tree.test} --team {team}` writes it")
    expected = [file.name for file in picture_files(tree.test)]
    archive, content = args.out / f"{team}_submission.zip", path.read_bytes()
    report = package.read_run(args.folder)
    package.check_predictions(content, expected)
    remarks = consistency.check_consistency(path, content, args.folder, report, tree.test, args.force)
    for remark in remarks:
        print(f"warning: {remark}", file=sys.stderr)
    package.build_zip(archive, team, content, expected, args.folder, args.data, remarks)
    print(f"{archive}: predictions for all {len(expected)} test pictures, README and presentation")


def _load_predictor(args: Namespace, engine: str = "auto", precision: str = "f32") -> Predictor:
    """The predictor of --model, by --label-1 where the checkpoint has no record of what label 1 means."""
    predictor = Predictor.load(args.model, args.device, engine, precision)
    if args.label_1 is None:
        return predictor
    metadata = predictor.metadata
    if "label_1" in metadata.data:
        raise CheckpointError(
            f"{args.model} has a record of what label 1 means, {metadata.positive_class}: leave --label-1 out"
        )
    data = metadata.data | {"label_1": args.label_1}
    return Predictor(replace(metadata, positive_class=args.label_1, data=data), predictor.engine)


def recipes(args: Namespace) -> None:
    """Print the recipes as a table."""
    rows = [("recipe", "px", "epochs", "batch", "rate", "optimizer", "init", "validation", "what it is")]
    for recipe in RECIPES.values():
        rows.append(
            (
                recipe.name,
                str(recipe.preprocess.size),
                str(recipe.epochs),
                str(recipe.batch_size),
                f"{recipe.learning_rate:g}",
                recipe.optimizer,
                recipe.init,
                f"{recipe.validation_fraction:.0%}",
                RECIPE_NAMES[recipe.name],
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _recipe(args: Namespace) -> Recipe:
    return RECIPES[args.recipe].override(
        epochs=args.epochs, batch_size=args.batch_size, learning_rate=args.lr, seed=args.seed
    )


def _check_before_loading(recipe: Recipe, args: Namespace) -> None:
    """Raise the errors of device, precision and initial weights before minutes are spent on loading data."""
    autocast(pick_device(args.device), args.precision)
    initial_weights(args.init or recipe.init, recipe.architecture)


def _load_train(recipe: Recipe, args: Namespace) -> Dataset:
    dataset = load_train(args.data, recipe.preprocess, args.target)
    _print_dataset(dataset, args.data)
    return dataset


def _detect_positive_class(dataset: Dataset, args: Namespace) -> Label:
    """What label 1 means by the shipped model's predictions; REAL unless the labels look inverted."""
    pictures, preprocess = dataset.pictures, Preprocess()
    if pictures.images.shape[1] != preprocess.size:
        pictures = load_train(args.data, preprocess, args.target).pictures
    result = runs.audit_labels(pictures, args.device)
    if result is None:
        print("labels are not checked: there is no shipped model")
        return "REAL"
    print(f"{'' if result.verdict == 'sound' else 'warning: '}{result.describe()}", flush=True)
    return "FAKE" if result.inverted else "REAL"


def _print_metrics(where: str, metrics: dict[str, Any]) -> None:
    """The figures of a run, and what the initial weights had seen; only that where they had seen all."""
    if overlap := describe_overlap(metrics):
        print(overlap)
    if has_unseen(metrics):
        print(f"{where}:\n{describe(metrics['validation'])}")


def _print_dataset(dataset: Dataset, folder: Path) -> None:
    print(f"{folder} is a {dataset.kind}: {len(dataset.pictures)} labelled pictures", flush=True)
    _print_issues(dataset.issues)
    if not dataset.issues:
        _print_unreadable(dataset.pictures.unreadable)


def _print_unreadable(unreadable: list[tuple[str, str]]) -> None:
    for name, reason in unreadable:
        print(f"skipped: {name}: {reason}", file=sys.stderr)


def _print_issues(issues: hackathon.DataIssues) -> None:
    if issues:
        print(hackathon.describe(issues), file=sys.stderr)
