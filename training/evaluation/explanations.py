"""Heat maps of picture files, each written as a PNG beside the picture that the network saw."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from model.files import atomic_write
from model.predictor import Predictor
from training.data.files import walk
from training.evaluation.answers import (
    Answer,
    Input,
    Unreadable,
    answer_inputs,
    batches,
    printable,
    read_input,
)
from training.evaluation.heat_maps import explanation

SUFFIX = "_gradcam.png"
NAME_BYTES = 200  # of a picture's name that are kept: file systems have room for 255


def write_explanations(
    arguments: Sequence[Path], predictor: Predictor, out: Path, side: int
) -> Iterator[tuple[Path, Path | Unreadable]]:
    """Write `NAME_gradcam.png` into `out` for each file, and for those in and below each folder.

    side: of the drawn pictures, in pixels. Yields (file, what was written, or why it could not be read).
    Pictures of one name get `NAME-2_gradcam.png` and so on, and no picture is written over.
    """
    paths = [file for one in arguments for file in (walk(one) if one.is_dir() else [one])]
    names = Names(out, paths)
    for batch in batches(paths):
        inputs = [read_input(path, predictor.preprocess) for path in batch]
        readable = [one for one in inputs if isinstance(one, Input)]
        answers = [answer for answer in answer_inputs(readable, predictor) if isinstance(answer, Answer)]
        predictions = np.array([answer.prediction for answer in answers])
        heat_maps = predictor.explain([one.pixels for one in readable], predictions=predictions)
        drawn = zip(answers, heat_maps, strict=True)
        for one in inputs:
            if isinstance(one, Unreadable):
                yield one.path, one
                continue
            answer, heat = next(drawn)
            target = names.take(one.path)
            with atomic_write(target) as file:
                explanation(one.pixels, heat, describe(answer), side).save(file, "PNG")
            yield one.path, target


def describe(answer: Answer) -> list[str]:
    """The lines below a picture: its file, the answer, and what is drawn."""
    decision = answer.decision
    text = f"{decision.label}, confidence {decision.confidence:.2%}"
    if answer.in_domain is False:
        text += f"; out of the model's domain by its {answer.reason}"
    return [
        printable(answer.path.name),
        text,
        f"{answer.width}x{answer.height} pixels, left as the network sees them; "
        f"right what speaks for {decision.label}, from 0 to 1",
    ]


class Names:
    """The files to write: none twice, in capitals or not, and none that is a picture to read."""

    def __init__(self, out: Path, pictures: Sequence[Path]) -> None:
        self._out = out
        self._taken = {path.name.casefold() for path in pictures if path.parent.resolve() == out.resolve()}

    def take(self, picture: Path) -> Path:
        """The file for a picture."""
        stem = os.fsencode(picture.stem)[:NAME_BYTES].decode(errors="ignore")
        name, number = f"{stem}{SUFFIX}", 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}{SUFFIX}"
        self._taken.add(name.casefold())
        return self._out / name
