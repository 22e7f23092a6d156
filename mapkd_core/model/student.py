"""Our student: calibrated cameras in, however many, map logits out; small enough for a CPU (design: ours)."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mapkd_core.grid import BevGrid
from mapkd_core.model.bev_unet import BevUNet, SubPixelHead
from mapkd_core.model.depth_splatting import DepthSplatting, SplatLookup
from mapkd_core.model.image_size import check_image_size, feature_size
from mapkd_core.model.image_trunk import ImageTrunk, TopDown
from mapkd_core.model.lite_trunk import LiteTrunk, published_weights
from mapkd_core.model.pillar_sampling import PillarLookup, PillarSampling
from mapkd_core.model.student_config import SMALL, TRUNK_STRIDE, StudentConfig
from mapkd_core.types import Batch, Prediction


class Student(nn.Module):
    """Trunk -> pillar sampling -> BEV U-Net -> heads; `forward` takes a Batch, `infer` what a deployed node has."""

    def __init__(self, grid: BevGrid, image_size: tuple[int, int], config: StudentConfig = SMALL) -> None:
        super().__init__()
        self.grid, self.image_size, self.config = grid, image_size, config
        self.feature_size = feature_size(image_size, TRUNK_STRIDE)
        self.trunk = _trunk(config)
        coarse = grid.scaled(config.bev_factor)
        heights = len(config.heights_m) if config.view == "pillars" else 1
        self.view: PillarSampling | DepthSplatting
        if config.view == "pillars":
            self.view = PillarSampling(coarse, config.heights_m)
        elif config.view == "lift_splat":
            self.view = DepthSplatting(coarse, config.view_channels)
        else:
            raise ValueError(f"view {config.view!r} is not one of pillars, lift_splat")
        self.bev = BevUNet(config.view_channels * heights + heights, config.bev_width, halvings=config.halvings)
        heads = {"semantic": 4}
        if config.embedding_channels:
            heads["embedding"] = config.embedding_channels
        if config.direction_bins:
            heads["direction"] = config.direction_bins + 1
        self.heads = nn.ModuleDict(
            {name: SubPixelHead(config.bev_width, out, config.bev_factor) for name, out in heads.items()}
        )

    def lookup(
        self, intrinsics: Tensor, base_from_camera: Tensor, visible: Tensor | None = None
    ) -> PillarLookup | SplatLookup:
        """The view transform's table for calibrations B N 3 3 (at `image_size`) and B N 4 4; compute it once each.

        `visible` B N H W bool is False where images show nothing of the road, such as the own bonnet.
        """
        return self.view.lookup(intrinsics, base_from_camera, self.image_size, self.feature_size, visible)

    def infer(self, images: Tensor, lookup: PillarLookup | SplatLookup) -> Prediction:
        """B N 3 H W normalised images -> Prediction with the inner features that distillation may tap."""
        return self._mapped(self.trunk(images.flatten(0, 1)).unflatten(0, images.shape[:2]), lookup)

    def _mapped(self, features: Tensor, lookup: PillarLookup | SplatLookup) -> Prediction:
        """The images' features B N C h w -> Prediction."""
        bev, seen = self.view(features, lookup)  # type: ignore[arg-type]               # B ZC Y X, B Z Y X
        scales = self.bev(torch.cat([bev, seen], 1))
        outputs = {name: head(scales["fine"]) for name, head in self.heads.items()}
        return Prediction(
            outputs["semantic"], outputs.get("embedding"), outputs.get("direction"),
            taps={"image": features, "cam_bev": bev, **scales},
        )

    def forward(self, batch: Batch) -> Prediction:
        """Prediction for a training batch, whose calibrations may all differ; ValueError for images of another size."""
        check_image_size(batch.images, self.image_size)
        visible = None if batch.alive is None else batch.alive[..., None, None]         # B N 1 1
        lookup = self.lookup(batch.intrinsics, batch.base_from_camera, visible)
        if batch.street_images is None:
            return self.infer(batch.images, lookup)
        # In one pass, so that the norms' statistics are those of both kinds of images.
        views = batch.images.flatten(0, 1)
        features = self.trunk(torch.cat([views, batch.street_images]))
        prediction = self._mapped(features[: len(views)].unflatten(0, batch.images.shape[:2]), lookup)
        prediction.taps["streets"] = features[len(views) :]                             # M C h w
        return prediction


def _trunk(config: StudentConfig) -> TopDown:
    if config.trunk == "own":
        if config.pretrained:
            raise ValueError("trunk own has no pretrained weights; leave out pretrained, or take trunk lite0")
        return ImageTrunk(config.image_width, config.view_channels)
    if config.trunk != "lite0":
        raise ValueError(f"trunk {config.trunk!r} is not one of own, lite0")
    trunk = LiteTrunk(config.view_channels)
    if config.pretrained:
        trunk.read_published(published_weights())
    return trunk
