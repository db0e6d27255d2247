import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.pictures import noise
from training.evaluation.run_folder import Validation
from training.submission.slides.pictures import (
    ENLARGED,
    confident_errors,
    draw_quiz,
    enlarge,
    mosaic,
    overlay,
)


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
@settings(derandomize=True, deadline=None)
def test_a_quiz_has_three_different_pictures_of_each_class_or_none(classes: list[bool], seed: int) -> None:
    is_real = np.array(classes)
    quiz = draw_quiz(is_real, seed)
    if min(is_real.sum(), (~is_real).sum()) < 3:
        assert not len(quiz)
    else:
        assert len(set(quiz.tolist())) == 6
        assert is_real[quiz].sum() == 3
        assert (quiz == draw_quiz(is_real, seed)).all()


def test_the_order_of_a_quiz_tells_nothing() -> None:
    is_real = np.arange(40) < 20
    orders = {tuple(is_real[draw_quiz(is_real, seed)].tolist()) for seed in range(200)}
    assert len(orders) == 20  # of six over three


def test_errors_from_the_most_confident_on() -> None:
    labels = np.array([1, 1, 0, 0, 1, 0], np.uint8)
    predictions = np.array([0.9, 0.2, 0.99, 0.1, 0.45, 0.6])
    validation = Validation(list("abcdef"), labels, predictions, None, "FAKE")
    assert confident_errors(validation, 6).tolist() == [2, 1, 5, 4]
    assert confident_errors(validation, 2).tolist() == [2, 1]


def test_enlarged_pixels_are_squares() -> None:
    image = noise(1)
    large, step = pixels(enlarge(image)), ENLARGED // 32
    assert (large == image.repeat(step, 0).repeat(step, 1)).all()


def test_a_mosaic_in_rows() -> None:
    images = np.stack([noise(i) for i in range(6)])
    sheet = pixels(mosaic(images, 3))[::6, ::6]
    assert sheet.shape == (64, 96, 3)
    assert (sheet[:32, 64:] == images[2]).all()
    assert (sheet[32:, :32] == images[3]).all()


def test_heat_brightens_where_it_is_high_only() -> None:
    image = np.full((32, 32, 3), 60, np.uint8)
    heat = np.zeros((32, 32), np.float32)
    heat[:, 16:] = 1
    mixed = pixels(overlay(image, heat)).astype(int)
    assert (mixed[:, : ENLARGED // 2 - 40] == 60).all()
    assert mixed[:, ENLARGED // 2 + 40 :].mean() > 120
