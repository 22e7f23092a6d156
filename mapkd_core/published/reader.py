"""Reads the tensors of a checkpoint that others wrote, and nothing else of it: no object is ever unpickled."""
from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.archive import check_stored
from mapkd_core.files import sha256

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training code keeps the weights beside its own state (mmcv: `state_dict`)."""
PREFIX = "module."
"""What DataParallel puts before every name."""

_CONVERT = (
    'python -c "import sys, torch; from safetensors.torch import save_file; '
    "c = torch.load(sys.argv[1], map_location='cpu', weights_only=False); "
    "save_file({k: v.contiguous() for k, v in c.get('state_dict', c).items()}, sys.argv[1] + '.safetensors')\" "
)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The weights of a file, by the authors' names without `module.`."""

    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    envelope: str
    """In words, how the file wraps its weights."""


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The weights of a file of PyTorch's or a .safetensors file, mapped into memory where the format allows it.

    Raises FileNotFoundError, or ValueError, with the remedy, for a file that is damaged, holds objects that would have
    to be unpickled, or holds no weights.
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise FileNotFoundError(f"no checkpoint {place}; expected the authors' file (.pt, .pth, .safetensors)")
    whole = _safetensors(place) if place.suffix == ".safetensors" else _pytorch(place)
    tensors, envelope = _weights(place, whole)
    prefixed = [name for name in tensors if name.startswith(PREFIX)]
    if prefixed and len(prefixed) < len(tensors):
        other = next(name for name in tensors if not name.startswith(PREFIX))
        raise ValueError(
            f"{place}: {len(prefixed)} of {len(tensors)} names start with {PREFIX!r}, {other} does not; expected all "
            "or none: the file was put together from two"
        )
    if prefixed:
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
        envelope += f", names with {PREFIX!r}"
    return Checkpoint(place, sha256(place), tensors, envelope)


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError, OSError) as error:
        raise ValueError(f"{path} is no safetensors file ({' '.join(str(error).split())}); fetch it again") from error


def _pytorch(path: Path) -> Any:
    import torch

    archive = zipfile.is_zipfile(path)  # PyTorch before 1.6 wrote none
    try:
        if archive:
            check_stored(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named is None:
            raise _damaged(path, error) from error
        raise ValueError(
            f"{path} cannot be read as weights alone: it holds the object {named.group(1)}, and reading that runs code "
            f"of the file. If you trust where it comes from, make a file of its weights, then import that: {_CONVERT}"
            f"{path}"
        ) from error
    except Exception as error:  # torch raises many kinds for a damaged file
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is no checkpoint of PyTorch, or a damaged one ({type(error).__name__}); fetch it again")


def _weights(path: Path, whole: Any) -> tuple[dict[str, Tensor], str]:
    """The state dict within what a file holds, and in words where it was."""
    import torch

    inner, envelope = whole, "a bare state dict"
    if isinstance(whole, Mapping):
        for wrapper in WRAPPERS:
            if isinstance(whole.get(wrapper), Mapping):
                beside = ", ".join(sorted(str(key) for key in whole if key != wrapper)) or "nothing"
                inner, envelope = whole[wrapper], f"under {wrapper!r} beside {beside}"
                break
    if not isinstance(inner, Mapping) or not inner:
        raise ValueError(
            f"{path} holds no weights: expected names with tensors, or these under {' or '.join(map(repr, WRAPPERS))}"
        )
    for name, value in inner.items():
        plain = isinstance(name, str) and isinstance(value, torch.Tensor) and value.layout is torch.strided
        if not plain or value.is_quantized or value.is_meta:
            what = f"a tensor of layout {value.layout}" if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(f"{path}: {name!r} is {what}; expected a name with a plain tensor: this is no state dict")
    return dict(inner), envelope
