"""Label issues: do the labels of a data set agree with a model's predictions?

Pictures are ranked as in confident learning (Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels", JAIR 70), by the probability that the model gives the other label.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.metadata import THRESHOLD, CheckpointMetadata
from training.data.labelled_images import LABELS, LabelledImages
from training.data.reports import write_csv
from training.evaluation.contact_sheet import contact_sheet
from training.evaluation.metrics import wilson_interval
from training.tables import table

MIN_AGREEMENT = 0.75  # labels are unclear if the agreement is from 1 - this to this
MIN_NOISE_RATE = 0.01  # labels are noisy if the noise rate is above this
NO_VALIDATION_ERROR = "The noise rate is unknown: the checkpoint has no record of its validation error."
CLASS_NAMES = {label: name for name, label in LABELS.items()}


@dataclass(frozen=True)
class Audit:
    """The labels compared with the model's predictions.

    agreement: share, in [0, 1], of pictures whose label the model predicts, with its 95 % interval.
    inverted: whether REAL and FAKE are swapped in the whole data set.
    noise_rate: estimated share, in [0, 1], of single wrong labels, with its 95 % interval, corrected for the
        model's own errors and for an inversion; None if it is unknown.
    reason: why the noise rate is unknown, as a sentence; empty if it is known.
    predictions: P(REAL) of each picture by the model, float64 of shape (N,).
    label_error_probability: probability by the model that each label is wrong, float64 of shape (N,),
        corrected for an inversion.
    """

    agreement: float
    agreement_interval: tuple[float, float]
    inverted: bool
    noise_rate: float | None
    noise_rate_interval: tuple[float, float] | None
    predictions: np.ndarray
    label_error_probability: np.ndarray
    reason: str = ""

    @property
    def noisy(self) -> bool:
        """Whether the noise rate is significantly above MIN_NOISE_RATE."""
        return self.noise_rate_interval is not None and self.noise_rate_interval[0] > MIN_NOISE_RATE

    @property
    def verdict(self) -> str:
        """`sound`, `noisy`, `inverted`, `inverted and noisy`, or `unclear`.

        If the model's own error is unknown, `not inverted` or `inverted`.
        """
        if self.reason == NO_VALIDATION_ERROR:
            return "inverted" if self.inverted else "not inverted"
        if self.noise_rate is None:
            return "unclear"
        words = [word for word, true in (("inverted", self.inverted), ("noisy", self.noisy)) if true]
        return " and ".join(words) or "sound"

    def describe(self) -> str:
        """The verdict and its numbers as sentences."""
        low, high = self.agreement_interval
        text = f"The labels look {self.verdict}: the model agrees with {self.agreement:.1%} of them "
        text += f"(95 % interval {low:.1%} to {high:.1%})."
        if self.verdict == "unclear":
            return f"{text} {self.reason}"
        if self.inverted:
            text += " Pictures labelled REAL look generated, pictures labelled FAKE look like photographs."
        if self.reason:
            text += f" {self.reason}"
        if self.noisy and self.noise_rate_interval:
            low, high = self.noise_rate_interval
            text += f" About {self.noise_rate:.1%} ({low:.1%} to {high:.1%}) of the labels look wrong"
            text += " besides the inversion." if self.inverted else "."
        if self.inverted:
            text += " `train` takes label 1 for FAKE then, and --positive FAKE gives its probability."
        return text


def audit(predictions: np.ndarray, labels: np.ndarray, model_error: float | None) -> Audit:
    """Compare labels (1 = REAL, 0 = FAKE) with P(REAL), both of shape (N,).

    model_error: the model's error rate on correct labels, in [0, 1]; None if it is unknown.
    """
    agree = int(((predictions >= THRESHOLD) == (labels == 1)).sum())
    count = len(labels)
    useless = model_error is not None and model_error >= 0.5
    inverted = not useless and agree < (1 - MIN_AGREEMENT) * count
    label_error_probability = np.where((labels == 1) != inverted, 1 - predictions, predictions)
    low, high = wilson_interval(agree, count)
    disagreement = (low, agree / count, high) if inverted else (1 - high, 1 - agree / count, 1 - low)
    noise_rate: float | None = None
    noise_rate_interval: tuple[float, float] | None = None
    reason = ""
    if useless:
        reason = "The model is wrong on half of its validation pictures or more, so it cannot check labels."
    elif disagreement[1] >= 1 - MIN_AGREEMENT:
        reason = "The model does not separate these classes, so it cannot check their labels."
    elif model_error is None:
        reason = NO_VALIDATION_ERROR
    else:
        # With a noise rate r and a model error e they disagree on (1 - r) e + r (1 - e): solved for r.
        least, noise_rate, most = (max(0.0, (d - model_error) / (1 - 2 * model_error)) for d in disagreement)
        noise_rate_interval = (least, most)
    return Audit(
        agree / count,
        (low, high),
        inverted,
        noise_rate,
        noise_rate_interval,
        predictions,
        label_error_probability,
        reason,
    )


def describe_counts(result: Audit, labels: np.ndarray) -> str:
    """How many pictures of each label the model calls REAL and FAKE, as a table."""
    rows = []
    for name, label in LABELS.items():
        of_label = result.predictions[labels == label]
        real = int((of_label >= THRESHOLD).sum())
        rows.append((name, str(len(of_label)), str(real), str(len(of_label) - real)))
    return table(rows, ("label", "pictures", "model: REAL", "FAKE"), "<>")


def to_json(result: Audit, pictures: LabelledImages) -> dict[str, Any]:
    """The audit for a JSON file; what it says of single pictures is in `audit.csv`."""
    return {
        "pictures": len(pictures),
        "unreadable": len(pictures.unreadable),
        "verdict": result.verdict,
        "inverted": result.inverted,
        "agreement": result.agreement,
        "agreement_interval": list(result.agreement_interval),
        "noise_rate": result.noise_rate,
        "noise_rate_interval": result.noise_rate_interval and list(result.noise_rate_interval),
        "reason": result.reason or None,
    }


def validation_error(checkpoint: CheckpointMetadata) -> float | None:
    """The model's error rate on its validation pictures; None if the checkpoint has no record of it."""
    accuracy = checkpoint.metrics.get("validation", {}).get("accuracy")
    return None if accuracy is None else 1 - float(accuracy)


def write_report(folder: Path, pictures: LabelledImages, result: Audit, count: int) -> list[int]:
    """Write `audit.csv`, all pictures from the highest label error probability on, and `audit.png`.

    `audit.png` is a contact sheet of the first `count`. Returns their indices.
    """
    probability, names, labels = result.label_error_probability, pictures.names, pictures.labels
    order = (-probability).argsort(kind="stable")
    rows = ([names[i], labels[i], f"{probability[i]:.6f}"] for i in order)
    write_csv(folder / "audit.csv", ["name", "label", "label_error_probability"], rows)
    first = order[:count].tolist()
    captions = [
        caption(names[i], int(labels[i]), float(result.predictions[i]), result.inverted) for i in first
    ]
    contact_sheet(folder / "audit.png", [pictures.images[i] for i in first], captions)
    return first


def caption(name: str, label: int, prediction: float, inverted: bool) -> list[str]:
    """The lines below a picture: its file, what its label says, what the model says.

    name: with its folder. label: 1 = REAL, 0 = FAKE as in the data. prediction: P(REAL) by the model.
    inverted: whether REAL and FAKE are swapped in the whole data set, so that the label means the other.
    """
    answer = CLASS_NAMES[int(prediction >= THRESHOLD)]
    meaning = f", means {CLASS_NAMES[1 - label]}" if inverted else ""
    return [name, f"folder: {CLASS_NAMES[label]}{meaning}", f"model: {answer}, P(REAL) {prediction:.4f}"]
