"""The training images and their targets on the device that trains."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from model.images.preprocess import Preprocess
from training.data.labelled_images import LabelledImages
from training.data.object_classes import object_classes
from training.data.transfer import to_device
from training.fitting.recipe import Recipe


@dataclass(frozen=True)
class TrainingData:
    """What a step needs of each image, all on one device, which must have room for it.

    images: uint8 of shape (N, 3, H, W). labels: 0 or 1; targets: smoothed, in [0, 1]; weights: in the loss;
    each float32 of shape (N,). objects: places in OBJECT_CLASSES, int64 of shape (N,), or None if the recipe
    does not learn them or the names do not tell them.
    """

    images: Tensor
    labels: Tensor
    targets: Tensor
    weights: Tensor
    objects: Tensor | None = None

    @classmethod
    def of(cls, pictures: LabelledImages, recipe: Recipe, device: torch.device) -> "TrainingData":
        """The pictures with the recipe's label smoothing and balance of the classes."""
        class_counts = np.bincount(pictures.labels, minlength=2)
        class_weights = len(pictures) / (2 * class_counts) if recipe.balance else np.ones(2)
        targets = torch.from_numpy(pictures.targets)
        targets = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
        weights = torch.from_numpy(class_weights[pictures.labels]).float()
        labels = torch.from_numpy(pictures.labels).float()
        images = torch.from_numpy(pictures.images).to(device).permute(0, 3, 1, 2)
        on_device = [to_device(tensor, device) for tensor in (labels, targets, weights)]
        objects = object_classes(pictures.names) if recipe.learns_objects else None
        if objects is not None:
            on_device.append(to_device(torch.from_numpy(objects), device))
        return cls(images, *on_device)


def normalization(preprocess: Preprocess, device: torch.device) -> Callable[[Tensor], Tensor]:
    """`preprocess.normalize` for batches on the device, with the same results to the last bit.

    Its constants are on the device beforehand: the method makes them anew for each batch, and waits for them.
    """
    zero, one = (torch.full((1, 3, 1, 1), value, dtype=torch.uint8) for value in (0, 1))
    scale = to_device(replace(preprocess, mean=(0.0, 0.0, 0.0)).normalize(one), device)
    shift = to_device(preprocess.normalize(zero), device)
    return lambda batch: batch.float() * scale + shift
