"""A teacher that was trained on larger cells and smaller images than the student's, compared at the student's size.

A teacher costs many times the student; trained at half the resolution it costs a quarter of that. What it says about
where lines run holds at any resolution, only its lines are drawn wider: as many cells, but larger ones. Source: ours.

Legend: B batch, N cameras, Y X the student's grid, f how many times larger the teacher's cells are.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.geometry import scale_intrinsics
from mapkd_core.grid import LINE_THICKNESS, BevGrid
from mapkd_core.types import Batch, Prediction


def thinned(probability: Tensor, factor: int) -> Tensor:
    """B 4 y x on large cells -> B 4 Y X on cells `factor` times smaller, lines as many cells wide as before.

    Probabilities that sum to 1, channel 0 background, which takes what the lines' edges lose.
    """
    fine = functional.interpolate(probability, scale_factor=factor, mode="bilinear", align_corners=False)
    edge = LINE_THICKNESS * (factor - 1) // 2
    lines = -functional.max_pool2d(-fine[:, 1:], 2 * edge + 1, 1, edge)
    return torch.cat([(1 - lines.sum(1, keepdim=True)).clamp(min=0), lines], 1)


class CoarserTeacher(nn.Module):
    """Feeds the network inside what it was trained on; gives its map on the student's grid, its features as they are.

    The semantic output is the logarithm of class probabilities: fit for methods that compare distributions.
    Raises ValueError if sizes are not whole multiples, or the ranges differ.
    """

    def __init__(
        self, network: nn.Module, theirs: BevGrid, their_size: tuple[int, int], grid: BevGrid, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.network = network
        self.factor, self.shrink = round(theirs.cell_m / grid.cell_m), round(size[0] / their_size[0])
        whole = self.factor >= 1 and self.shrink >= 1 and grid.scaled(self.factor) == theirs
        if not whole or size != (their_size[0] * self.shrink, their_size[1] * self.shrink):
            raise ValueError(
                f"a teacher on {theirs} with images of {their_size} cannot teach on {grid} with {size}: its cells "
                "must be a whole multiple, its images a whole fraction of the student's, over the same range"
            )

    def forward(self, batch: Batch) -> Prediction:
        """Semantic B 4 Y X on the student's grid; features cover the same ground with fewer cells."""
        answer = self.network(self._as_trained(batch))
        fine = thinned(answer.semantic.float().softmax(1), self.factor)                 # B 4 Y X
        return Prediction(fine.clamp(min=1e-6).log(), taps=answer.taps)

    def _as_trained(self, batch: Batch) -> Batch:
        images = functional.avg_pool2d(batch.images.flatten(0, 1), self.shrink).unflatten(0, batch.images.shape[:2])
        scale = torch.from_numpy(scale_intrinsics(np.eye(3), 1 / self.shrink, 1 / self.shrink)).to(batch.intrinsics)
        sd_map = batch.sd_map
        if sd_map is not None:  # wide lines again: as many cells of the larger kind
            sd_map = functional.max_pool2d(sd_map, 3 * self.factor, self.factor, self.factor)
        return replace(batch, images=images, intrinsics=scale @ batch.intrinsics, sd_map=sd_map)
