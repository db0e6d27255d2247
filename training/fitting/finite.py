"""Whether what a run computes is still made of numbers."""

import math

from torch import nn


class NotFiniteError(Exception):
    """A loss, a gradient or a weight became infinite or NaN: the weights are of no use."""


def check_finite(epoch: int, values: dict[str, float]) -> None:
    """Raise NotFiniteError for the first of the values, by what they are, that is infinite or NaN."""
    for what, value in values.items():
        if not math.isfinite(value):
            raise NotFiniteError(
                f"in epoch {epoch} a {what} is not finite; nothing of this epoch was saved. "
                "Train with a lower learning rate, or with --precision f32 if this was bf16"
            )


def size_of(*networks: nn.Module) -> float:
    """The Euclidean norm of all weights and buffers of the networks: not finite where one of them is not."""
    tensors = [tensor.detach() for network in networks for tensor in network.state_dict().values()]
    return float(nn.utils.get_total_norm([tensor for tensor in tensors if tensor.is_floating_point()]))
