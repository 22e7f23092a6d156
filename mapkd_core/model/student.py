"""Our student: six cameras and their calibration in, map logits out; small enough for a CPU (design: ours)."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mapkd_core.grid import BevGrid
from mapkd_core.model.bev_unet import BevUNet, SubPixelHead
from mapkd_core.model.depth_splatting import DepthSplatting, SplatLookup
from mapkd_core.model.image_trunk import ImageTrunk
from mapkd_core.model.pillar_sampling import PillarLookup, PillarSampling
from mapkd_core.types import Batch, Prediction


@dataclass(frozen=True)
class StudentConfig:
    """Size of the student; every variant has the same parts."""

    image_size: tuple[int, int] = (352, 128)
    """Width and height of the images the network sees."""
    image_width: int = 24
    """Channels of the trunk's finest stage; coarser stages have 2 and 4 times as many."""
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
    embedding_channels: int = 0
    """Channels of an instance embedding head; 0 for none (our vectorizer does not need one)."""
    direction_bins: int = 0
    """Bins of a direction head, without background; 0 for none."""


NANO = StudentConfig(image_width=16, view_channels=24, bev_width=32, heights_m=(0.0, 1.0))
SMALL = StudentConfig()
BASE = StudentConfig(image_width=32, view_channels=48, bev_width=72)
VARIANTS = {"nano": NANO, "small": SMALL, "base": BASE}


class Student(nn.Module):
    """Trunk -> pillar sampling -> BEV U-Net -> heads; `forward` takes a Batch, `infer` what a deployed node has."""

    def __init__(self, grid: BevGrid, config: StudentConfig = SMALL) -> None:
        super().__init__()
        self.grid, self.config = grid, config
        self.trunk = ImageTrunk(config.image_width, config.view_channels)
        coarse = grid.scaled(config.bev_factor)
        heights = len(config.heights_m) if config.view == "pillars" else 1
        self.view: PillarSampling | DepthSplatting
        if config.view == "pillars":
            self.view = PillarSampling(coarse, config.heights_m)
        elif config.view == "lift_splat":
            self.view = DepthSplatting(coarse, config.view_channels)
        else:
            raise ValueError(f"view {config.view!r} is not one of pillars, lift_splat")
        self.bev = BevUNet(config.view_channels * heights + heights, config.bev_width)
        heads = {"semantic": 4}
        if config.embedding_channels:
            heads["embedding"] = config.embedding_channels
        if config.direction_bins:
            heads["direction"] = config.direction_bins + 1
        self.heads = nn.ModuleDict(
            {name: SubPixelHead(config.bev_width, out, config.bev_factor) for name, out in heads.items()}
        )

    @property
    def feature_size(self) -> tuple[int, int]:
        """Width and height of the feature map that the view transform samples."""
        width, height = self.config.image_size
        return width // ImageTrunk.stride, height // ImageTrunk.stride

    def lookup(self, intrinsics: Tensor, base_from_camera: Tensor) -> PillarLookup | SplatLookup:
        """The view transform's table for calibrations B N 3 3 (at `image_size`) and B N 4 4; compute it once each."""
        return self.view.lookup(intrinsics, base_from_camera, self.config.image_size, self.feature_size)

    def infer(self, images: Tensor, lookup: PillarLookup | SplatLookup) -> Prediction:
        """B N 3 H W normalised images -> Prediction with the inner features that distillation may tap."""
        batch, cameras = images.shape[:2]
        features = self.trunk(images.flatten(0, 1)).unflatten(0, (batch, cameras))      # B N C h w
        bev, seen = self.view(features, lookup)  # type: ignore[arg-type]               # B ZC Y X, B Z Y X
        scales = self.bev(torch.cat([bev, seen], 1))
        outputs = {name: head(scales["fine"]) for name, head in self.heads.items()}
        return Prediction(
            outputs["semantic"], outputs.get("embedding"), outputs.get("direction"),
            taps={"image": features, "cam_bev": bev, **scales},
        )

    def forward(self, batch: Batch) -> Prediction:
        """Prediction for a training batch, whose calibrations may all differ."""
        return self.infer(batch.images, self.lookup(batch.intrinsics, batch.base_from_camera))
