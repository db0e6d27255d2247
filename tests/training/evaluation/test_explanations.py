from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import MeanPredictor
from tests.pictures import encode, noise
from training.evaluation.answers import BATCH, Unreadable
from training.evaluation.explanations import SUFFIX, Names, write_explanations
from training.evaluation.heat_maps import MARGIN, explanation, overlay

STEMS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=80)


@settings(derandomize=True, deadline=None)
@given(st.lists(STEMS | st.sampled_from(["a", "A", "a-2", f"a{SUFFIX[:-4]}"]), max_size=12))
def test_no_name_is_given_twice_and_no_picture_is_written_over(stems: list[str]) -> None:
    out = Path("out")
    pictures = [out / f"{stem}.png" for stem in stems]
    names = Names(out, pictures)
    written = [names.take(picture) for picture in pictures]
    folded = [path.name.casefold() for path in written]
    assert len(set(folded)) == len(folded)
    assert not set(folded) & {picture.name.casefold() for picture in pictures}
    assert all(path.parent == out and path.name.endswith(SUFFIX) for path in written)
    assert all(len(path.name.encode()) <= 255 for path in written)


def test_files_and_folders_in_order_across_batches(tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "maps"
    folder.mkdir()
    for number in range(BATCH + 2):
        (folder / f"{number}.png").write_bytes(encode(noise(number)) if number != 1 else b"cut")
    found = list(write_explanations([folder, tmp_path / "nowhere.png"], MeanPredictor(), out, 128))
    assert [path.name for path, _ in found] == [f"{n}.png" for n in range(BATCH + 2)] + ["nowhere.png"]
    unreadable = [path.name for path, result in found if isinstance(result, Unreadable)]
    assert unreadable == ["1.png", "nowhere.png"]
    assert {result for _, result in found if isinstance(result, Path)} == set(out.iterdir())


def test_the_picture_is_enlarged_without_smoothing_beside_its_overlay() -> None:
    image, heat = noise(3), np.zeros((32, 32), np.float32)
    heat[:, 16:] = 1
    sheet = np.asarray(explanation(image, heat, ["one.png", "REAL, confidence 99.00%"], 128))
    plain, covered = (sheet[MARGIN : MARGIN + 128, left : left + 128] for left in (MARGIN, 2 * MARGIN + 128))
    np.testing.assert_array_equal(plain, image.repeat(4, axis=0).repeat(4, axis=1))
    np.testing.assert_array_equal(covered[:, :48], plain[:, :48])
    assert (covered[:, 80:] != plain[:, 80:]).any(2).mean() > 0.99
    assert (sheet[MARGIN + 128 :] < 128).any()  # text


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_even_map(value: float) -> None:
    image = noise(3)
    drawn = np.asarray(overlay(image, np.full((32, 32), value, np.float32), 64))
    enlarged = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.NEAREST))
    assert np.array_equal(drawn, enlarged) is (value == 0)
