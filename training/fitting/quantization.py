"""Eight-bit ranges from pictures, and the record of what each precision costs in accuracy."""

import io
from contextlib import redirect_stdout
from typing import Any

import nncf
import numpy as np
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

from model.architecture import RESNET18
from model.checkpoint import Checkpoint
from model.engines.engine import Engine
from model.engines.openvino_engine import OpenVinoEngine
from model.engines.openvino_graph import build_graph
from model.engines.quantization import activation_ranges
from model.engines.torch_engine import TorchEngine
from model.metadata import THRESHOLD, ActivationRange, CheckpointMetadata
from model.predictor import Predictor
from training.data.datasets import Dataset
from training.data.labelled_images import DataError, LabelledImages, deduplicate, train_val_split
from training.evaluation.forward import forward
from training.evaluation.metrics import mean_interval, wilson_interval
from training.progress import track
from training.tables import PERCENT_DECIMALS, number, percentage, table

RANGE_SAMPLE = 512


def quantise(plain: Checkpoint, dataset: Dataset) -> Checkpoint:
    """The checkpoint with int8 ranges and a record of bf16 and int8 beside f32; the weights stay as they are.

    dataset: what the checkpoint was trained on. Ranges come from 512 of its training pictures, the record
    from those that were held out to validate with. bf16 is PyTorch's, which every processor computes,
    if slowly. Raises DataError where the dataset does not hold these pictures, and ValueError for another
    backbone than ResNet18.
    """
    metadata = plain.metadata
    check_backbone(metadata)
    training, validation = original_split(metadata, dataset)
    checkpoint = plain.with_metadata(int8=int8_ranges(plain, training.subsample(RANGE_SAMPLE).images))
    engines: dict[str, Engine] = {
        "bf16": TorchEngine(plain, "cpu", "bf16"),
        "int8": OpenVinoEngine(checkpoint, "int8"),
    }
    reference, _ = forward(Predictor.from_checkpoint(plain, "cpu"), validation.images, "f32")
    record = {}
    for name, engine in engines.items():
        z, _ = forward(Predictor(metadata, engine), validation.images, name)
        record[name] = {"split": "validation"} | precision_loss(metadata, z, reference, validation.labels)
    return checkpoint.with_metadata(metrics=metadata.metrics | {"precisions": record})


def check_backbone(checkpoint: CheckpointMetadata) -> None:
    """Raise ValueError where int8 ranges are not found for the checkpoint's backbone."""
    backbone = checkpoint.architecture.backbone
    if backbone != RESNET18:
        raise ValueError(
            f"int8 is for {RESNET18} only, and this checkpoint's backbone is {backbone}: use f32"
        )


def original_split(checkpoint: CheckpointMetadata, dataset: Dataset) -> tuple[LabelledImages, LabelledImages]:
    """The pictures that a checkpoint was trained on, and those that it was validated with.

    Split again as training.fitting.run did. Raises DataError where they are not the same pictures.
    """
    recipe, recorded = checkpoint.recipe, checkpoint.data.get("validation", {}).get("sha256")
    if recorded is None or not {"validation_fraction", "seed"} <= recipe.keys():
        raise DataError("this checkpoint does not say which pictures it was validated with")
    clean = deduplicate(dataset.pictures, dataset.excluded).pictures
    training, validation = train_val_split(clean, recipe["validation_fraction"], recipe["seed"])
    if validation.digest() != recorded:
        raise DataError(
            "this checkpoint was validated with other pictures: give the --data and --target that it was "
            "trained with, or its training pictures would be taken for unseen ones"
        )
    return training, validation


def int8_ranges(checkpoint: Checkpoint, pictures: np.ndarray) -> tuple[ActivationRange, ...]:
    """The ranges of activations that NNCF finds from pictures, uint8 of shape (N, size, size, 3).

    One range for all channels of an activation (Nagel et al. 2021, "A White Paper on Neural Network
    Quantization", arXiv 2106.08295, section 3), from the smallest to the largest value in any picture.
    NNCF's own choice, the means of each picture's, cuts the largest values off in half of the pictures: of
    the shipped model's fifth cycle the logits within 2.5 of 0 are 0.19 from those in f32 (root mean square)
    by that, and 0.13 by the whole ranges. NNCF's correction of biases is left out: a range is all that a
    checkpoint has to carry. So is what `is_rounded` says of the head and of the sums.
    """
    with redirect_stdout(io.StringIO()):  # NNCF draws bars there
        found = nncf.quantize(
            build_graph(checkpoint.weights, checkpoint.metadata.architecture, checkpoint.metadata.preprocess),
            nncf.Dataset(track([picture[None] for picture in pictures], "int8 ranges")),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(pictures),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                disable_bias_correction=True,
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            ),
        )
    return tuple(range_ for range_ in activation_ranges(found) if is_rounded(range_))


def is_rounded(range_: ActivationRange) -> bool:
    """Whether int8 rounds an activation for which NNCF has a range.

    Not where rounding saves nothing: the second convolution of a residual block adds the shortcut to its own
    products before these are rounded, and the head is one matrix product in float32. The logits
    of the shipped model's fourth cycle are 0.095 from those in f32 (root mean square); with these rounded too
    0.170, in the same time.
    """
    product = range_.operation.endswith(".add") and range_.port == 0
    return not product and range_.operation not in ("avgpool", "flatten")


def precision_loss(
    metadata: CheckpointMetadata, z: np.ndarray, reference: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    """Accuracy lost by logits (N,) against the reference's, in points, and the fraction of other answers.

    labels: 0 or 1, of shape (N,), as the dataset has them, whichever class its label 1 is. The interval
    is at 95 %, that of a difference between paired shares (Wald's; see training.evaluation.robustness).
    """
    one, other = (metadata.probability(part) >= THRESHOLD for part in (z, reference))
    real = (labels == 1) == (metadata.positive_class == "REAL")
    right, right_before = ((answers == real).astype(float) for answers in (one, other))
    lost, interval = mean_interval(right_before - right)
    return {
        "pictures": len(labels),
        "accuracy": float(right.mean()),
        "points_lost": 100 * lost,
        "points_lost_interval": [100 * bound for bound in interval],
        "answered_otherwise": float((one != other).mean()),
    }


def describe(checkpoint: CheckpointMetadata) -> str:
    """A checkpoint's record as a table, and whether `auto` takes the precision by it."""
    rows = []
    for name, one in checkpoint.metrics["precisions"].items():
        accuracy = wilson_interval(round(one["accuracy"] * one["pictures"]), one["pictures"])
        rows.append(
            (
                name,
                str(one["pictures"]),
                percentage(one["accuracy"], accuracy)[0],
                *number(one["points_lost"], one["points_lost_interval"], PERCENT_DECIMALS),
                percentage(one["answered_otherwise"], accuracy)[0],
                "yes" if checkpoint.allows_precision(name) else "no",
            )
        )
    header = ("against f32", "pictures", "accuracy", "points lost", "95 % interval", "answered otherwise")
    return table(rows, (*header, "`auto` takes it"), "<>>><><")
