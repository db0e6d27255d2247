"""The walk from the archive to the submission, on a small tree, and that it ends where an output is wrong."""

import json
import re
import shutil
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from PIL import Image

from model import ROOT
from tests.pictures import encode
from tests.trees import hackathon_tree, picture
from tests.walk import __main__ as command
from tests.walk.place import DATA, Output, Place, WalkError
from training.cli import main
from training.fitting.recipes import RECIPES

Files = dict[str, bytes]
"""Path in the walk's folder -> content."""


class Step(NamedTuple):
    """A command of the walk, what it printed, and what it wrote."""

    arguments: list[str]
    output: Output
    files: Files


def photograph(seed: int) -> np.ndarray:
    """The photograph of the examples, a little otherwise for each seed; the shipped model calls it REAL."""
    random = np.random.default_rng(seed)
    with Image.open(ROOT / "api" / "examples" / "cat.png") as file:
        pixels = np.asarray(file.convert("RGB")).astype(int)
    return np.clip(pixels + random.integers(-3, 4, pixels.shape), 0, 255).astype(np.uint8)


def inverted_tree(root: Path) -> Path:
    """A hackathon tree whose labels the shipped model finds inverted, as in the organisers' archive."""
    tree = hackathon_tree(root)
    for i in range(1, 21):
        (tree / "real_cifake_images" / f"{i}.png").write_bytes(encode(picture(0, i)))
        (tree / "fake_cifake_images" / f"{i}.png").write_bytes(encode(photograph(i)))
    return tree


def written(folder: Path) -> Files:
    """What the commands wrote, but for the weights."""
    paths = [
        folder / DATA / "train_meta.json",
        *(folder / "outputs").rglob("*"),
        *(folder / "runs").rglob("*"),
    ]
    return {
        str(path.relative_to(folder)): b"" if path.suffix == ".pth" else path.read_bytes()
        for path in paths
        if path.is_file()
    }


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """The commands of a walk in which everything holds. In this process: each would import PyTorch anew."""
    folder, steps = tmp_path_factory.mktemp("walk"), []

    def run(arguments: list[str], folder: Path) -> Output:
        with chdir(folder), redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            status = main(arguments)
        steps.append(Step(arguments, Output(status, out.getvalue(), err.getvalue()), written(folder)))
        return steps[-1].output

    inverted_tree(folder / DATA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "hackathon", replace(RECIPES["hackathon"], lr_cycles=((8,),)))
        command.walk(Place(folder, run))
    return steps


def replay(steps: list[Step], folder: Path) -> None:
    """Walk over recorded commands, which print and write again what they did."""
    remaining = iter(steps)

    def run(arguments: list[str], folder: Path) -> Output:
        step = next(remaining)
        assert arguments == step.arguments
        for name in ("outputs", "runs"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name, content in step.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return step.output

    inverted_tree(folder / DATA)
    command.walk(Place(folder, run))


def test_every_step_is_told_with_its_seconds(
    recorded: list[Step], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay(recorded, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [re.split(r"\s+", line)[0] for line in lines] == [step.__name__ for step in command.STEPS]
    assert all(re.search(r"\d s \( *\d+ s of processor time\)  \S", line) for line in lines)


def says(old: str, new: str) -> Callable[[Step], Step]:
    """The step, with something else printed."""

    def change(step: Step) -> Step:
        status, out, err = step.output
        assert old in out + err
        return step._replace(output=Output(status, out.replace(old, new), err.replace(old, new)))

    return change


def writes(path: str, edit: Callable[[bytes], bytes]) -> Callable[[Step], Step]:
    """The step, with a file of another content."""
    return lambda step: step._replace(files=step.files | {path: edit(step.files[path])})


def ends(status: int) -> Callable[[Step], Step]:
    """The step, with another status."""
    return lambda step: step._replace(output=step.output._replace(status=status))


def packs(name: str, edit: Callable[[bytes], bytes] | None) -> Callable[[Step], Step]:
    """The step, with another content of a file in the ZIP, or without it."""

    def repack(content: bytes) -> bytes:
        with ZipFile(BytesIO(content)) as archive:
            files = {one: archive.read(one) for one in archive.namelist()}
        old = files.pop(name)
        packed = BytesIO()
        with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
            for one, kept in (files | ({name: edit(old)} if edit else {})).items():
                archive.writestr(one, kept)
        return packed.getvalue()

    return writes("outputs/walk_submission.zip", repack)


def rows(edit: Callable[[list[dict]], object]) -> Callable[[bytes], bytes]:
    """JSON whose rows are edited in place."""

    def change(content: bytes) -> bytes:
        found = json.loads(content)
        edit(found)
        return json.dumps(found).encode()

    return change


PREDICTIONS = "outputs/walk_prediction.json"
OVERLAP = "stand in the initial weights' training data"
# A command, counted among those of its name, what is wrong with it, and what the walk then says.
WRONG = {
    "a row less": ("merge 0", writes(f"{DATA}/train_meta.json", rows(list.pop)), "39 rows for 40 pictures"),
    "a command that fails": ("audit 0", ends(1), "`audit data/hackathon` fails"),
    "labels that look sound": ("audit 0", says("look inverted", "look sound"), "look inverted"),
    "no advice": ("audit 0", says("--positive FAKE", "this"), "--positive FAKE"),
    "a picture less": (
        "audit 0",
        writes("outputs/audit.csv", lambda it: it[: it.rstrip().rindex(b"\n")]),
        "audit.csv has",
    ),
    "no overlap": ("train 0", says(OVERLAP, "are good"), "validation pictures stand in"),
    "another overlap": (
        "train 0",
        says(f"0 of the 4 validation pictures {OVERLAP}", f"1 of the 4 validation pictures {OVERLAP}"),
        "train tells 1 of 4",
    ),
    "label 1 is REAL": ("train 0", says("means FAKE", "means REAL"), "Label 1 means FAKE"),
    "no word on the weights": ("train 0", says("kept", "there"), "kept"),
    "a plot less": (
        "train 0",
        lambda step: step._replace(files={k: v for k, v in step.files.items() if not k.endswith("roc.png")}),
        "train writes no roc.png",
    ),
    "the wrong way round": ("evaluate 0", says("P(FAKE)", "P(REAL)"), "as the probability of label 1"),
    "a picture twice": (
        "infer 0",
        writes(PREDICTIONS, rows(lambda it: it.append(it[0]))),
        "is there once|does not say",
    ),
    "a prediction of 2": (
        "infer 0",
        writes(PREDICTIONS, rows(lambda it: it[0].update(prediction=2))),
        r"not in \[0, 1\]",
    ),
    "P(REAL) taken": ("submission 0", ends(0), "takes predictions that do not fit"),
    "another refusal": ("submission 0", says("they are P(REAL)", "they are odd"), "they are P"),
    "no complement": (
        "infer 1",
        writes(PREDICTIONS, rows(lambda it: it[0].update(prediction=0.5))),
        "do not add up to 1",
    ),
    "the shipped model taken": ("submission 1", ends(0), "takes predictions that do not fit"),
    "a ZIP all the same": (
        "submission 1",
        lambda step: step._replace(files=step.files | {"outputs/walk_submission.zip": b""}),
        "but writes a ZIP",
    ),
    "no card": ("submission 2", packs("MODEL_CARD.md", None), "the ZIP has"),
    "other predictions": (
        "submission 2",
        packs("walk_prediction.json", rows(lambda it: it[0].update(prediction=0.5))),
        "not those of infer",
    ),
    "half a plot": (
        "submission 2",
        packs("plots/roc.png", lambda it: it[: len(it) // 2]),
        "roc.png is no PNG",
    ),
    "an empty notebook": (
        "submission 2",
        packs("notebooks/training.ipynb", lambda it: b"{}"),
        "is not a notebook",
    ),
    "a README that leaves a file out": (
        "submission 2",
        packs("README.md", lambda it: it.replace(b"plots/roc", b"plots/x")),
        r"README\.md in the ZIP",
    ),
    "a card without overlap": (
        "submission 2",
        packs("MODEL_CARD.md", lambda it: it.replace(b"of the 4", b"of 4")),
        r"MODEL_CARD\.md in the ZIP",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_walk_ends_where_an_output_is_wrong(name: str, recorded: list[Step], tmp_path: Path) -> None:
    which, change, message = WRONG[name]
    wanted, number = which.split()
    position = [i for i, step in enumerate(recorded) if step.arguments[0] == wanted][int(number)]
    steps = [*recorded[:position], change(recorded[position]), *recorded[position + 1 :]]
    with pytest.raises(WalkError, match=message):
        replay(steps, tmp_path)


@pytest.mark.parametrize("form", ["folder", "xztar", "zip"])
def test_archives(form: str, tmp_path: Path) -> None:
    tree = hackathon_tree(tmp_path / "there" / "hackathon", 2)
    archive = tree if form == "folder" else Path(shutil.make_archive(str(tmp_path / "x"), form, tree.parent))
    command.unpack(archive, tmp_path / "here" / DATA)
    assert sorted(path.name for path in (tmp_path / "here" / DATA).iterdir()) == sorted(
        path.name for path in tree.iterdir()
    )


def test_what_is_no_archive_of_the_hackathon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.make_archive(str(tmp_path / "x"), "zip", ROOT / "api" / "examples")
    for archive, message in (("x.zip", "has 0 folders real_cifake_images/"), ("nowhere", "there is no ")):
        assert command.main([str(tmp_path / archive)]) == 1
        assert message in capsys.readouterr().err
