"""Sizes of the vector student; without PyTorch."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mapkd_core.model.options import configured
from mapkd_core.suggestion import did_you_mean

RESNETS = {"resnet-18": (2, 2, 2, 2), "resnet-50": (3, 4, 6, 3)}
"""Backbone -> blocks of each of its stages."""
FRAMES = ("base_link", "nuscenes_lidar")
"""Where the BEV lies: in the vehicle's frame, or in that of nuScenes' LiDAR (x right, y ahead), as in MapTR's."""


@dataclass(frozen=True)
class VectorConfig:
    """MapTR's parts and their sizes; the defaults are MapTR-nano's."""

    backbone: str = "resnet-18"
    """One of RESNETS."""
    width: int = 256
    """Channels of every token."""
    hidden: int = 512
    """Channels inside a feed-forward network."""
    bev_cell_m: float = 0.75
    heights_m: tuple[float, ...] = (-1.5, -0.5, 0.5, 1.5)
    """Heights above the BEV's plane at which each cell looks into the images; one head of the kernel attention each."""
    kernel_rows: int = 3
    kernel_cols: int = 5
    """Feature pixels round a projected point that its cell attends to."""
    vectors: int = 100
    """Most elements of a map."""
    points: int = 20
    """Vertices of each."""
    layers: int = 2
    """Of the decoder."""
    heads: int = 4
    """Of the decoder's self-attention; no weight's shape tells it."""
    sampling_heads: int = 8
    sampling_points: int = 4
    dropout: float = 0.1
    frame: str = "nuscenes_lidar"
    """One of FRAMES."""
    rig_bound: bool = True
    """Whether each of the six cameras has an embedding of its own."""
    published: bool = False
    """MapTR's reading of pixels, for weights trained with it: see `ray_points.published_intrinsics`."""
    can_bus: bool = True
    """Whether the vehicle's motion enters (MapTR's eighteen numbers; zeros where nobody knows them)."""

    def __post_init__(self) -> None:
        if self.frame not in FRAMES:
            raise ValueError(f"frame {self.frame!r} is not one of {', '.join(FRAMES)}")
        for name, parts in (("heads", self.heads), ("heights_m", len(self.heights_m)), ("heads", self.sampling_heads)):
            if parts < 1 or self.width % parts:
                raise ValueError(f"width {self.width} does not divide by {parts} ({name})")
        if self.kernel_rows % 2 == 0 or self.kernel_cols % 2 == 0:
            raise ValueError(f"kernel {self.kernel_rows}x{self.kernel_cols}: expected odd numbers, round a pixel")


VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "maptr_nano": {},
    "maptr_tiny": {"backbone": "resnet-50", "bev_cell_m": 0.3, "vectors": 50, "layers": 6, "heads": 8},
}
"""Name -> what differs from the defaults. Source: MapTR (arXiv 2208.14437), its configs nano_r18 and tiny_r50."""


def vector_config(options: Mapping[str, Any]) -> VectorConfig:
    """The config of a vector student by its `variant` and what differs; raises ValueError for neither."""
    options = dict(options)
    variant = options.pop("variant", "maptr_nano")
    if variant not in VARIANTS:
        raise ValueError(
            f"vector student variant {variant!r}{did_you_mean(str(variant), VARIANTS)}; there are {', '.join(VARIANTS)}"
        )
    return configured("vector_student", VectorConfig, {**VARIANTS[variant], **options})
