"""What real images add to a training sample: themselves with masks, their style, and lines drawn into its views."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapkd_core.config import TrainConfig
from mapkd_core.data.line_views import line_views
from mapkd_core.data.sample import Sample
from mapkd_core.data.street_images import StreetImages, with_style
from mapkd_core.grid import BevGrid
from mapkd_core.training.street_collage import collage


class StreetShare:
    """Adds to every sample a fixed number of real images."""

    def __init__(
        self, images: StreetImages, count: int, style: float, collages: float = 0.0, grid: BevGrid | None = None
    ) -> None:
        self.images, self.count, self.style, self.collages = images, count, style, collages
        self.grid = grid or BevGrid()

    @classmethod
    def of(cls, config: TrainConfig) -> StreetShare | None:
        """By a config; None for one without real images. Raises ValueError if none of them has a mask."""
        data = config.data
        if not data.streets:
            return None
        images = StreetImages(data.streets, data.street_masks, data.image_size, config.augment.photometric)
        return cls(images, data.streets_a_sample, config.augment.style, data.collage_share, config.grid)

    def added(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with real images, at times in the style of one, and with its lines drawn into its views."""
        streets = self.images.draw(self.count, rng) if self.count else None
        if self.collages and rng.random() < self.collages:
            return replace(collage(sample, self.images, self.grid, rng), streets=streets)
        if self.style and rng.random() < 0.5:
            share = float(rng.uniform(0, self.style))
            sample = replace(sample, images=with_style(sample.images, self.images.style(rng), share))
        return replace(sample, line_views=line_views(sample), streets=streets)
