"""The answers to picture files: label, confidence and domain of each, and counts of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from model.images.decode import decode
from model.images.errors import ImageError
from model.images.preprocess import Preprocess
from model.ood import domain
from model.predictor import Decision, Predictor
from training.data.files import read_bytes, walk
from training.evaluation.metrics import wilson_interval
from training.progress import track

BATCH = 64
NAME_WIDTH = 32
TABLE_HEADER = f"{'file':{NAME_WIDTH}}  {'size':>11}  label  confidence  {'in domain':11}  by content"
YES_NO = {True: "yes", False: "no", None: "unknown"}


@dataclass(frozen=True)
class Answer:
    """What the model says of a picture file.

    width, height: of the file's picture, in pixels. prediction: P(REAL) in [0, 1],
        rounded to 6 digits.
    in_domain, reason: see `model.ood.domain`.
    by_content: whether the detector takes the pixels that the network saw for in-domain, of whatever size the
        file's picture is; None if there is no detector.
    """

    path: Path
    width: int
    height: int
    prediction: float
    decision: Decision
    in_domain: bool | None
    reason: str | None
    by_content: bool | None

    def to_json(self) -> dict[str, Any]:
        """By the names of the service's answer, and what the detector says of the content alone."""
        return {
            "file": str(self.path),
            "label": self.decision.label,
            "confidence": round(self.decision.confidence, 6),
            "prediction": self.prediction,
            "in_domain": self.in_domain,
            "out_of_domain_reason": self.reason,
            "in_domain_by_content": self.by_content,
            "width": self.width,
            "height": self.height,
        }


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be read or decoded, and the reason."""

    path: Path
    reason: str

    def to_json(self) -> dict[str, str]:
        """An object without a label."""
        return {"file": str(self.path), "unreadable": self.reason}


@dataclass
class Counts:
    """Numbers of answers: of pictures, of those that are called REAL, and of their domain.

    by_content: those that the detector takes for in-domain by their content, of whatever size.
    unreadable: files, not among the pictures.
    """

    pictures: int = 0
    real: int = 0
    in_domain: int = 0
    out_by_size: int = 0
    out_by_content: int = 0
    by_content: int = 0
    unreadable: int = 0

    def add(self, answer: Answer | Unreadable) -> None:
        """Count an answer."""
        if isinstance(answer, Unreadable):
            self.unreadable += 1
            return
        self.pictures += 1
        self.real += answer.decision.label == "REAL"
        self.in_domain += answer.in_domain is True
        self.out_by_size += answer.reason == "size"
        self.out_by_content += answer.reason == "content"
        self.by_content += answer.by_content is True

    def describe(self) -> str:
        """The numbers as one line."""
        text = _number(self.pictures, "picture")
        if self.unreadable:
            text += f" and {_number(self.unreadable, 'unreadable file')}"
        if not self.pictures:
            return text
        low, high = wilson_interval(self.real, self.pictures)
        return (
            f"{text}; {self.real} called REAL, {self.real / self.pictures:.1%} (95 % interval {low:.1%} to "
            f"{high:.1%}); {self.in_domain} in the domain, {self.out_by_size} out of it by size, "
            f"{self.out_by_content} by content; {self.by_content} in it by content alone"
        )


class Input(NamedTuple):
    """pixels, resampled: see `model.images.preprocess.FittedImage`. width, height: before it."""

    path: Path
    width: int
    height: int
    pixels: np.ndarray
    resampled: bool


def read_input(path: Path, preprocess: Preprocess) -> Input | Unreadable:
    """What the network sees of a file, decoded as the service decodes it."""
    resampled = False

    def fit(image: Image.Image) -> np.ndarray:
        nonlocal resampled
        pixels, resampled = preprocess.fit(image)
        return pixels

    try:
        image = decode(read_bytes(path), transform=fit, min_side=preprocess.min_side)
    except ImageError as error:
        return Unreadable(path, str(error))
    except OSError as error:
        return Unreadable(path, error.strerror or str(error))
    return Input(path, image.width, image.height, image.pixels, resampled)


def answer_inputs(inputs: Sequence[Input | Unreadable], predictor: Predictor) -> list[Answer | Unreadable]:
    """The answer to each input, in order. P(REAL) is rounded to 6 digits, as the service's."""
    result = predictor.predict([one.pixels for one in inputs if isinstance(one, Input)])
    predictions: list[float] = result.predictions.round(6).tolist()
    by_content = [None] * len(predictions) if result.in_domain is None else result.in_domain.tolist()
    found = zip(predictions, by_content, strict=True)
    answers: list[Answer | Unreadable] = []
    for one in inputs:
        if isinstance(one, Unreadable):
            answers.append(one)
            continue
        prediction, content = next(found)
        in_domain, reason = domain(content, one.resampled)
        decision = predictor.decide(prediction)
        answers.append(
            Answer(one.path, one.width, one.height, prediction, decision, in_domain, reason, content)
        )
    return answers


def answer_files(paths: Iterable[Path], predictor: Predictor) -> Iterator[Answer | Unreadable]:
    """The answer to each file, in order. What the network sees of the pictures of one batch is in memory.

    Of a list, whose length is known, the progress is shown.
    """
    for batch in batches(paths):
        yield from answer_inputs([read_input(path, predictor.preprocess) for path in batch], predictor)


def answer_arguments(
    arguments: Iterable[Path], predictor: Predictor
) -> Iterator[tuple[Path | None, Iterator[Answer | Unreadable]]]:
    """(folder, answers to the pictures in and below it) of each folder, (None, answers) of files in a row."""
    for is_folder, group in groupby(arguments, Path.is_dir):
        if is_folder:
            yield from ((folder, answer_files(list(walk(folder)), predictor)) for folder in group)
        else:
            yield None, answer_files(list(group), predictor)


def batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """The paths in lists of BATCH; of a list, whose length is known, the progress is shown."""
    iterator = iter(track(paths, "answering") if isinstance(paths, list) else paths)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def table_row(answer: Answer | Unreadable, folder: Path | None = None) -> str:
    """A line under TABLE_HEADER. Names are relative to the folder, if one is given, and shortened."""
    name = str(answer.path.relative_to(folder)) if folder else answer.path.name
    name = f"{_shorten(name):{NAME_WIDTH}}"
    if isinstance(answer, Unreadable):
        return f"{name}  unreadable: {printable(answer.reason)}"
    size, confidence = f"{answer.width}x{answer.height}", f"{answer.decision.confidence:.2%}"
    in_domain = f"no: {answer.reason}" if answer.reason else YES_NO[answer.in_domain]
    by_content = YES_NO[answer.by_content] if answer.reason == "size" else ""
    row = f"{name}  {size:>11}  {answer.decision.label:5}  {confidence:>10}  {in_domain:11}  {by_content}"
    return row.rstrip()


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shorten(name: str) -> str:
    """The name's end, where it is longer than the table's column."""
    name = printable(name)
    return name if len(name) <= NAME_WIDTH else "…" + name[1 - NAME_WIDTH :]


def printable(text: str) -> str:
    """The text, with a question mark for each character that a terminal would obey or cannot show."""
    return "".join(character if character.isprintable() else "?" for character in text)
