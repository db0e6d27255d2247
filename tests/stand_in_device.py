"""A stand-in for an accelerator: it computes on the CPU, with restrictions of some devices.

It replaces torch's `meta` device, for which torch has no autocast. It has no 64-bit floats, like Apple's MPS,
and no operations on tensors of both devices, except copies and zero-dimensional tensors.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

CPU = torch.device("cpu")
STAND_IN = torch.device("meta")
UNSUPPORTED_DTYPES = (torch.float64, torch.complex128)
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class StandInTensor(Tensor):
    """A tensor on the stand-in device; `inner` is the CPU tensor with its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls: type["StandInTensor"], inner: Tensor) -> "StandInTensor":
        if inner.dtype in UNSUPPORTED_DTYPES:
            raise TypeError(f"this device has no {inner.dtype}")
        wrapper = Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=STAND_IN
        )
        wrapper.inner = inner
        return wrapper

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.inner.__reduce_ex__(protocol)  # saved as a CPU tensor

    @classmethod
    def __torch_dispatch__(cls, function: Callable, types: Any, args: Any, kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class StandInDevice(TorchDispatchMode):
    """A context in which `meta` is the stand-in device."""

    def __enter__(self) -> "StandInDevice":
        self._factories = _Factories()
        self._factories.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._factories.__exit__(*error)

    def __torch_dispatch__(self, function: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class _Factories(TorchFunctionMode):
    """Creates tensors of Python values on the CPU first: a dispatch mode does not see their creation."""

    def __torch_function__(self, function: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is Tensor.new_tensor and isinstance(args[0], StandInTensor):
            kwargs = {"dtype": args[0].dtype, "device": STAND_IN} | kwargs
            function, args = torch.tensor, args[1:]
        if function in (torch.tensor, torch.as_tensor) and kwargs.get("device"):
            device = kwargs.pop("device")
            return function(*args, **kwargs).to(device)
        return function(*args, **kwargs)


@torch.inference_mode(False)  # inference mode does not allow views of wrapped tensors
@torch.no_grad()
def _run(function: Callable, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors: list[Tensor] = []
    tree_map(lambda x: tensors.append(x) if isinstance(x, Tensor) else None, (args, kwargs))
    wrappers = {id(x.inner): x for x in tensors if isinstance(x, StandInTensor)}
    others = [x for x in tensors if not isinstance(x, StandInTensor) and x.ndim]
    if any(x.device == STAND_IN for x in others):
        raise RuntimeError(f"{function} was given a tensor that this stand-in did not see being made")
    if wrappers and others and function not in COPIES:
        raise RuntimeError(f"{function} was given tensors of two devices")
    device = kwargs.get("device")
    inner_args, inner_kwargs = tree_map(
        lambda x: x.inner if isinstance(x, StandInTensor) else x, (args, kwargs)
    )
    if device is not None:
        inner_kwargs["device"] = CPU
        on_stand_in = torch.device(device) == STAND_IN
    elif function is torch.ops.aten.copy_.default:
        on_stand_in = isinstance(args[0], StandInTensor)
    else:
        on_stand_in = bool(wrappers)
    result = function(*inner_args, **inner_kwargs)
    if not on_stand_in:
        return result

    def wrap(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return (
            wrappers[id(x)] if id(x) in wrappers else StandInTensor(x)
        )  # in-place operations return an argument

    return tree_map(wrap, result)
