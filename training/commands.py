"""What the commands do, and what they print."""

import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from model import predictions
from model.checkpoint import Checkpoint
from model.engines.hardware import autocast, pick_device
from model.files import check_writable
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata, Label
from model.predictor import Predictor
from training.data import hackathon
from training.data.labelled_images import LABELS, DataError, picture_files
from training.data.overlap import MATCH_RMSE, nearest
from training.data.reports import check_files, write_csv, write_json
from training.data.sources import Source, read_test, read_training
from training.evaluation import audit as audits
from training.evaluation import deletion, plots, robustness
from training.evaluation import evaluate as evaluations
from training.evaluation import ood as limits
from training.evaluation.metrics import describe, score
from training.fitting import run as runs
from training.fitting.initial_weights import initial_weights
from training.fitting.loop import ResumeError
from training.fitting.recipes import RECIPES, Recipe
from training.submission import infer as inference
from training.submission import package as submissions

EXPLAINED = 1000
WORDS = {label: word for word, label in LABELS.items()}


def merge(options: Namespace) -> None:
    """`train_meta.json` beside the folders of a hackathon tree."""
    tree = _tree(options.data)
    everything, findings = hackathon.examples(tree)
    rows = hackathon.meta(everything)
    path = options.data / "train_meta.json"
    write_json(path, rows)
    _tell(findings)
    print(f"{len(rows)} rows of {len(everything)} pictures written to {path}")


def train(options: Namespace) -> None:
    """A checkpoint, and beside it the run's tables, figures and plots."""
    recipe = _recipe(options)
    how = runs.Options(options.init, options.resume, options.device, options.precision)
    check_files(options.out)
    state = runs.state_path(options.out)
    if state == options.out:
        raise DataError(f"--out {options.out}: a file of that ending is the state of a run, not a checkpoint")
    if options.resume and not state.is_file():
        raise ResumeError(f"nothing to resume: there is no file {state}")
    check_files(state)
    _check_early(recipe, options)
    start = time.monotonic()
    source = _source(recipe, options)
    positive_class = options.label_1 or _looked(source, options)
    checkpoint = runs.run(recipe, source, options.out, how, positive_class)
    drawn = plots.plot_run(options.out.parent)
    print("\n" + (options.out.with_name("history.csv")).read_text())
    print(f"on validation, {checkpoint.metadata.calibration}:")
    print(describe(checkpoint.metadata.metrics["validation"]))
    _tell_positive_class(checkpoint.metadata)
    print(f"\n{options.out} and {len(drawn)} plots written after {(time.monotonic() - start) / 60:.0f} min")


def crossvalidate(options: Namespace) -> None:
    """Figures of predictions that were each made by a model without that picture."""
    recipe = _recipe(options)
    how = runs.Options(options.init, device=options.device, precision=options.precision)
    check_writable(options.out)
    _check_early(recipe, options)
    source = _source(recipe, options)
    if options.sample:
        source = replace(source, pictures=source.pictures.subsample(options.sample))
    pictures, p = runs.cross_validate(recipe, source, options.folds, options.out, how)
    scores = score(p, pictures.labels)
    write_json(options.out / "metrics.json", {"folds": options.folds, "validation": scores})
    plots.plot_run(options.out)
    print(f"\n{options.folds} folds of recipe {recipe.name}:\n{describe(scores)}")


def evaluate(options: Namespace) -> None:
    """Figures of a checkpoint on labelled pictures, and what more is asked for."""
    check_files(options.json, options.plot)
    predictor = Predictor.load(options.model, options.device, options.engine, options.precision)
    if options.ood:
        limits.check_detector(predictor.metadata)
    if options.robustness:
        robustness.check_size(predictor.preprocess.size)
    source = read_test(options.data, predictor.preprocess)
    pictures = source.pictures
    _tell_source(source, options.data)
    start = time.monotonic()
    found = evaluations.evaluate(predictor, pictures, options.positive_class)
    seconds = time.monotonic() - start
    print(f"{options.model} on {options.data}, P({options.positive_class}) against label 1\n")
    print(describe(found.figures))
    print(f"\n{evaluations.describe_more(found.figures)}")
    print(f"{seconds / len(pictures) * 1000:.2f} ms a picture, {predictor.info}")
    if found.figures["accuracy"] < 1 - audits.MIN_AGREEMENT:
        print("\nThe labels look inverted: `audit` says more, --positive turns the reading round.")
    report = {
        "model_sha256": predictor.metadata.digest,
        "engine": str(predictor.info),
        "positive_class": options.positive_class,
        "data": {
            "folder": str(options.data),
            "kind": source.kind,
            "sha256": pictures.digest(),
            "unreadable": len(pictures.unreadable),
        },
        **found.figures,
    }
    if options.plot:
        curves = {"before calibration": found.uncalibrated, "after": found.predictions}
        plots.save(options.plot, lambda axes: plots.reliability(axes, curves, pictures.labels))
    if options.robustness:
        real = pictures.labels if options.positive_class == "REAL" else 1 - pictures.labels
        report["robustness"] = robustness.robustness(predictor, pictures.images, real)
        print("\n" + robustness.describe(report["robustness"]))
    if options.ood:
        report["ood"] = limits.detection_rates(predictor)
        print("\n" + limits.describe(report["ood"]))
    if options.deletion:
        report["deletion"] = deletion.deletion(predictor, pictures.subsample(EXPLAINED).images)
        print("\n" + deletion.describe(report["deletion"]))
    if options.json:
        write_json(options.json, report)


def quantise(options: Namespace) -> None:
    """The checkpoint again, with int8, in another file."""
    from training.fitting import quantization as quantising  # takes ten seconds to import

    if options.out.resolve() == options.model.resolve():
        raise DataError(f"--out is the checkpoint that is read, {options.model}: name another file")
    check_files(options.out)
    checkpoint = Checkpoint.load(options.model)
    source = read_training(options.data, checkpoint.metadata.preprocess, options.target)
    checkpoint = quantising.quantise(checkpoint, source)
    checkpoint.save(options.out)
    print(quantising.describe(checkpoint.metadata))
    print(f"{options.out} written")


def infer(options: Namespace) -> None:
    """`TEAM_prediction.json` for a folder of pictures."""
    team = predictions.checked_team(options.team)
    check_writable(options.out)
    predictor = Predictor.load(options.model, options.device)
    found = inference.infer(options.images, predictor)
    body = predictions.encode(found.rows, options.positive_class)
    path = predictions.write(options.out, team, body, found.unreadable)
    for name, reason in found.unreadable:
        print(f"left out: {name}: {reason}", file=sys.stderr)
    print(f"{len(found.rows)} predictions, each P({options.positive_class}), written to {path}")
    _tell_positive_class(predictor.metadata)


def audit(options: Namespace) -> None:
    """A sentence on the labels, a table and a contact sheet of the most suspicious."""
    check_writable(options.out)
    predictor = Predictor.load(options.model, options.device)
    source = read_test(options.data, predictor.preprocess)
    pictures = source.pictures
    _tell_source(source, options.data)
    p = predictor.predict_proba(pictures.images)
    found = audits.audit(p, pictures.labels, audits.own_error(predictor.metadata))
    order = (-found.suspicion).argsort(kind="stable")
    ranked = ([pictures.names[i], pictures.labels[i], f"{found.suspicion[i]:.6f}"] for i in order)
    write_csv(options.out / "audit.csv", ["name", "label", "suspicion"], ranked)
    shown = order[: options.show].tolist()
    captions = [
        (pictures.names[i].split("/")[-1], f"not {WORDS[pictures.labels[i]]}? {found.suspicion[i]:.0%}")
        for i in shown
    ]
    audits.contact_sheet(options.out / "audit.png", [pictures.images[i] for i in shown], captions)
    print(f"{len(pictures)} pictures. {found.sentence()}\n")
    print("most suspicious:")
    for i in shown[:10]:
        print(f"  {found.suspicion[i]:.2%}  {pictures.names[i]}")
    print(
        f"\nall of them in {options.out / 'audit.csv'}, the first {len(shown)} in {options.out / 'audit.png'}"
    )


def overlap(options: Namespace) -> None:
    """How many labelled pictures of one data set stand in what is trained on of another."""
    size = Preprocess()
    pictures = read_test(options.data, size).pictures
    others = read_training(options.other, size).pictures
    index, distance = nearest(pictures.images, others.images)
    same = distance < MATCH_RMSE
    print(f"{same.sum()} of {len(pictures)} pictures of {options.data} stand in {options.other}:")
    for one in (1, 0):
        for other in (1, 0):
            count = int((same & (pictures.labels == one) & (others.labels[index] == other)).sum())
            print(f"  {count:5d} called {WORDS[one]} here and {WORDS[other]} there")
    most, least = distance[same].max(initial=0), distance[~same].min(initial=255)
    print(
        f"in luma these differ by up to {most:.1f} grey levels (root mean square), the others by {least:.1f}"
    )


def draw(options: Namespace) -> None:
    """The PNGs of a run folder."""
    for path in plots.plot_run(options.folder):
        print(path)


def submission(options: Namespace) -> None:
    """The ZIP of a team's predictions, a README and a presentation."""
    team = predictions.checked_team(options.team)
    check_writable(options.out)
    tree = _tree(options.data)
    if tree.test is None:
        raise DataError(f"{options.data} has no test_images/")
    path = options.out / f"{team}_prediction.json"
    if not path.is_file():
        raise DataError(f"there is no {path}: `infer {tree.test} --team {team}` writes it")
    expected = [file.name for file in picture_files(tree.test)]
    archive = options.out / f"{team}_submission.zip"
    submissions.build(archive, team, path.read_bytes(), expected, options.folder)
    print(f"{archive}: predictions for all {len(expected)} test pictures, README and presentation")


def _recipe(options: Namespace) -> Recipe:
    recipe = RECIPES[options.recipe]
    return recipe if options.seed is None else replace(recipe, seed=options.seed)


def _check_early(recipe: Recipe, options: Namespace) -> None:
    """What would fail after the minutes that reading takes fails now."""
    autocast(pick_device(options.device), options.precision)
    initial_weights(options.init or recipe.init, recipe.architecture)


def _source(recipe: Recipe, options: Namespace) -> Source:
    source = read_training(options.data, recipe.preprocess, options.target)
    _tell_source(source, options.data)
    return source


def _looked(source: Source, options: Namespace) -> Label:
    """What label 1 is by the shipped model's eyes; REAL unless the labels are clearly inverted."""
    seen, size = source.pictures, Preprocess()
    if seen.images.shape[1] != size.size:
        seen = read_training(options.data, size, options.target).pictures
    found = runs.audit_labels(seen, options.device)
    if found is None:
        print("there is no shipped model to look at the labels with")
        return "REAL"
    print(f"{'' if found.verdict == 'sound' else 'warning: '}{found.sentence()}", flush=True)
    return "FAKE" if found.inverted else "REAL"


def _tree(folder: Path) -> hackathon.Tree:
    tree = hackathon.find(folder)
    if tree is None:
        raise DataError(f"{folder} holds no real_cifake_images/ and fake_cifake_images/")
    return tree


def _tell_source(source: Source, folder: Path) -> None:
    print(f"{folder} is a {source.kind}: {len(source.pictures)} labelled pictures", flush=True)
    _tell(source.findings)
    if not source.findings:
        for name, reason in source.pictures.unreadable:
            print(f"left out: {name}: {reason}", file=sys.stderr)


def _tell(findings: hackathon.Findings) -> None:
    if findings:
        print(hackathon.describe(findings), file=sys.stderr)


def _tell_positive_class(checkpoint: CheckpointMetadata) -> None:
    if "label_1" not in checkpoint.data:  # a bare state dict
        print("This model does not say what label 1 of its training data was; it is taken to be REAL.")
        return
    print(f"Label 1 of this model's training data is {checkpoint.positive_class} in truth", end="")
    inverted = checkpoint.positive_class == "FAKE"
    print(": what it calls real is P(FAKE), which --positive FAKE gives." if inverted else ".")
