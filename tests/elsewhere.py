"""A device that there is not: it computes as the CPU does, and refuses what some devices refuse.

It stands where torch's `meta` is, for which torch has no autocast. Tensors of 64-bit floats cannot be on it,
as on Apple's MPS, and an operation takes no tensors of both devices, but for copies and tensors of no
dimensions.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

HERE = torch.device("cpu")
THERE = torch.device("meta")
WIDE = (torch.float64, torch.complex128)
ACROSS = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class Remote(Tensor):
    """A tensor on the device; `inner` is the one on the CPU that it is made of."""

    inner: Tensor

    @staticmethod
    def __new__(cls: type["Remote"], inner: Tensor) -> "Remote":
        if inner.dtype in WIDE:
            raise TypeError(f"this device has no {inner.dtype}")
        made = Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=THERE
        )
        made.inner = inner
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.inner.__reduce_ex__(protocol)  # is saved as one on the CPU

    @classmethod
    def __torch_dispatch__(cls, function: Callable, types: Any, arguments: Any, named: Any = None) -> Any:
        return _run(function, arguments, named or {})


class Elsewhere(TorchDispatchMode):
    """While it is entered, `meta` is the device."""

    def __enter__(self) -> "Elsewhere":
        self._made = _Made()
        self._made.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._made.__exit__(*error)

    def __torch_dispatch__(
        self, function: Callable, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        return _run(function, arguments, named or {})


class _Made(TorchFunctionMode):
    """Tensors made of Python's values, which torch makes out of sight of a dispatch mode, come by the CPU."""

    def __torch_function__(
        self, function: Callable, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        named = dict(named or {})
        if function is Tensor.new_tensor and isinstance(arguments[0], Remote):
            named = {"dtype": arguments[0].dtype, "device": THERE} | named
            function, arguments = torch.tensor, arguments[1:]
        if function in (torch.tensor, torch.as_tensor) and named.get("device"):
            device = named.pop("device")
            return function(*arguments, **named).to(device)
        return function(*arguments, **named)


@torch.inference_mode(False)  # in which views of wrapped tensors cannot be made
@torch.no_grad()
def _run(function: Callable, arguments: Any, named: dict[str, Any]) -> Any:
    given: list[Tensor] = []
    tree_map(lambda one: given.append(one) if isinstance(one, Tensor) else None, (arguments, named))
    remote = {id(one.inner): one for one in given if isinstance(one, Remote)}
    local = [one for one in given if not isinstance(one, Remote) and one.ndim]
    if any(one.device == THERE for one in local):
        raise RuntimeError(f"{function} was given a tensor that this stand-in did not see being made")
    if remote and local and function not in ACROSS:
        raise RuntimeError(f"{function} was given tensors of two devices")
    target = named.get("device")
    inner = [
        tree_map(lambda one: one.inner if isinstance(one, Remote) else one, part)
        for part in (arguments, named)
    ]
    if target is not None:
        inner[1]["device"] = HERE
        there = torch.device(target) == THERE
    elif function is torch.ops.aten.copy_.default:
        there = isinstance(arguments[0], Remote)
    else:
        there = bool(remote)
    found = function(*inner[0], **inner[1])
    if not there:
        return found

    def wrapped(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        return (
            remote[id(one)] if id(one) in remote else Remote(one)
        )  # changed in place: the tensor that it was

    return tree_map(wrapped, found)
