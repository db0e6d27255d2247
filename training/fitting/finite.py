"""Detection of infinite and NaN values during training."""

import math

from torch import nn

from training.data.errors import TrainingError


class NotFiniteError(TrainingError):
    """A loss, gradient or weight became infinite or NaN, so the current weights are unusable."""


def check_finite(epoch: int, values: dict[str, float]) -> None:
    """Raise NotFiniteError for the first infinite or NaN value. values: by the name for the message."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise NotFiniteError(
                f"in epoch {epoch} a {name} is not finite; nothing of this epoch was saved. "
                "Train with a lower learning rate, or with --precision f32 if this was bf16"
            )


def total_norm(*networks: nn.Module) -> float:
    """Euclidean norm of all weights and floating-point buffers; not finite if any element is not."""
    tensors = [tensor.detach() for network in networks for tensor in network.state_dict().values()]
    return float(nn.utils.get_total_norm([tensor for tensor in tensors if tensor.is_floating_point()]))
