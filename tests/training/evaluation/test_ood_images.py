import numpy as np

from training.evaluation.ood_images import KINDS, SIDES, ood_images


def test_pictures_differ_and_are_reproducible() -> None:
    pictures = ood_images(12)
    assert list(pictures) == list(KINDS)
    for drawn in pictures.values():
        assert len({picture.tobytes() for picture in drawn}) == 12
        for picture in drawn:
            assert picture.dtype == np.uint8
            assert picture.shape in {(side, side, 3) for side in SIDES}
    again, other = ood_images(12), ood_images(12, seed=1)
    for kind, drawn in pictures.items():
        assert all(np.array_equal(a, b) for a, b in zip(drawn, again[kind], strict=True))
        assert not any(np.array_equal(a, b) for a, b in zip(drawn, other[kind], strict=True))


def test_kinds_match_their_names() -> None:
    pictures = ood_images(12)
    assert all(np.ptp(picture, axis=(0, 1)).max() == 0 for picture in pictures["flat colour"])
    for picture in pictures["checkerboard"]:
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 2
    for picture in pictures["gradient"]:
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2
        assert np.abs(np.diff(picture.astype(int), axis=0)).max() <= 32
    for kind in ("text", "chart"):
        assert all(np.ptp(picture) > 100 for picture in pictures[kind])
