"""Do the labels of a data set agree with what the model sees?

The rank of suspicion is confident learning's (Northcutt, Jiang & Chuang 2021, "Confident Learning:
Estimating Uncertainty in Dataset Labels", JAIR 70): how sure the model is of the other label.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.stats import binomtest

from model.files import atomically
from model.metadata import THRESHOLD, CheckpointMetadata

MIN_AGREEMENT = 0.75  # agreement above it, or disagreement, says which way round the labels are
NOISE = 0.01  # a share of wrong labels that is worth a word
COLUMNS, SIDE, CAPTION = 10, 96, 28
UNKNOWN = "How many are wrong one by one cannot be told: the model has no record of its own errors."


@dataclass(frozen=True)
class Audit:
    """What the model makes of the labels.

    agreement: share, in [0, 1], of pictures whose label is the model's answer, with its 95 % interval.
    inverted: the labels are the wrong way round.
    flipped: share, in [0, 1], of labels that seem wrong one by one, with its 95 % interval, the model's
        own errors and an inversion of the whole taken out; None where it cannot be told.
    unknown: why it cannot be told, as a sentence; empty where it can.
    suspicion: probability, float64 of shape (N,), that the label is wrong, an inversion of the whole
        taken out.
    """

    agreement: float
    agreement_interval: tuple[float, float]
    inverted: bool
    flipped: float | None
    flipped_interval: tuple[float, float] | None
    suspicion: np.ndarray
    unknown: str = ""

    @property
    def noisy(self) -> bool:
        """Whether more labels are wrong one by one than the model's own errors explain."""
        return self.flipped_interval is not None and self.flipped_interval[0] > NOISE

    @property
    def verdict(self) -> str:
        """`sound`, `noisy`, `inverted`, `inverted and noisy`, or `unclear`.

        Where the model's own errors are not known, `not inverted` or `inverted`.
        """
        if self.unknown == UNKNOWN:
            return "inverted" if self.inverted else "not inverted"
        if self.flipped is None:
            return "unclear"
        words = [word for word, true in (("inverted", self.inverted), ("noisy", self.noisy)) if true]
        return " and ".join(words) or "sound"

    def sentence(self) -> str:
        """The verdict in words, with the figures it rests on."""
        low, high = self.agreement_interval
        text = f"The labels look {self.verdict}: the model agrees with {self.agreement:.1%} of them "
        text += f"(95 % interval {low:.1%} to {high:.1%})."
        if self.verdict == "unclear":
            return f"{text} {self.unknown}"
        if self.inverted:
            text += " What they call REAL looks generated, and what they call FAKE looks photographed."
        if self.unknown:
            text += f" {self.unknown}"
        if self.noisy and self.flipped_interval:
            low, high = self.flipped_interval
            text += f" Some {self.flipped:.1%} ({low:.1%} to {high:.1%}) look wrong one by one"
            text += ", the inversion aside." if self.inverted else "."
        return text


def audit(predictions: np.ndarray, labels: np.ndarray, error: float | None) -> Audit:
    """Hold labels (1 = called REAL, 0 = called FAKE) against P(REAL), both of shape (N,).

    error: share, in [0, 1], of pictures that the model itself gets wrong; None where it is not known.
    """
    agrees = int(((predictions >= THRESHOLD) == (labels == 1)).sum())
    count = len(labels)
    blind = error is not None and error >= 0.5
    inverted = not blind and agrees < (1 - MIN_AGREEMENT) * count
    suspicion = np.where((labels == 1) != inverted, 1 - predictions, predictions)
    interval = binomtest(agrees, count).proportion_ci(method="wilson")
    low, high = float(interval.low), float(interval.high)
    differs = (low, agrees / count, high) if inverted else (1 - high, 1 - agrees / count, 1 - low)
    flipped: float | None = None
    flipped_interval: tuple[float, float] | None = None
    if blind:
        unknown = (
            "By its own record it is wrong on half of its pictures or more, so it says nothing about them."
        )
    elif differs[1] >= 1 - MIN_AGREEMENT:
        unknown = "It does not see the difference that they make, so it says nothing about them."
    elif error is None:
        unknown = UNKNOWN
    else:
        unknown = ""
        # Of a share f of flipped labels the model differs from (1 - f) e + f (1 - e): solved for f.
        least, flipped, most = (max(0.0, (d - error) / (1 - 2 * error)) for d in differs)
        flipped_interval = (least, most)
    return Audit(agrees / count, (low, high), inverted, flipped, flipped_interval, suspicion, unknown)


def own_error(checkpoint: CheckpointMetadata) -> float | None:
    """The share of pictures that a model gets wrong by its own record; None where it has none."""
    accuracy = checkpoint.metrics.get("validation", {}).get("accuracy")
    return None if accuracy is None else 1 - float(accuracy)


def contact_sheet(path: Path, images: list[np.ndarray], captions: list[tuple[str, str]]) -> None:
    """A PNG of pictures, each RGB uint8 of shape (H, W, 3), ten in a row, with two lines under each."""
    rows = -(-len(images) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + 8) + 8, rows * (SIDE + CAPTION + 8) + 8), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (image, lines) in enumerate(zip(images, captions, strict=True)):
        x = 8 + place % COLUMNS * (SIDE + 8)
        y = 8 + place // COLUMNS * (SIDE + CAPTION + 8)
        sheet.paste(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.NEAREST), (x, y))
        for line, text in enumerate(lines):
            draw.text((x, y + SIDE + 2 + line * 12), text[:17], fill="black")
    with atomically(path) as file:
        sheet.save(file, "PNG")
