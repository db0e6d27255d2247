import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.architecture import Architecture, Stem
from model.calibration import Calibration
from model.checkpoint import Checkpoint, as_saved
from model.images.preprocess import Preprocess
from model.metadata import Label
from model.predictor import Predictor
from tests.networks import build_narrow_networks, random_network
from tests.pictures import noise
from tests.trees import cifake_tree, hackathon_tree
from training.data.datasets import Dataset, load_train
from training.data.fingerprints import contained, fingerprints, read_fingerprints, write_fingerprints
from training.data.labelled_images import LabelledImages
from training.evaluation.evaluate import evaluate
from training.evaluation.ood import ROUNDING
from training.fitting import fitted
from training.fitting import run as runs
from training.fitting.augmentation import Augmentation
from training.fitting.calibration import fit_calibration
from training.fitting.fitted import Options
from training.fitting.history import Epoch
from training.fitting.recipes import RECIPES
from training.fitting.run import audit_labels, cross_validate

SEEN: set[bytes] = set()
CPU = Options(device="cpu")


@dataclass(frozen=True)
class Remembering(Augmentation):
    """Changes nothing and remembers each picture that was trained on, by its pixels."""

    def __call__(self, batch: Tensor, size: int, random: torch.Generator) -> Tensor:
        SEEN.update(picture.tobytes() for picture in batch.permute(0, 2, 3, 1).numpy())
        return batch


RECIPE = replace(
    RECIPES["cifake"],
    lr_cycles=((32, 32),),
    early_stems=(),
    augmentation=Remembering(),
    batch_size=8,
    learning_rate=0.05,
    ema_decay=0.5,
    validation_fraction=0.2,
)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    SEEN.clear()
    yield
    SEEN.clear()


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    build_narrow_networks(monkeypatch)


@pytest.fixture
def random_checkpoint() -> Checkpoint:
    """Of a narrow network, unlike that of other tests."""
    return random_network(Architecture())


def digests(pictures: LabelledImages) -> set[bytes]:
    return {image.tobytes() for image in pictures.images}


def test_the_run_folder(tmp_path: Path) -> None:
    dataset = load_train(hackathon_tree(tmp_path / "data"), Preprocess())
    out = tmp_path / "run" / "cifake_model.pth"
    checkpoint = runs.run(RECIPE, dataset, out, CPU, positive_class="FAKE")
    names = {path.name for path in out.parent.iterdir()}
    assert names == {out.name, "cifake_model.fingerprints", "history.csv", "metrics.json", "validation.csv"}
    saved = Checkpoint.load(out)
    assert saved.metadata.positive_class == "FAKE"
    assert saved.metadata.data["label_1"] == "FAKE"
    assert saved.metadata.data["kind"] == "hackathon tree"
    assert saved.metadata.metrics == checkpoint.metadata.metrics
    assert saved.metadata.ood_detector is not None
    # Eight validation pictures are too few to leave one of them out.
    assert runs.Predictor.from_checkpoint(saved, "cpu").predict([noise()]).in_domain is not None
    report = json.loads((out.parent / "metrics.json").read_text())
    assert report["validation"] == checkpoint.metadata.metrics["validation"]
    assert report["recipe"]["name"] == "cifake"
    assert (report["recipe"]["precision"], saved.metadata.recipe["precision"]) == ("f32", "f32")
    assert report["precision"] == {"precision": "f32", "milliseconds": {}}
    assert report["data"]["training"]["pictures"] == 32
    assert report["model_sha256"] == saved.metadata.digest
    assert "validation_overlap" not in report  # it started from random weights
    known = read_fingerprints(out, saved.metadata.digest)
    assert known is not None
    assert contained(fingerprints(dataset.pictures.images), known).all()
    # Figures and predictions are of the data's own label 1, whatever that is in truth.
    lines = (out.parent / "validation.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    right = [(float(p) >= 0.5) == (label == "1") for _, label, p, _ in rows]
    assert sum(right) / len(right) == report["validation"]["accuracy"]


def test_objects_that_no_name_tells_are_a_note(tmp_path: Path) -> None:
    """In a tree whose files are simply numbered, until they are named as CIFAKE's."""
    root, out = cifake_tree(tmp_path / "data"), tmp_path / "x.pth"
    recipe = replace(RECIPE, object_weight=(0.5,))
    told = "The classes of objects were not learnt: the names of the files do not tell them, as CIFAKE's do."

    def notes() -> list[str]:
        runs.run(recipe, load_train(root, Preprocess()), out, CPU, "REAL")
        return json.loads(out.with_name("metrics.json").read_text())["notes"]

    assert told in notes()
    for path in list((root / "train").glob("*/*.png")):
        place = int(path.stem) % 10
        path.rename(path.with_stem(f"{path.stem} ({place + 1})" if place else path.stem))
    assert told not in notes()


TAUGHT = replace(
    RECIPE,
    lr_cycles=((32, 32),),
    distill_weight=(0.7,),
    teacher=replace(RECIPE, name="teacher", architecture=Architecture("small")),
)


def test_a_run_with_a_teacher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = load_train(hackathon_tree(tmp_path / "data"), Preprocess())
    out = tmp_path / "run" / "x.pth"
    checkpoint = runs.run(TAUGHT, dataset, out, CPU, "REAL")
    names = {path.name for path in out.parent.iterdir()}
    assert names >= {"history.csv", "teacher_history.csv"}
    assert not [name for name in names if name.endswith(".resume")]
    for name in ("history.csv", "teacher_history.csv"):
        assert len((out.parent / name).read_text().splitlines()) == 3
    report = json.loads((out.parent / "metrics.json").read_text())
    assert report["recipe"]["teacher"]["architecture"]["stem"] == "small"
    rows = [row.split(",") for row in (out.parent / "teacher_history.csv").read_text().splitlines()[1:]]
    best = min(rows, key=lambda row: float(row[4]))
    assert report["teacher"]["epoch"] == int(best[0])
    assert report["teacher"]["validation_loss"] == float(best[4])
    assert checkpoint.metadata.architecture.stem == RECIPE.architecture.stem
    assert Checkpoint.load(out).metadata.recipe["teacher"]["name"] == "teacher"
    printed = capsys.readouterr().out
    assert printed.index("first the teacher: recipe teacher") < printed.index("now recipe cifake")
    runs.run(RECIPE, dataset, out, CPU, "REAL")  # another run into the same folder, without a teacher
    assert not (out.parent / "teacher_history.csv").exists()
    assert json.loads((out.parent / "metrics.json").read_text())["teacher"] is None


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_run_is_resumed_in_the_part_that_was_interrupted(
    epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first epoch of the teacher, after its last one, and after the first one of the network."""
    dataset = load_train(hackathon_tree(tmp_path / "data"), Preprocess())
    whole = runs.run(TAUGHT, dataset, tmp_path / "whole" / "x.pth", CPU, "REAL")
    out, epochs, describe = tmp_path / "run" / "x.pth", iter(range(1, 9)), fitted.loop.describe

    def interrupt(row: Epoch) -> str:
        if next(epochs) == epoch:
            raise KeyboardInterrupt
        return describe(row)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fitted.loop, "describe", interrupt)
        runs.run(TAUGHT, dataset, out, CPU, "REAL")
    assert runs.state_path(out).is_file()
    trained: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(fitted.loop, "describe", lambda row: trained.append(row.epoch) or describe(row))
        resumed = runs.run(TAUGHT, dataset, out, replace(CPU, resume=True), "REAL")
    assert len(trained) == 4 - epoch
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], array)
    one, other = (
        (folder / "teacher_history.csv").read_text().splitlines()
        for folder in (tmp_path / "whole", out.parent)
    )
    assert [row.rpartition(",")[0] for row in one] == [row.rpartition(",")[0] for row in other]  # no seconds


def test_a_new_run_takes_nothing_from_the_state_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one whose first state was deleted by hand."""
    dataset = load_train(hackathon_tree(tmp_path / "data"), Preprocess())
    out = tmp_path / "run" / "x.pth"
    stale = fitted.state_paths(TAUGHT, runs.state_path(out))[-1]
    stale.parent.mkdir()
    stale.write_bytes(b"another run's")

    def interrupt(row: Epoch) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fitted.loop, "describe", interrupt)
        runs.run(TAUGHT, dataset, out, CPU, "REAL")
    runs.run(TAUGHT, dataset, out, replace(CPU, resume=True), "REAL")


@pytest.fixture
def validation_splits(monkeypatch: pytest.MonkeyPatch) -> list[LabelledImages]:
    """The validation pictures of each split that runs draw."""
    held: list[LabelledImages] = []
    draw = runs.train_val_split

    def remember(*arguments: object) -> tuple[LabelledImages, LabelledImages]:
        parts = draw(*arguments)  # type: ignore[arg-type]
        held.append(parts[1])
        return parts

    monkeypatch.setattr(runs, "train_val_split", remember)
    return held


@pytest.mark.parametrize("positive_class", ["REAL", "FAKE"])
def test_figures_are_those_of_the_file(
    positive_class: Label,
    tmp_path: Path,
    validation_splits: list[LabelledImages],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the last bit: what float16 takes from the weights is in the figures."""
    monkeypatch.setattr(fitted, "MIN_PICTURES", 8)
    dataset = load_train(hackathon_tree(tmp_path / "data"), Preprocess())
    out = tmp_path / "run" / "x.pth"
    checkpoint = runs.run(RECIPE, dataset, out, CPU, positive_class)
    predictor = Predictor.load(out, "cpu", "torch")
    [validation] = validation_splits
    found = evaluate(predictor, validation, positive_class)
    report = json.loads((out.parent / "metrics.json").read_text())
    assert found.metrics == report["validation"] == predictor.metadata.metrics["validation"]
    rows = [line.split(",") for line in (out.parent / "validation.csv").read_text().splitlines()[1:]]
    assert [row[2] for row in rows] == [f"{p:.6f}" for p in found.predictions]
    # Calibration and the domain's threshold were fitted to what the file says, too.
    z, features = predictor.forward(validation.images)
    assert fit_calibration(z, validation.labels) == predictor.metadata.calibration
    for name, values in zip(("ood_detector", "image_detector"), features, strict=True):
        detector, loaded = getattr(checkpoint.metadata, name), getattr(predictor.metadata, name)
        assert detector.threshold == loaded.threshold
        assert detector.threshold == float(loaded.distance(values).max()) * (1 + ROUNDING)


@pytest.mark.parametrize("kind", ["hackathon", "cifake"])
def test_no_validation_picture_is_ever_trained_on(
    kind: str, tmp_path: Path, validation_splits: list[LabelledImages]
) -> None:
    root = tmp_path / "data"
    folder = root / "real_cifake_images" if kind == "hackathon" else root / "train" / "REAL"
    hackathon_tree(root) if kind == "hackathon" else cifake_tree(root)
    for i in range(1, 11):  # half of the class a second time under other names
        shutil.copy(folder / f"{i}.png", folder / f"{1000 + i}.png")
    dataset = load_train(root, Preprocess())
    runs.run(RECIPE, dataset, tmp_path / "run" / "x.pth", CPU, positive_class="REAL")
    [validation] = validation_splits
    assert len(validation) == 8
    assert SEEN
    assert not SEEN & digests(validation)
    assert digests(dataset.pictures) >= SEEN
    assert not SEEN & {digest for pictures in dataset.excluded for digest in digests(pictures)}


def test_cross_validation_judges_each_picture_by_a_model_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_train(hackathon_tree(tmp_path / "data"), Preprocess())
    judged: list[set[bytes]] = []

    class Judge(runs.Predictor):
        def forward(self, pictures: np.ndarray) -> tuple:  # type: ignore[override]
            part = {picture.tobytes() for picture in pictures}
            judged.append(part)
            assert SEEN
            assert not SEEN & part
            SEEN.clear()
            return super().forward(pictures)

    monkeypatch.setattr(runs, "Predictor", Judge)
    once = replace(RECIPE, lr_cycles=((32,),))
    pictures, predictions = cross_validate(once, dataset, 2, tmp_path / "out", CPU)
    assert len(pictures) == len(predictions) == 40
    assert ((predictions > 0) & (predictions < 1)).all()
    assert [len(part) for part in judged] == [20] * 2
    assert set.union(*judged) == digests(pictures)
    assert (tmp_path / "out" / "validation.csv").is_file()
    assert not list((tmp_path / "out").glob("*.resume"))


def test_weights_that_say_the_opposite_are_turned_before_they_are_tuned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], random_checkpoint: Checkpoint
) -> None:
    images = np.stack([noise(seed) for seed in range(40)])
    z = runs.Predictor.from_checkpoint(random_checkpoint, "cpu").logits(images)
    bias = {"fc.bias": random_checkpoint.weights["fc.bias"] - float(np.median(z))}
    first = replace(random_checkpoint, weights=random_checkpoint.weights | bias)
    first.save(tmp_path / "first.pth")
    opposite = (z < np.median(z)).astype(np.uint8)
    dataset = Dataset("pictures", LabelledImages(images, opposite, [str(i) for i in range(40)], []))
    own = random_checkpoint.metadata.architecture
    still = replace(RECIPE, architecture=own, learning_rate=0.0, lr_cycles=((32,),))
    options = replace(CPU, init=str(tmp_path / "first.pth"))
    tuned = runs.run(still, dataset, tmp_path / "run" / "x.pth", options, "REAL")
    assert "agree with 0.0% of these labels: the last layer starts negated" in capsys.readouterr().out
    np.testing.assert_allclose(tuned.weights["fc.weight"], -first.weights["fc.weight"], atol=1e-3)


@pytest.mark.parametrize("stem", ["small-pool", "small-late-pool"])
def test_another_stem_than_that_of_the_first_weights_is_told(
    stem: Stem, tmp_path: Path, capsys: pytest.CaptureFixture[str], random_checkpoint: Checkpoint
) -> None:
    assert random_checkpoint.metadata.architecture.stem == "small-pool"
    random_checkpoint.save(tmp_path / "first.pth")
    images = np.stack([noise(seed) for seed in range(40)])
    labels = np.arange(40, dtype=np.uint8) % 2
    dataset = Dataset("pictures", LabelledImages(images, labels, [str(i) for i in range(40)], []))
    recipe = replace(RECIPE, architecture=Architecture(stem), learning_rate=0.0, lr_cycles=((8,),))
    runs.run(recipe, dataset, tmp_path / "x.pth", replace(CPU, init=str(tmp_path / "first.pth")), "REAL")
    told = "they were trained with the stem small-pool, and this run begins with small-late-pool"
    assert (told in capsys.readouterr().out) is (stem != "small-pool")


def test_the_shipped_model_looks_at_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = load_train(hackathon_tree(tmp_path / "data", 3), Preprocess()).pictures
    found = audit_labels(pictures, "cpu")
    assert found is not None
    assert 0 <= found.agreement <= 1
    monkeypatch.setattr(runs, "SHIPPED", tmp_path / "nowhere.pth")
    assert audit_labels(pictures, "cpu") is None


def test_all_folds_compute_in_what_was_measured_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([{"f32": 2.0, "bf16": 1.0}])  # for one measurement
    monkeypatch.setattr("training.fitting.precision.has_autocast", lambda device: True)
    monkeypatch.setattr(fitted.loop, "step_times", lambda *arguments: next(times))
    used: list[str] = []
    train = fitted.loop.train

    def remember(*arguments: object, **named: object) -> fitted.loop.TrainingResult:
        trained = train(*arguments, **named)  # type: ignore[arg-type]
        used.append(trained.precision.precision)
        return trained

    monkeypatch.setattr(fitted.loop, "train", remember)
    dataset = load_train(hackathon_tree(tmp_path / "data"), Preprocess())
    cross_validate(replace(RECIPE, lr_cycles=((32,),)), dataset, 2, tmp_path / "out", CPU)
    assert used == ["bf16", "bf16"]


def started_from(first: Checkpoint, out: Path, count: int, **changes: object) -> Checkpoint:
    """A run on 40 pictures, and on `count` that the checkpoint is taken to have been fitted to."""
    images = np.stack([noise(seed) for seed in range(40 + count)])
    z = runs.Predictor.from_checkpoint(first, "cpu").logits(images)
    labels = (z > np.median(z)).astype(np.uint8)
    path = out.parent / "first.pth"
    first.save(path)
    write_fingerprints(path, Checkpoint.load(path).metadata.digest, fingerprints(images[40:]))
    dataset = Dataset("pictures", LabelledImages(images, labels, [str(i) for i in range(len(images))], []))
    recipe = replace(RECIPE, lr_cycles=((32,),), **changes)
    return runs.run(recipe, dataset, out, replace(CPU, init=str(path)), "REAL")


@pytest.mark.parametrize("count", [0, 20])
def test_the_overlap_with_the_initial_weights_is_told(
    count: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    random_checkpoint: Checkpoint,
    validation_splits: list[LabelledImages],
) -> None:
    out = tmp_path / "run" / "x.pth"
    out.parent.mkdir()
    checkpoint = started_from(random_checkpoint, out, count)
    [validation] = validation_splits
    expected = sum(int(name) >= 40 for name in validation.names)
    report = json.loads((out.parent / "metrics.json").read_text())
    assert report["validation_overlap"] == {
        "count": expected,
        "total": len(validation),
        "of": "the initial weights' training data",
    }
    assert checkpoint.metadata.metrics["validation_overlap"] == report["validation_overlap"]
    told = f"{expected} of the {len(validation)} validation pictures stand in the initial weights'"
    assert (told in capsys.readouterr().out) is (count > 0)
    # The next run that starts from this one knows the pictures of both.
    known = read_fingerprints(out, Checkpoint.load(out).metadata.digest)
    assert known is not None
    assert contained(fingerprints(np.stack([noise(seed) for seed in range(40 + count)])), known).all()


def test_what_a_checkpoint_without_fingerprints_has_seen_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], random_checkpoint: Checkpoint
) -> None:
    random_checkpoint.save(tmp_path / "first.pth")
    dataset = load_train(hackathon_tree(tmp_path / "data"), Preprocess())
    out = tmp_path / "run" / "x.pth"
    once = replace(RECIPE, lr_cycles=((32,),))
    runs.run(once, dataset, out, replace(CPU, init=str(tmp_path / "first.pth")), "REAL")
    assert "an unknown number of the 8 validation pictures" in capsys.readouterr().out
    assert json.loads((out.parent / "metrics.json").read_text())["validation_overlap"] is None
    assert not out.with_suffix(".fingerprints").exists()


def test_initial_weights_that_are_better_are_kept_with_their_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], random_checkpoint: Checkpoint
) -> None:
    """Training at a ruinous rate brings nothing."""
    calibration = Calibration(2.0, 1.1, 0.3)
    first = random_checkpoint.with_metadata(calibration=calibration)
    bias = first.weights["fc.bias"]
    images = np.stack([noise(seed) for seed in range(40)])
    z = runs.Predictor.from_checkpoint(first, "cpu").logits(images)
    first = replace(first, weights=first.weights | {"fc.bias": bias - float(np.median(z))})
    out = tmp_path / "run" / "x.pth"
    out.parent.mkdir()
    kept = started_from(first, out, 0, learning_rate=30.0, warmup=0.0, ema_decay=0.0)
    printed = capsys.readouterr().out
    assert "Training brought nothing: the validation loss is" in printed
    assert "the initial weights keep theirs" in printed
    assert kept.metadata.calibration == calibration
    for name, array in as_saved(first.weights).items():
        np.testing.assert_array_equal(kept.weights[name], array)
    report = json.loads((out.parent / "metrics.json").read_text())
    assert report["best_epoch"] == 0
    assert report["notes"][0].startswith("Training brought nothing")


@pytest.mark.parametrize("path", [Path("run"), Path("run/cifake_model.pth")])
def test_the_checkpoint_of_a_run(path: Path) -> None:
    assert runs.checkpoint_path(path) == Path("run/cifake_model.pth")


def test_a_full_disk_is_an_error_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.check_room(RECIPE, tmp_path / "new" / "x.pth")
    monkeypatch.setattr(runs.shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    weights = 4e-6 * sum(array.size for array in random_network(RECIPE.architecture).weights.values())
    for recipe, size in ((RECIPE, 12 * weights), (TAUGHT, 24 * weights)):
        with pytest.raises(OSError, match=f"takes up to {size:.0f} MB, and .* has room for 1 MB"):
            runs.check_room(recipe, tmp_path / "new" / "x.pth")
