"""The steps of the walk: each runs a command and checks what it says and writes.

A step takes the place and returns what it saw, in a few words. It raises WalkError where a check fails.
"""

import io
import json
import re
import shlex
from typing import Any
from zipfile import ZipFile

from PIL import Image
from pptx import Presentation

from tests.walk.place import DATA, Place, WalkError, check, find, joined

RUN, OUT, TEAM = "runs/hackathon", "outputs", "walk"
MODEL = f"{RUN}/cifake_model.pth"
PLOTS = ["loss_curve.png", "accuracy_curve.png", "confusion.png", "roc.png", "reliability.png"]
OVERLAP = r"(\d+) of the (\d+) validation pictures stand in the initial weights' training data\."
KEPT = r"Training brought nothing: .* so the initial weights are kept\."


# From the archive to a model


def merge(place: Place) -> str:
    """Every labelled picture has a row of what the organisers' detector says of it."""
    told = place.training("merge", DATA)
    rows = place.json(f"{DATA}/train_meta.json")
    pictures = len(place.names("real_cifake_images") + place.names("fake_cifake_images"))
    find(rf"\b{len(rows)} rows for {pictures} pictures\b", told, "merge")
    check(len(rows) == pictures, f"train_meta.json has {len(rows)} rows for {pictures} pictures")
    return f"{pictures} pictures"


def audit(place: Place) -> str:
    """The labels are found inverted, and what to do about it is said."""
    told = place.training("audit", DATA)
    agreement = find(r"The labels look inverted.*?: the model agrees with (\S+%) of them", told, "audit")[1]
    find("Pictures labelled REAL look generated, pictures labelled FAKE look like photographs", told, "audit")
    find("`train` .* --positive FAKE", told, "audit")
    lines = (place.folder / OUT / "audit.csv").read_text().splitlines()
    pictures = len(place.json(f"{DATA}/train_meta.json"))
    check(len(lines) == pictures + 1, f"audit.csv has {len(lines)} lines for {pictures} pictures")
    check_png((place.folder / OUT / "audit.png").read_bytes(), "audit.png")
    return f"the labels look inverted, the model agrees with {agreement}"


def train(place: Place) -> str:
    """What the first weights had seen is told, whether they are kept, and what label 1 means."""
    told = place.training("train", "--recipe", "hackathon", "--data", DATA, "--out", RUN)
    report = place.json(f"{RUN}/metrics.json")
    find("Label 1 means FAKE in this model's training data", told, "train")
    check(report["data"]["label_1"] == "FAKE", "metrics.json does not say that label 1 is FAKE")
    seen, total = map(int, find(OVERLAP, told, "train").groups())
    overlap = report["validation_overlap"]
    check(
        (overlap["count"], overlap["total"]) == (seen, total), f"train tells {seen} of {total}, not {overlap}"
    )
    told_figures = "on validation:" in told
    check(told_figures is (seen < total), "train tells figures exactly where the first weights had seen all")
    epoch = report["best_epoch"]
    find(rf"Epoch {epoch} is kept" if epoch else KEPT, told, "train")
    for name in ("history.csv", "validation.csv", "cifake_model.pth", "cifake_model.fingerprints", *PLOTS):
        check((place.folder / RUN / name).is_file(), f"train writes no {name}")
    kept = f"epoch {epoch} is kept" if epoch else "the first weights are kept"
    return f"{kept}; they had seen {seen} of {total} validation pictures"


def evaluate(place: Place) -> str:
    """The run's own model, asked for what its label 1 means, is mostly right."""
    told = place.training("evaluate", "--data", DATA, "--positive", "FAKE", "--model", MODEL)
    find(r"P\(FAKE\) as the probability of label 1", told, "evaluate")
    accuracy = find(r"accuracy ([\d.]+)%", told, "evaluate")[1]
    check(float(accuracy) > 50, f"evaluate of {MODEL} finds an accuracy of {accuracy} %")
    return f"{accuracy} % of the labelled pictures, by P(FAKE)"


# From the model to a submission


def infer(place: Place, *options: str) -> dict[str, float]:
    """The prediction of each test picture, which `infer` writes and counts."""
    told = place.training("infer", f"{DATA}/test_images", "--team", TEAM, *options)
    rows = place.json(f"{OUT}/{TEAM}_prediction.json")
    find(rf"\b{len(rows)} predictions of P\(", told, "infer")
    predictions = {row["image_id"]: row["prediction"] for row in rows}
    expected = place.names("test_images")
    check(sorted(row["image_id"] for row in rows) == sorted(expected), "not every test picture is there once")
    check(all(0 <= p <= 1 for p in predictions.values()), "a prediction is not in [0, 1]")
    return predictions


def refusal(place: Place) -> str:
    """What `submission` says where it refuses, and that it writes no ZIP."""
    done = place.run(["submission", "--team", TEAM], place.folder)
    check(done.status == 1, "submission takes predictions that do not fit the run")
    check(
        not (place.folder / OUT / f"{TEAM}_submission.zip").exists(), "submission refuses, but writes a ZIP"
    )
    return joined(done.err)


def refuse_wrong_way(place: Place) -> str:
    """P(REAL) is refused where label 1 means FAKE; the command that is told instead gives the complement."""
    real = infer(place, "--model", MODEL, "--positive", "REAL")
    told = refusal(place)
    find(r"they are P\(REAL\), and the run's label 1 means FAKE", told, "submission")
    command = find(r"Run `python -m training infer \S+ --team \S+ (.*?)`", told, "submission")[1]
    fake = infer(place, *shlex.split(command))
    wrong = [name for name in real if abs(real[name] + fake[name] - 1) > 1e-5]
    check(not wrong, f"P(REAL) and P(FAKE) do not add up to 1 for {wrong[:5]}")
    return "P(REAL) is refused; `infer` as told there gives P(FAKE)"


def refuse_wrong_model(place: Place) -> str:
    """The shipped model's predictions are refused, the right way round as they are."""
    infer(place, "--positive", "FAKE")
    digest = place.json(f"{RUN}/metrics.json")["model_sha256"]
    find(rf"they are by the model \w+, and the run's is {digest[:12]}", refusal(place), "submission")
    return "the shipped model's predictions are refused"


def submission(place: Place) -> str:
    """The ZIP has all files, and its texts tell the run's figures and the overlap."""
    predictions = infer(place, "--model", MODEL, "--positive", "FAKE")
    path = place.folder / OUT / f"{TEAM}_submission.zip"
    told = place.training("submission", "--team", TEAM)
    find(rf"all {len(predictions)} test pictures", told, "submission")
    with ZipFile(path) as archive:
        check(archive.testzip() is None, f"{path.name} is damaged")
        files = {name: archive.read(name) for name in archive.namelist()}
    expected = {"README.md", "MODEL_CARD.md", f"{TEAM}_prediction.json", f"{TEAM}_presentation.pptx"}
    expected |= {f"plots/{name}" for name in PLOTS}
    expected |= {"notebooks/training.ipynb", "notebooks/evaluation.ipynb"}
    check(set(files) == expected, f"the ZIP has {sorted(files)}, and not {sorted(expected)}")
    check(
        {row["image_id"]: row["prediction"] for row in json.loads(files[f"{TEAM}_prediction.json"])}
        == predictions,
        "the predictions in the ZIP are not those of infer",
    )
    for name in PLOTS:
        check_png(files[f"plots/{name}"], name)
    for name in ("training", "evaluation"):
        check("cells" in json.loads(files[f"notebooks/{name}.ipynb"]), f"{name}.ipynb is not a notebook")
    readme, card = (joined(files[name].decode()) for name in ("README.md", "MODEL_CARD.md"))
    for name in expected - {"README.md"}:
        find(f"`{re.escape(name)}`", readme, "README.md in the ZIP")
    slides = slide_text(files[f"{TEAM}_presentation.pptx"])
    check_texts(place.json(f"{RUN}/metrics.json"), readme, card, slides)
    return f"a ZIP of {len(files)} files, {path.stat().st_size / 1e6:.1f} MB"


def check_texts(report: dict[str, Any], readme: str, card: str, slides: str) -> None:
    """README, model card and slides tell the overlap, the accuracy where there is one, and label 1."""
    overlap, metrics = report["validation_overlap"], report["validation"]
    sentence = re.escape(f"{overlap['count']} of the {overlap['total']} validation pictures stand in")
    accuracy = rf"\b{metrics['accuracy']:.2%}"
    for who, text in (("README.md", readme), ("MODEL_CARD.md", card), ("the presentation", slides)):
        find(sentence, text, f"{who} in the ZIP")
        if overlap["count"] < overlap["total"]:
            find(accuracy, text, f"{who} in the ZIP")
    find("label 1 .* are FAKE pictures", readme, "README.md in the ZIP")
    find("Label 1, which they call real, is FAKE in truth", card, "MODEL_CARD.md in the ZIP")
    for name in ("training", "validation"):
        find(report["data"][name]["sha256"], card, "MODEL_CARD.md in the ZIP")
    find(report["model_sha256"], card, "MODEL_CARD.md in the ZIP")


def slide_text(content: bytes) -> str:
    """All text of the slides, those of tables and notes included."""
    texts: list[str] = []
    for slide in Presentation(io.BytesIO(content)).slides:
        for shape in slide.shapes:
            if shape.has_text_frame:
                texts.append(shape.text_frame.text)
            if shape.has_table:
                texts += [cell.text for row in shape.table.rows for cell in row.cells]
        texts.append(slide.notes_slide.notes_text_frame.text)
    return joined(" ".join(texts))


def check_png(content: bytes, name: str) -> None:
    """Raise WalkError unless it is a whole PNG."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            picture.load()
    except OSError as error:
        raise WalkError(f"{name} is no PNG: {error}") from error


STEPS = (merge, audit, train, evaluate, refuse_wrong_way, refuse_wrong_model, submission)
