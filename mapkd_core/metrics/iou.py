"""Intersection over union of semantic rasters, summed over a whole dataset before dividing."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import CLASSES

if TYPE_CHECKING:  # scoring a file must not wait for torch
    from torch import Tensor

_NAMES = ("background", *CLASSES)
_EPSILON = 1e-7


@dataclass(frozen=True)
class IouResult:
    """IoU of every class; the background stands apart and is never part of the mean."""

    per_class: dict[str, float]
    """0..1 by class name."""
    background: float

    @property
    def mean(self) -> float:
        """MIoU: mean over the map classes, background excluded."""
        return float(np.mean(list(self.per_class.values())))

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"mIoU": self.mean, "per_class": dict(self.per_class), "background": self.background}


@dataclass
class IouAccumulator:
    """Counts intersections and unions frame by frame; the result is that of the whole dataset.

    A cell is predicted to be its most likely class; the truth may mark a cell with several classes. IoU is
    I / (U + 1e-7) of the sums, so that frames are not averaged. Source: HDMapNet's and P-MapNet's evaluators; they sum
    in float32, this sums whole numbers. A class that never occurs on either side has IoU 0, as there.
    """

    intersection: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_NAMES), np.int64))
    """(4,) cells, background first."""
    union: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_NAMES), np.int64))

    def add_logits(
        self, logits: NDArray | Tensor, truth: NDArray | Tensor, within: NDArray | Tensor | None = None
    ) -> None:
        """Adds frames of raw network output (..., 4, rows, cols); see `add_classes` for the rest."""
        self.add_classes(logits.argmax(-3), truth, within)

    def add_classes(
        self, predicted: NDArray | Tensor, truth: NDArray | Tensor, within: NDArray | Tensor | None = None
    ) -> None:
        """Adds frames of class indices (..., rows, cols) with truth (..., 4, rows, cols), non-zero where a class is.

        NumPy arrays or torch tensors on one device. `within` (rows, cols) restricts the count to some cells. Raises
        ValueError if the shapes do not belong together.
        """
        shape = tuple(truth.shape)
        if len(shape) < 3 or shape[-3] != len(_NAMES) or tuple(predicted.shape) != (*shape[:-3], *shape[-2:]):
            raise ValueError(
                f"predicted classes {tuple(predicted.shape)} and truth {shape} do not fit; "
                f"expected (..., rows, cols) and (..., {len(_NAMES)}, rows, cols)"
            )
        counts: list[Any] = []
        for channel in range(len(_NAMES)):
            ours, theirs = predicted == channel, truth[..., channel, :, :] != 0
            if within is not None:
                ours, theirs = ours & within, theirs & within
            counts += [(ours & theirs).sum(), (ours | theirs).sum()]
        if not isinstance(counts[0], np.integer):
            import torch

            counts = torch.stack(counts).tolist()  # one wait for the device instead of eight
        table = np.array(counts, np.int64).reshape(-1, 2)
        self.intersection += table[:, 0]
        self.union += table[:, 1]

    def merge(self, other: IouAccumulator) -> None:
        """Adds another accumulator's counts, such as another process'."""
        self.intersection += other.intersection
        self.union += other.union

    def reduce_across_ranks(self, device: str = "cpu") -> None:
        """Sums the counts over all processes of the default torch.distributed group; nothing to do without one."""
        from torch import distributed, tensor

        if distributed.is_available() and distributed.is_initialized():
            counts = tensor(np.stack([self.intersection, self.union]), device=device)
            distributed.all_reduce(counts)
            self.intersection, self.union = counts.cpu().numpy()

    def result(self) -> IouResult:
        """The IoUs of everything added so far."""
        iou = self.intersection / (self.union + _EPSILON)
        return IouResult({name: float(v) for name, v in zip(CLASSES, iou[1:], strict=True)}, float(iou[0]))
