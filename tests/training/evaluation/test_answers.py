import math
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from api.service import Service
from api.settings import load_settings
from model.predictor import Decision, Prediction, Predictor
from tests.conftest import MeanPredictor
from tests.pictures import encode
from training.evaluation.answers import (
    BATCH,
    NAME_WIDTH,
    TABLE_HEADER,
    Answer,
    Counts,
    Input,
    Unreadable,
    answer_arguments,
    answer_files,
    read_input,
    table_row,
)

# By what MeanPredictor says of them: what each counts for.
KINDS = {
    "real": Counts(pictures=1, real=1, in_domain=1, by_content=1),
    "fake": Counts(pictures=1, in_domain=1, by_content=1),
    "dark": Counts(pictures=1, out_by_content=1),
    "large": Counts(pictures=1, real=1, out_by_size=1, by_content=1),
    "large-dark": Counts(pictures=1, out_by_size=1),
    "cut": Counts(unreadable=1),
    "missing": Counts(unreadable=1),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    grey = {
        name: np.full((height, width, 3), value, np.uint8)
        for name, height, width, value in (
            ("real", 32, 32, 200),
            ("fake", 32, 32, 100),
            ("dark", 32, 32, 20),
            ("large", 50, 61, 200),
            ("large-dark", 50, 61, 20),
        )
    }
    for name in ("large", "large-dark"):
        grey[name][25:, 30:] -= 10  # one colour would be an enlargement of 32x32
    for name, picture in grey.items():
        (folder / f"{name}.png").write_bytes(encode(picture))
    (folder / "cut.png").write_bytes(encode(grey["real"])[:60])
    return folder


class CountingPredictor(MeanPredictor):
    """Notes how many pictures it is asked about at once."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
        self.asked.append(len(pictures))
        return super().predict(pictures, use_all_cores)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=2 * BATCH))
def test_each_file_is_answered_in_its_place_and_counted(folder: Path, names: list[str]) -> None:
    paths = [folder / f"{name}.png" for name in names]
    answers = list(answer_files(paths, MeanPredictor()))
    assert [answer.path for answer in answers] == paths
    total = Counts()
    for answer, name in zip(answers, names, strict=True):
        one = Counts()
        one.add(answer)
        assert one == KINDS[name], name
        total.add(answer)
    for field in vars(total):
        assert getattr(total, field) == sum(getattr(KINDS[name], field) for name in names)


def test_files_are_read_a_batch_at_a_time(folder: Path) -> None:
    """10,000 files are not in memory: the next batch is asked for when the one before is used up."""
    drawn = 0

    def paths() -> Iterator[Path]:
        nonlocal drawn
        for path in repeat(folder / "real.png"):
            drawn += 1
            yield path

    predictor = CountingPredictor()
    answers = answer_files(paths(), predictor)
    for number in range(1, 2 * BATCH + 2):
        next(answers)
        assert drawn == -(-number // BATCH) * BATCH
    assert predictor.asked == [BATCH] * 3


def test_the_answers_are_those_of_the_service(folder: Path, shipped: Predictor) -> None:
    [large, small] = answer_files([folder / "large.png", folder / "real.png"], shipped)
    assert isinstance(large, Answer)
    assert isinstance(small, Answer)
    assert (large.width, large.height, large.in_domain, large.reason) == (61, 50, False, "size")
    expected = shipped.predict([np.full((32, 32, 3), 200, np.uint8)])
    assert expected.in_domain is not None
    assert small.prediction == pytest.approx(expected.predictions[0], abs=1e-6)
    assert (small.in_domain, small.reason) == (False, "content")  # one colour
    assert small.by_content == bool(expected.in_domain[0])
    assert small.to_json() == {
        "file": str(folder / "real.png"),
        "label": small.decision.label,
        "confidence": pytest.approx(max(small.prediction, 1 - small.prediction), abs=1e-6),
        "prediction": pytest.approx(small.prediction, abs=1e-6),
        "in_domain": False,
        "out_of_domain_reason": "content",
        "in_domain_by_content": False,
        "width": 32,
        "height": 32,
    }


def test_without_a_detector_the_domain_is_unknown(folder: Path) -> None:
    class NoDetector(MeanPredictor):
        def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
            return Prediction(super().predict(pictures).predictions, None)

    small, large = answer_files([folder / "real.png", folder / "large.png"], NoDetector())
    assert table_row(small).split()[-1] == "unknown"
    assert table_row(large).split()[-3:] == ["no:", "size", "unknown"]
    counts = Counts()
    counts.add(small)
    counts.add(large)
    assert counts == Counts(pictures=2, real=2, out_by_size=1)


def test_folders_are_answered_one_by_one_and_files_together(folder: Path) -> None:
    files = [folder / "real.png", folder / "nowhere.png"]
    groups = [
        (group, len(list(answers)))
        for group, answers in answer_arguments([folder, folder, *files, folder], MeanPredictor())
    ]
    assert groups == [(folder, 6), (folder, 6), (None, 2), (folder, 6)]


def test_the_reason_is_told(folder: Path) -> None:
    reasons = [
        (folder / "cut.png", "cut short or damaged"),
        (folder / "missing.png", "No such file or directory"),
        (folder, "Is a directory"),
    ]
    for path, reason in reasons:
        [answer] = answer_files([path], MeanPredictor())
        assert isinstance(answer, Unreadable)
        assert reason in answer.reason
        assert str(folder) not in answer.reason
        assert table_row(answer).endswith(f"unreadable: {answer.reason}")


TEXT = st.text(st.characters(exclude_characters="/\0", exclude_categories=())).filter(
    lambda name: name not in ("", ".", "..")
)


@settings(derandomize=True, deadline=None)
@given(TEXT, st.none() | TEXT, st.integers(1, 65_535), st.floats(0.5, 1))
def test_a_row_is_one_printable_line_under_the_header(
    name: str, reason: str | None, width: int, confidence: float
) -> None:
    path = Path("folder", name)
    decision = Decision("REAL", confidence)
    row = table_row(
        Unreadable(path, reason)
        if reason
        else Answer(path, width, 65_535, confidence, decision, False, "size", True),
        Path("folder"),
    )
    assert row.isprintable()
    row.encode()
    assert row[NAME_WIDTH : NAME_WIDTH + 2] == "  "
    if not reason:
        assert row[: TABLE_HEADER.index("label")].split()[-1] == f"{width}x65535"
        assert row[TABLE_HEADER.index("label") :].split() == f"REAL {confidence:.2%} no: size yes".split()
        assert row.index("no: size") == TABLE_HEADER.index("in domain")
        assert row.index("yes", NAME_WIDTH) == TABLE_HEADER.index("by content")


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (Counts(), "0 pictures"),
        (Counts(unreadable=2), "0 pictures and 2 unreadable files"),
        (
            Counts(1, 1, 0, 0, 1, 0, 1),
            "1 picture and 1 unreadable file; 1 called REAL, 100.0% (95 % interval 20.7% to 100.0%); 0 in "
            "the domain, 0 out of it by size, 1 by content; 0 in it by content alone",
        ),
        (
            Counts(17, 14, 2, 12, 3, 10),
            "17 pictures; 14 called REAL, 82.4% (95 % interval 59.0% to 93.8%); 2 in the domain, 12 out of "
            "it by size, 3 by content; 10 in it by content alone",
        ),
    ],
)
def test_the_numbers_as_a_line(counts: Counts, text: str) -> None:
    assert counts.describe() == text


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(32, 32), (61, 50), (300, 290), (1100, 700)])
def test_the_network_sees_what_it_sees_in_the_service(
    size: tuple[int, int], file_format: str, orientation: int, tmp_path: Path
) -> None:
    """A large JPEG is decoded at a fraction of its size, by which single grey levels differ."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    texture = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path = tmp_path / "picture"
    path.write_bytes(encode(texture, file_format, exif=exif.tobytes()))
    one = read_input(path, MeanPredictor.preprocess)
    served = Service(MeanPredictor(), load_settings()).decode_picture(path.read_bytes(), math.inf)
    assert isinstance(one, Input)
    np.testing.assert_array_equal(one.pixels, served.pixels)
    assert (one.width, one.height, one.resampled) == (served.width, served.height, served.resampled)


def test_a_probability_is_rounded_before_it_decides(folder: Path) -> None:
    class AlmostHalf(MeanPredictor):
        def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
            return Prediction(np.full(len(pictures), 0.4999996), None)

    [answer] = answer_files([folder / "real.png"], AlmostHalf())
    assert isinstance(answer, Answer)
    assert (answer.prediction, answer.decision) == (0.5, Decision("REAL", 0.5))
