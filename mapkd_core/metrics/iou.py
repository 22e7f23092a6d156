"""Intersection over union of semantic rasters, summed over a whole dataset before dividing."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import CLASSES

if TYPE_CHECKING:  # scoring a file must not wait for torch
    from lightning_fabric import Fabric
    from torch import Tensor

_NAMES = ("background", *CLASSES)
_EPSILON = 1e-7


@dataclass
class IouMeter:
    """Counts intersections and unions frame by frame; the result is that of the whole dataset.

    A cell is predicted to be its most likely class; the truth may mark a cell with several classes. IoU is
    I / (U + 1e-7) of the sums, so that frames are not averaged. Source: HDMapNet's and P-MapNet's evaluators; they sum
    in float32, this counts whole cells. A class that never occurs on either side has IoU 0, as there.
    """

    intersection: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_NAMES), np.int64))
    """(4,) cells, background first."""
    union: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_NAMES), np.int64))

    def update(self, logits: NDArray | Tensor, truth: NDArray | Tensor) -> None:
        """Adds frames of raw network output (..., 4, rows, cols); see `update_classes` for the truth."""
        self.update_classes(logits.argmax(-3), truth)

    def update_classes(
        self,
        predicted: NDArray | Tensor,
        truth: NDArray | Tensor,
        within: NDArray | Tensor | None = None,
        known: Sequence[str] = CLASSES,
    ) -> None:
        """Adds frames of class indices (..., rows, cols) with truth (..., 4, rows, cols), non-zero where a class is.

        NumPy arrays or torch tensors on one device. `within` (rows, cols) restricts the count to some cells, `known` to
        classes whose truth is known there. Raises ValueError if the shapes do not belong together.
        """
        shape = tuple(truth.shape)
        if len(shape) < 3 or shape[-3] != len(_NAMES) or tuple(predicted.shape) != (*shape[:-3], *shape[-2:]):
            raise ValueError(
                f"predicted classes {tuple(predicted.shape)} and truth {shape} do not fit; "
                f"expected (..., rows, cols) and (..., {len(_NAMES)}, rows, cols)"
            )
        counted = [channel for channel, name in enumerate(_NAMES) if channel == 0 or name in known]
        counts: list[Any] = []
        for channel in counted:
            ours, theirs = predicted == channel, truth[..., channel, :, :] != 0
            if within is not None:
                ours, theirs = ours & within, theirs & within
            counts += [(ours & theirs).sum(), (ours | theirs).sum()]
        if not isinstance(counts[0], np.integer):
            import torch

            counts = torch.stack(counts).tolist()  # one wait for the device instead of eight
        table = np.array(counts, np.int64).reshape(-1, 2)
        self.intersection[counted] += table[:, 0]
        self.union[counted] += table[:, 1]

    def merge(self, other: IouMeter) -> None:
        """Adds another meter's counts, such as those of another part of the data."""
        self.intersection += other.intersection
        self.union += other.union

    def reduce(self, fabric: Fabric) -> None:
        """Sums the counts over all processes of a training run."""
        import torch

        # gloo and nccl both sum int64 exactly.
        counts = torch.tensor(np.stack([self.intersection, self.union]), device=fabric.device)
        summed: Any = fabric.all_reduce(counts, reduce_op="sum")
        self.intersection, self.union = summed.cpu().numpy()

    def result(self) -> dict[str, float]:
        """`miou`, the mean over the map classes without background, and every class' IoU by name, all 0..1."""
        iou = self._iou()[1:]
        return {"miou": float(iou.mean()), **{name: float(v) for name, v in zip(CLASSES, iou, strict=True)}}

    @property
    def background(self) -> float:
        """IoU of the background, which the mean leaves out."""
        return float(self._iou()[0])

    def _iou(self) -> NDArray[np.float64]:
        return self.intersection / (self.union + _EPSILON)
