from pathlib import Path

import pytest

from model.predictor import Predictor
from tests.pictures import encode, noise
from training.data.labelled_images import DataError
from training.submission.infer import infer


def test_every_picture_once(tmp_path: Path, shipped: Predictor) -> None:
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(encode(noise(i)))
    (tmp_path / "large.jpg").write_bytes(encode(noise(9, 80, 60), "JPEG"))
    (tmp_path / "cut.png").write_bytes(encode(noise(4))[:50])
    (tmp_path / "notes.txt").write_text("no picture")
    result = infer(tmp_path, shipped)
    assert [name for name, _ in result.rows] == ["0.png", "1.png", "2.png", "large.jpg"]
    assert [name for name, _ in result.unreadable] == ["cut.png"]
    expected = shipped.predict_proba([noise(i) for i in range(3)])
    assert [p for _, p in result.rows[:3]] == pytest.approx(expected.tolist(), abs=1e-6)


def test_no_pictures(tmp_path: Path, shipped: Predictor) -> None:
    with pytest.raises(DataError, match="no readable picture among 0 picture files"):
        infer(tmp_path, shipped)
    with pytest.raises(DataError, match="there is no folder"):
        infer(tmp_path / "nowhere", shipped)
