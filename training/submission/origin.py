"""Where a prediction file comes from: a record that `infer` writes beside it and `submission` reads."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from model.files import atomic_write
from model.metadata import Label

MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Origin:
    """The record of a prediction file.

    predictions_sha256, model_sha256: of the prediction file and of the checkpoint, in hexadecimal.
    positive_class: the class whose probability the predictions are.
    images: the folder of the pictures, as it was given.
    missing: how many pictures could not be read and have a prediction that was given for them.
    """

    predictions_sha256: str
    model_sha256: str
    positive_class: Label
    images: str
    missing: int = 0


def origin_path(predictions: Path) -> Path:
    """Where the record of a prediction file is: `TEAM_prediction.meta.json`."""
    return predictions.with_suffix(".meta.json")


def sha256(content: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def write_origin(predictions: Path, origin: Origin) -> None:
    """Write the record of a prediction file beside it."""
    with atomic_write(origin_path(predictions)) as file:
        file.write(json.dumps(asdict(origin), indent=2).encode() + b"\n")


def read_origin(predictions: Path, content: bytes) -> Origin | None:
    """The record of a prediction file with this content.

    None if there is none, or if the file was written again without one, as the service does.
    """
    path = origin_path(predictions)
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        return None
    try:
        values = json.loads(path.read_bytes())
        origin = Origin(**{field.name: values[field.name] for field in fields(Origin)})
    except (ValueError, KeyError, TypeError):
        return None
    valid = origin.positive_class in get_args(Label) and isinstance(origin.missing, int)
    return origin if valid and origin.predictions_sha256 == sha256(content) else None


def mismatches(origin: Origin, report: dict[str, Any]) -> list[str]:
    """What of the record does not fit a run, as parts of a sentence. report: the run's `metrics.json`."""
    found = []
    label_1 = report["data"]["label_1"]
    if origin.positive_class != label_1:
        found.append(f"they are P({origin.positive_class}), and the run's label 1 means {label_1}")
    model = report.get("model_sha256")
    if model is None:
        found.append("the run's metrics.json has no model_sha256 to compare their model with")
    elif origin.model_sha256 != model:
        found.append(f"they are by the model {origin.model_sha256[:12]}, and the run's is {model[:12]}")
    return found
