from collections.abc import Sequence

import numpy as np
import pytest

from training.data.object_classes import OBJECT_CLASSES, object_classes

NUMBERS = range(1, len(OBJECT_CLASSES) + 1)


def name_of(number: int, place: int, suffix: str = "jpg") -> str:
    """The name of CIFAKE's picture of a number, of the class at a place, counted from 1."""
    return f"REAL/{number:04}.{suffix}" if place == 1 else f"FAKE/{number:04} ({place}).{suffix}"


ALL = [name_of(7, place) for place in NUMBERS]


def test_each_name_tells_its_class() -> None:
    names = [name_of(number, place) for number in (0, 5, 999, 12345) for place in NUMBERS]
    order = np.random.default_rng(0).permutation(len(names))
    classes = object_classes([names[i] for i in order])
    assert classes is not None
    assert classes.dtype == np.int64
    np.testing.assert_array_equal(classes, np.tile(np.arange(len(OBJECT_CLASSES)), 4)[order])


def test_the_order_is_that_of_cifar_10() -> None:
    classes = object_classes(ALL)
    assert classes is not None
    assert OBJECT_CLASSES[classes[1]] == "automobile"
    assert OBJECT_CLASSES[classes[9]] == "truck"


@pytest.mark.parametrize(
    "names",
    [
        [],
        [name_of(number, 1) for number in range(20)],  # simply numbered
        [name for name in ALL if "(4)" not in name],
        *(
            [*ALL, f"REAL/{stem}.jpg"]
            for stem in ("cat", "7 (0)", "7 (1)", "7 (11)", "7(2)", "7 (2) (3)", "7a")
        ),
    ],
)
def test_other_names_tell_nothing(names: Sequence[str]) -> None:
    assert object_classes(names) is None
