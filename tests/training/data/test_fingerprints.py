from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import SHIPPED
from model.metadata import CheckpointError, digest_of
from tests.pictures import noise
from training.data.fingerprints import (
    SUFFIX,
    contained,
    copy_fingerprints,
    fingerprints,
    read_fingerprints,
    write_fingerprints,
)

IMAGES = np.stack([noise(seed) for seed in range(60)])
OTHERS = np.stack([noise(seed) for seed in range(100, 160)])


def enlarged(images: np.ndarray, size: int) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(one).resize((size, size), 2)) for one in images])


@pytest.mark.parametrize(
    "changed",
    [
        IMAGES,
        np.clip(IMAGES.astype(int) + np.indices(IMAGES.shape).sum(0) % 2, 0, 255).astype(np.uint8),
        enlarged(IMAGES, 224),
    ],
    ids=["the same", "rounded otherwise", "enlarged"],
)
def test_the_same_pictures_are_found_and_others_are_not(changed: np.ndarray) -> None:
    known = fingerprints(IMAGES)
    assert contained(fingerprints(changed), known).all()
    assert not contained(fingerprints(OTHERS), known).any()
    both = np.concatenate([fingerprints(OTHERS), fingerprints(changed)])
    assert contained(both, known).tolist() == [False] * 60 + [True] * 60


def test_brighter_pictures_are_others() -> None:
    dark = IMAGES // 2
    assert not contained(fingerprints(dark + 20), fingerprints(dark)).any()


@pytest.mark.parametrize("count", [0, 1])
def test_few_pictures(count: int) -> None:
    one = fingerprints(IMAGES[:count])
    assert one.shape == (count,)
    assert contained(one, fingerprints(IMAGES)).tolist() == [True] * count
    assert contained(fingerprints(IMAGES), one).tolist() == [i < count for i in range(60)]


def test_the_file(tmp_path: Path) -> None:
    path, digest = tmp_path / "x.pth", "ab" * 32
    assert read_fingerprints(path, digest) is None
    values = fingerprints(np.concatenate([IMAGES, IMAGES]))
    write_fingerprints(path, digest, values)
    assert path.with_suffix(SUFFIX).stat().st_size == 32 + 8 * 60
    read = read_fingerprints(path, digest)
    assert read is not None
    assert read.tolist() == sorted(set(values.tolist()))


@pytest.mark.parametrize("change", ["of another", "cut", "empty"])
def test_a_file_that_does_not_belong_is_an_error(change: str, tmp_path: Path) -> None:
    path, digest = tmp_path / "x.pth", "ab" * 32
    write_fingerprints(path, digest, fingerprints(IMAGES))
    file = path.with_suffix(SUFFIX)
    file.write_bytes({"of another": file.read_bytes(), "cut": file.read_bytes()[:-1], "empty": b""}[change])
    with pytest.raises(CheckpointError, match=r"x\.fingerprints is damaged or of another checkpoint"):
        read_fingerprints(path, "cd" * 32 if change == "of another" else digest)


def test_a_copy(tmp_path: Path) -> None:
    source, target = tmp_path / "x.pth", tmp_path / "y.pth"
    target.write_bytes(b"weights")
    write_fingerprints(source, "ab" * 32, fingerprints(IMAGES))
    copy_fingerprints(source, "ab" * 32, target)
    read = read_fingerprints(target, digest_of(target))
    assert read is not None
    assert len(read) == 60
    source.with_suffix(SUFFIX).unlink()
    copy_fingerprints(source, "ab" * 32, target)
    assert read_fingerprints(target, digest_of(target)) is None


def test_the_shipped_model_has_its_own() -> None:
    known = read_fingerprints(SHIPPED, digest_of(SHIPPED))
    assert known is not None
    assert 98_000 < len(known) < 98_703
    assert not contained(fingerprints(IMAGES), known).any()
