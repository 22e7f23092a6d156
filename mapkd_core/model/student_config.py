"""The student's sizes, without PyTorch: whoever runs an exported graph needs them for the look-up's geometry."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mapkd_core.model.options import configured

TRUNK_STRIDE = 4
"""The image trunk's features have a quarter of the image's width and height."""


@dataclass(frozen=True)
class StudentConfig:
    """Size of the student; every variant has the same parts."""

    image_width: int = 24
    """Channels of the finest stage of the trunk `own`; coarser stages have 2 and 4 times as many."""
    trunk: str = "own"
    """`own`, or `lite0`: EfficientNet-Lite0, which has weights that were learnt on real images."""
    pretrained: bool = False
    """Whether the trunk `lite0` begins with its published weights."""
    view_channels: int = 32
    """Channels carried from the images into the BEV."""
    bev_width: int = 48
    """Channels of the BEV network's finest scale."""
    heights_m: tuple[float, ...] = (0.0, 0.7, 1.5)
    """Heights above the ground at which every cell looks into the images."""
    view: str = "pillars"
    """`pillars` (every cell samples the images) or `lift_splat` (every pixel spreads over its ray); only the first
    exports and is what ships."""
    bev_factor: int = 2
    """BEV features live on cells this many times larger than the output grid's."""
    halvings: int = 2
    """How often BEV features are halved down to the tap `deep`, 1 or 2. Two make cells of 1.2 m where the output grid
    has 0.15 m; on larger cells take one, so that no tap has cells above 1.5 m."""
    embedding_channels: int = 0
    """Channels of an instance embedding head; 0 for none (our vectorizer does not need one)."""
    direction_bins: int = 0
    """Bins of a direction head, without background; 0 for none."""


NANO = StudentConfig(image_width=16, view_channels=24, bev_width=32, heights_m=(0.0, 1.0))
SMALL = StudentConfig()
BASE = StudentConfig(image_width=32, view_channels=48, bev_width=72)
VARIANTS = {"nano": NANO, "small": SMALL, "base": BASE}


def student_config(options: Mapping[str, Any]) -> StudentConfig:
    """The config of a student by its `variant` (small) and what differs from it; raises ValueError for neither."""
    options = dict(options)
    variant = options.pop("variant", "small")
    if variant not in VARIANTS:
        raise ValueError(f"student variant {variant!r} is not one of {sorted(VARIANTS)}")
    return configured("student", StudentConfig, {**asdict(VARIANTS[variant]), **options})
