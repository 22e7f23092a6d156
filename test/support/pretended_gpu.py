"""A GPU that is not there: tensors that say `cuda`, are computed on the CPU, and may not meet the CPU's in an operator.

Code that forgets to move a table, or makes a new tensor on the wrong device, fails in it as it would on a GPU. What it
does not show: other rounding, other random numbers, kernels that a GPU lacks.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("cuda", 0)
_BETWEEN_DEVICES = ("aten::copy_", "aten::_to_copy")
_WITH_INDICES = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
"""PyTorch moves indices of the CPU to the GPU by itself."""
_FREE = ("aten::_embedding_bag", "aten::_embedding_bag_forward_only", "aten::_embedding_bag_backward")
"""Their offsets are made inside PyTorch, which asks the tensor for its true device."""


class There(torch.Tensor):
    """A tensor on it; `here` holds the values."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here):
        made = torch.Tensor._make_wrapper_subclass(
            cls, here.size(), strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype,
            layout=here.layout, device="cpu",  # autograd looks for the streams of a true one; _Moves says `cuda`
        )
        made.here = here
        return made

    def __repr__(self, *, tensor_contents=None):
        return f"There({self.here!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        name = func._schema.name
        plain = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor) and not isinstance(t, There)]
        if name in _FREE or (name in _WITH_INDICES and isinstance(args[0], There)):
            plain = []
        mixed = [tuple(t.shape) for t in plain if t.dim()]  # a single number may come from the CPU
        if mixed and name not in _BETWEEN_DEVICES:
            raise RuntimeError(f"{name}: expected all tensors on one device, found cuda:0, and cpu of shape {mixed}")
        args, kwargs = tree_map(_here, args), {k: v for k, v in tree_map(_here, kwargs or {}).items() if k != "device"}
        found = func(*args, **kwargs)
        return tree_map(_there, found)


def _here(value):
    return value.here if isinstance(value, There) else value


def _there(value):
    return There(value) if isinstance(value, torch.Tensor) and not isinstance(value, There) else value


class _ToThere(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return There(value.detach().clone())

    @staticmethod
    def backward(ctx, gradient):
        return gradient.here


class _ToHere(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.here.detach().clone()

    @staticmethod
    def backward(ctx, gradient):
        return There(gradient)


def _kind(device) -> str | None:
    return torch.device(device).type if isinstance(device, str | torch.device) else None


class _Moves(TorchFunctionMode):
    """Takes `device` out of every call, and moves what comes of it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func == torch.Tensor.device.__get__:
            return DEVICE if isinstance(args[0], There) else torch.device("cpu")
        if func == torch.Tensor.is_cuda.__get__:
            return isinstance(args[0], There)
        if func is torch.Tensor.new_tensor and isinstance(args[0], There):
            kwargs.setdefault("device", DEVICE)
        if func in (torch.Tensor.numpy, torch.Tensor.__array__) and isinstance(args[0], There):
            raise TypeError("can't convert cuda:0 device type tensor to numpy; use .cpu() first")
        if func is torch.Tensor.cpu:
            return _moved(args[0], "cpu")
        if func is torch.Tensor.to and args[1:] and isinstance(args[1], torch.Tensor):
            return _moved(args[0], "cuda" if isinstance(args[1], There) else "cpu").to(args[1].dtype)
        if func is torch.Tensor.to:
            devices = [a for a in (*args[1:], kwargs.get("device")) if _kind(a)]
            others = [a for a in args[1:] if not _kind(a)]
            rest = {k: v for k, v in kwargs.items() if k not in ("device", "non_blocking")}
            value = _moved(args[0], _kind(devices[0])) if devices else args[0]
            return func(value, *[o for o in others if not isinstance(o, bool)], **rest) if others or rest else value
        if func is torch.nn.functional.one_hot and isinstance(args[0], There):  # counts as the offsets above
            return _there(func(*tree_map(_here, args), **kwargs))
        wanted = _kind(kwargs.pop("device", None))
        kwargs.pop("pin_memory", None)
        return _moved(func(*args, **kwargs), wanted) if wanted else func(*args, **kwargs)


def _moved(value, kind: str):
    if not isinstance(value, torch.Tensor) or isinstance(value, There) == (kind == "cuda"):
        return value
    return (_ToThere if kind == "cuda" else _ToHere).apply(value)


class _Generator(torch.Generator):
    """One of the GPU's is one of the CPU's."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls)


@contextlib.contextmanager
def pretended_gpu(monkeypatch) -> Iterator[None]:
    """While it is open, `cuda` exists."""
    monkeypatch.setattr(torch, "Generator", _Generator)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # subclasses have no version counter in it
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with _Moves():
            yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)
