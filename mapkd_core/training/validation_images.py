"""A few validation frames as TensorBoard images, prediction beside truth: what a falling loss looks like."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.draw import RgbImage, draw_bev
from mapkd_core.grid import BevGrid
from mapkd_core.types import Batch, MapElement
from mapkd_core.vector_elements import LEAST_SCORE
from mapkd_core.vectorizer.vectorize import vectorize

TAG = "val/images"
_LONGEST_PX = 300
_GAP_PX = 6


class ValidationImages:
    """Keeps the first frames of a validation, which are the same every time, and writes them as one image."""

    def __init__(self, grid: BevGrid, count: int = 4) -> None:
        self.grid, self.count = grid, count
        self._kept: list[tuple[NDArray[np.float32] | None, Sequence[MapElement], Sequence[MapElement]]] = []

    def see(self, batch: Batch, logits: Tensor) -> None:
        """Takes what is still wanted of a labelled batch and its semantic logits (B 4 Y X)."""
        wanted = self.count - len(self._kept)
        if wanted > 0 and batch.elements is not None:
            probabilities = logits[:wanted].detach().float().softmax(1).nan_to_num().cpu().numpy()
            found = [vectorize(probability, self.grid) for probability in probabilities]
            self._kept += zip(probabilities, found, batch.elements[:wanted], strict=True)

    def see_elements(self, found: Sequence[Sequence[MapElement]], truth: Sequence[Sequence[MapElement]]) -> None:
        """The same for elements that a network predicts by itself, those that it would show on a vehicle."""
        for predicted, true in list(zip(found, truth, strict=True))[: self.count - len(self._kept)]:
            self._kept.append((None, [e for e in predicted if e.score >= LEAST_SCORE], true))

    def image(self) -> RgbImage | None:
        """(H, W, 3) RGB: a pair for every frame, prediction on the left, truth on the right; None without frames."""
        if not self._kept:
            return None
        (x0, x1), (y0, y1) = self.grid.x_range_m, self.grid.y_range_m
        scale = _LONGEST_PX / max(x1 - x0, y1 - y0)
        panels = []
        for probabilities, found, truth in self._kept:
            panels.append(draw_bev(found, self.grid, pixels_per_m=scale, semantic=probabilities, line_width_m=0.4))
            panels.append(draw_bev(truth, self.grid, pixels_per_m=scale, line_width_m=0.4))
        padded = [np.pad(p, ((0, 0), (0, _GAP_PX * (1 + k % 2)), (0, 0))) for k, p in enumerate(panels)]
        return np.concatenate(padded, axis=1)

    def write(self, logger: Any, step: int) -> None:
        """Adds the image to a TensorBoard logger of Lightning."""
        image = self.image()
        if image is not None:
            logger.experiment.add_image(TAG, image, step, dataformats="HWC")
