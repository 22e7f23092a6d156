"""Which tensor of the authors' becomes which of ours: a table that accounts for every name on both sides.

Tables are written down block by block in `hdmapnet_keys.py`, `pmapnet_keys.py`, `mapkd_keys.py`, `maptr_keys.py`.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import sub
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Change = Callable[[Tensor], Tensor]

COUNTER = "num_batches_tracked"
"""Of a batch norm; nothing reads it in use, and files of old PyTorch lack it."""
NORM = ("weight", "bias", "running_mean", "running_var", COUNTER)


def same(tensor: Tensor) -> Tensor:
    """The layout is ours already."""
    return tensor


def transposed(kernel: Tensor) -> Tensor:
    """A kernel for maps [x, y] as one for maps [y, x]."""
    return kernel.transpose(-1, -2)


def squeezed(kernel: Tensor) -> Tensor:
    """A convolution over points, of width 1, as a matrix."""
    return kernel.squeeze(-1)


@dataclass(frozen=True)
class Taken:
    """Where one of our tensors comes from."""

    theirs: str
    change: Change = same
    other: str = ""
    """Another of theirs that enters: a bias before a batch norm is subtracted from the norm's running mean."""
    join: Callable[[Tensor, Tensor], Tensor] = sub
    """How the two, the first one changed, become one."""


@dataclass(frozen=True)
class KeyTable:
    """One network's names. `taken` has ours as keys; `unused` has theirs that no output depends on, with the reason."""

    taken: dict[str, Taken] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)

    def take(self, ours: str, theirs: str, names: Iterable[str] = ("weight", "bias"), change: Change = same) -> None:
        """Tensors called alike on both sides."""
        for name in names:
            self.taken[f"{ours}.{name}"] = Taken(f"{theirs}.{name}", change)

    def norm(self, ours: str, theirs: str) -> None:
        """A batch norm."""
        self.take(ours, theirs, NORM)

    def conv_norm(self, ours: str, conv: str, norm: str, change: Change = same) -> None:
        """A convolution without bias and its batch norm, which are 0 and 1 of a sequence of ours."""
        self.take(f"{ours}.0", conv, ("weight",), change)
        self.norm(f"{ours}.1", norm)

    def leave(self, theirs: str, names: Iterable[str], why: str) -> None:
        """Tensors that the authors' forward never reads."""
        self.unused.update({f"{theirs}.{name}": why for name in names})

    def missing(self, theirs: Mapping[str, Tensor]) -> list[str]:
        """Names of theirs that we need and a file lacks."""
        needed = self._read()
        return sorted(name for name in needed - theirs.keys() if not name.endswith(COUNTER))

    def left_over(self, theirs: Mapping[str, Tensor]) -> list[str]:
        """Names in a file that are none of this network's."""
        return sorted(theirs.keys() - self._read() - self.unused.keys())

    def _read(self) -> set[str]:
        """Names of theirs that something of ours comes from."""
        return {name for source in self.taken.values() for name in (source.theirs, source.other) if name}

    def converted(self, theirs: Mapping[str, Tensor], shapes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our state dict of theirs, in float32; `shapes` is one of the network, which says what must come out.

        Raises ValueError for a tensor of another shape or type, or one that is not finite.
        """
        import torch

        state = {}
        for name, source in self.taken.items():
            wanted = shapes[name]
            if source.theirs not in theirs:  # a counter
                state[name] = torch.zeros(wanted.shape, dtype=wanted.dtype)
                continue
            given = theirs[source.theirs]
            shape = tuple(source.change(torch.empty(given.shape, device="meta")).shape)
            if shape != tuple(wanted.shape) or given.is_floating_point() != wanted.is_floating_point():
                raise ValueError(
                    f"{source.theirs} is {given.dtype} {list(given.shape)}; expected what becomes "
                    f"{wanted.dtype} {list(wanted.shape)}"
                )
            value = source.change(given).to(wanted.dtype)
            if source.other:
                value = source.join(value, theirs[source.other].to(wanted.dtype))
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f"{source.theirs} holds numbers that are not finite: the training had diverged")
            state[name] = value.contiguous()
        return state
