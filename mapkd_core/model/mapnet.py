"""HDMapNet and the P-MapNet family as one assembly: which sensors and which priors is a matter of config.

`hdmapnet` uses cameras, LiDAR or both; `pmapnet` adds the SD-map prior and the HD-map prior. MapKD (arXiv 2508.15653)
calls C+L+SD+HD the teacher, and the coach is the same with LiDAR replaced by a lift-splat branch on the images.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.grid import BevGrid
from mapkd_core.model.bev_encode import OUTPUTS, BevEncode
from mapkd_core.model.efficientnet import OWN, image_encoder
from mapkd_core.model.hd_prior import HdPrior
from mapkd_core.model.image_size import check_image_size, feature_size
from mapkd_core.model.layers import conv_bn_relu
from mapkd_core.model.lift_splat import LiftSplat
from mapkd_core.model.neural_ipm import GroundWarp, ViewMlps, WarpLookup
from mapkd_core.model.pillar_sampling import PillarLookup, PillarSampling
from mapkd_core.model.point_pillars import PointPillars, PublishedPillars
from mapkd_core.model.sd_prior import SdPrior, shrink
from mapkd_core.types import CAMERAS, Batch, Prediction


@dataclass(frozen=True)
class MapNetConfig:
    """Sensors, priors and sizes; the defaults are the papers' widths."""

    camera: bool = True
    lidar: bool = False
    simulated_lidar: bool = False
    """A lift-splat branch on the images in LiDAR's place (the coach)."""
    sd_prior: bool = False
    hd_prior: bool = False
    encoder: str = "efficientnet-b0"
    """Of the images: `efficientnet-b0` (the papers'), `small` or `trunk` (ours), or a backbone (`backbones.py`)."""
    pretrained: bool = False
    """Start the encoder from ImageNet weights; random, with a warning, where they cannot be had."""
    lift_encoder: str = ""
    """Image encoder of the simulated LiDAR's branch; empty for one like `encoder`."""
    view: str = "mlp"
    """`mlp` (the papers': one MLP a camera, bound to a rig) or `pillars` (ours: calibration is an input)."""
    camera_channels: int = 64
    lidar_channels: int = 128
    pillar_width: int = 64
    view_hidden: int = 3200
    bev_width: int = 64
    bev_factor: int = 1
    """BEV features live on cells this many times larger than the output grid's; more than 1 is for small machines."""
    halvings: int = 3
    """How often BEV features are halved down to the taps `bev_small` and `enc3`, 1 to 3. Three make cells of 1.2 m of
    the papers' 0.15 m; on larger cells take fewer, so that no tap has cells above 1.5 m."""
    sd_skip: bool = False
    """A way round the SD prior's 8-fold bottleneck; not in the paper."""
    sd_dropout: float = 0.1
    """Of the SD prior's attention and layers, 0.1 in the paper. With 0 its attention is computed without being stored:
    on a CPU the teacher of `config/train/small` then steps several times as fast."""
    mae_patch: int = 8
    mae_dim: int = 768
    mae_layers: int = 12
    mae_heads: int = 12
    outputs: tuple[str, ...] = tuple(OUTPUTS)
    published: bool = False
    """The arithmetic of the released code where it differs from ours, for weights trained with it (`mapkd import`)."""

    def __post_init__(self) -> None:
        if self.published and (
            self.view, self.encoder, self.bev_factor, self.halvings, self.sd_skip
        ) != ("mlp", "efficientnet-b0", 1, 3, False):
            raise ValueError(
                "published: true stands for the released networks, which have view mlp, encoder efficientnet-b0, "
                "bev_factor 1, halvings 3 and no sd_skip; leave these out"
            )
        if not 1 <= self.halvings <= 3:
            raise ValueError(f"halvings is {self.halvings}; expected 1, 2 or 3 (the papers')")
        if not 0 <= self.sd_dropout < 1:
            raise ValueError(f"sd_dropout is {self.sd_dropout}; expected 0 or more, below 1 (the papers: 0.1)")
        if not self.camera and not self.lidar:
            raise ValueError("a network needs a sensor: set camera or lidar")
        if self.lidar and self.simulated_lidar:
            raise ValueError("lidar and simulated_lidar exclude each other: one stands in for the other")


class CameraBranch(nn.Module):
    """Six images -> BEV features on the grid."""

    def __init__(self, grid: BevGrid, image_size: tuple[int, int], config: MapNetConfig) -> None:
        super().__init__()
        self.image_size, self.config = image_size, config
        self.encoder = image_encoder(config.encoder, config.camera_channels, config.pretrained)
        stride: int = self.encoder.stride  # type: ignore[assignment]
        self.feature_size = feature_size(image_size, stride)
        if config.view == "mlp":
            ground = (grid.rows // 5, grid.cols // 5)
            self.mlps = ViewMlps(len(CAMERAS), self.feature_size[::-1], ground, config.view_hidden)
            self.warp = GroundWarp(grid, ground, config.published)
        elif config.view == "pillars":
            # Half resolution is enough on the papers' cells, a quarter of the work; larger cells are sampled as such.
            self.sample_factor = 2 if config.bev_factor == 1 else 1
            self.pillars = PillarSampling(grid.scaled(self.sample_factor), (0.0, 0.7, 1.5))
            self.mix = nn.Conv2d(3 * config.camera_channels, config.camera_channels, 1)
        else:
            raise ValueError(f"view {config.view!r} is not one of mlp, pillars")

    def lookup(
        self, intrinsics: Tensor, base_from_camera: Tensor, visible: Tensor | None = None
    ) -> WarpLookup | PillarLookup:
        """The view transform's table for calibrations B N 3 3 and B N 4 4; compute it once for each.

        `visible` B N H W bool is False where images show nothing of the road; to `mlp` only a whole image matters.
        """
        if self.config.view == "mlp":
            return self.warp.lookup(base_from_camera, visible)
        return self.pillars.lookup(intrinsics, base_from_camera, self.image_size, self.feature_size, visible)

    def infer(self, images: Tensor, lookup: WarpLookup | PillarLookup) -> tuple[Tensor, Tensor]:
        """B N 3 H W -> the images' features B N C h w and the BEV's B C Y X."""
        features = self.encoder(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        if isinstance(lookup, WarpLookup):
            return features, self.warp(self.mlps(features), lookup)
        bev = self.mix(self.pillars(features, lookup)[0])
        grown = functional.interpolate(bev, scale_factor=self.sample_factor, mode="bilinear", align_corners=False)
        return features, grown

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-> the images' features B N C h w and the BEV's B C Y X; raises ValueError for images of another size."""
        check_image_size(batch.images, self.image_size)
        return self.infer(batch.images, self.lookup(batch.intrinsics, batch.base_from_camera))


class MapNet(nn.Module):
    """Sensors -> BEV -> (SD prior) -> BEV encoder -> (HD prior) -> Prediction."""

    def __init__(self, grid: BevGrid, image_size: tuple[int, int], config: MapNetConfig) -> None:
        super().__init__()
        self.grid, self.image_size, self.config = grid, image_size, config
        coarse = grid.scaled(config.bev_factor)
        channels = 0
        if config.camera:
            self.cameras = CameraBranch(coarse, image_size, config)
            channels += config.camera_channels
        if config.lidar:
            pillars = PublishedPillars if config.published else PointPillars
            self.lidar: nn.Module = pillars(
                grid, config.lidar_channels, config.pillar_width, stride=config.bev_factor
            )
        if config.simulated_lidar:
            self.lidar = simulated_lidar(coarse, config)
        if config.lidar or config.simulated_lidar:
            channels += config.lidar_channels
        if config.sd_prior:
            self.sd_prior = SdPrior(
                channels, skip=config.sd_skip, halvings=config.halvings, dropout=config.sd_dropout
            )
        # With an HD prior the coarse map only feeds the prior, so its other two heads would be computed in vain.
        outputs = ("semantic",) if config.hd_prior else config.outputs
        shared = config.published and not config.sd_prior  # HDMapNet's; P-MapNet mended it
        self.encode = BevEncode(channels, config.bev_width, outputs, config.bev_factor, shared, config.halvings)
        if config.hd_prior:
            self.hd_prior = hd_prior(grid, config)
        self.channels = channels

    @property
    def reads(self) -> tuple[str, ...]:
        """In words, what the network needs beside images."""
        named = {"LiDAR": self.config.lidar, "an SD map": self.config.sd_prior}
        return tuple(name for name, wanted in named.items() if wanted)

    @property
    def rig_bound(self) -> bool:
        """Whether the weights belong to six cameras in the order of CAMERAS."""
        return self.config.camera and self.config.view == "mlp"

    def lookup(
        self, intrinsics: Tensor, base_from_camera: Tensor, visible: Tensor | None = None
    ) -> WarpLookup | PillarLookup:
        """The cameras' table of a network on images alone, see `CameraBranch.lookup`."""
        return self.cameras.lookup(intrinsics, base_from_camera, visible)

    def infer(self, images: Tensor, lookup: WarpLookup | PillarLookup) -> Prediction:
        """B N 3 H W normalised images -> Prediction, of a network on images alone."""
        image, bev = self.cameras.infer(images, lookup)
        return self._mapped(bev, {"image": image, "cam_bev": bev, "full_bev": bev})

    def forward(self, batch: Batch) -> Prediction:
        """Prediction with the taps of distillation: image, cam_bev, lid_bev, full_bev, bev_small, bev_sd, ..."""
        config = self.config
        taps: dict[str, Tensor] = {}
        parts = []
        if config.camera:
            taps["image"], taps["cam_bev"] = self.cameras(batch)
            parts.append(taps["cam_bev"])
        if config.lidar:
            if batch.lidar is None or batch.lidar_mask is None:
                raise ValueError("this network reads LiDAR, the batch has none; set data.lidar: true")
            taps["lid_bev"] = self.lidar(batch.lidar, batch.lidar_mask)
            parts.append(taps["lid_bev"])
        if config.simulated_lidar:
            taps["lid_bev"] = self.lidar(batch.images, batch.intrinsics, batch.base_from_camera)
            parts.append(taps["lid_bev"])
        bev = torch.cat(parts, 1)                                                       # B C Y X
        taps["full_bev"] = bev
        if config.sd_prior:
            if batch.sd_map is None:
                raise ValueError("this network reads an SD map, the batch has none; set data.sd_map: true")
            # Roads are +1 and thin: by maximum they survive on larger cells.
            bev, inner = self.sd_prior(bev, functional.max_pool2d(batch.sd_map, config.bev_factor))
            taps.update(inner)
        return self._mapped(bev, taps)

    def _mapped(self, bev: Tensor, taps: dict[str, Tensor]) -> Prediction:
        coarse = self.encode(bev)
        taps.update(coarse.taps)
        if not self.config.hd_prior:
            return Prediction(coarse.semantic, coarse.embedding, coarse.direction, taps)
        taps["coarse"] = coarse.semantic
        # Trained on true rasters, the prior should see probabilities; the released code gives it logits.
        fine = self.hd_prior(coarse.semantic if self.config.published else coarse.semantic.softmax(1))
        return Prediction(fine.semantic, fine.embedding, fine.direction, {**taps, **fine.taps})


class MapKdStudent(nn.Module):
    """MapKD's published student: HDMapNet's camera BEV widened, squeezed and grown back before the BEV encoder.

    Source: MapKD (arXiv 2508.15653), whose released code makes a new random convolution in every forward; left out.
    """

    def __init__(self, grid: BevGrid, image_size: tuple[int, int], config: MapNetConfig) -> None:
        super().__init__()
        self.cameras = CameraBranch(grid.scaled(config.bev_factor), image_size, config)
        wide = config.camera_channels + config.lidar_channels
        self.expand = nn.Sequential(conv_bn_relu(config.camera_channels, wide // 2), conv_bn_relu(wide // 2, wide))
        self.shrink = shrink(*(config.halvings + 1) * (wide,))
        self.encode = BevEncode(
            wide, config.bev_width, config.outputs, config.bev_factor, halvings=config.halvings
        )
        self.rig_bound = config.view == "mlp"
        """Whether the weights belong to six cameras in the order of CAMERAS."""

    def lookup(
        self, intrinsics: Tensor, base_from_camera: Tensor, visible: Tensor | None = None
    ) -> WarpLookup | PillarLookup:
        """The cameras' table, see `CameraBranch.lookup`."""
        return self.cameras.lookup(intrinsics, base_from_camera, visible)

    def forward(self, batch: Batch) -> Prediction:
        """Prediction with taps image, cam_bev, full_bev, bev_small, enc1, enc3, up1."""
        return self._mapped(*self.cameras(batch))

    def infer(self, images: Tensor, lookup: WarpLookup | PillarLookup) -> Prediction:
        """B N 3 H W normalised images -> Prediction."""
        return self._mapped(*self.cameras.infer(images, lookup))

    def _mapped(self, image: Tensor, cam_bev: Tensor) -> Prediction:
        full = self.expand(cam_bev)
        small = self.shrink(full)                                                       # B C Y/s X/s
        grown = functional.interpolate(small, size=full.shape[-2:], mode="bilinear", align_corners=False)
        result = self.encode(grown)
        taps = {"image": image, "cam_bev": cam_bev, "full_bev": full, "bev_small": small, **result.taps}
        return Prediction(result.semantic, result.embedding, result.direction, taps)


def hd_prior(grid: BevGrid, config: MapNetConfig) -> HdPrior:
    """The masked autoencoder at the config's size."""
    return HdPrior(
        grid.shape, config.mae_patch, config.mae_dim, config.mae_layers, config.mae_heads, config.bev_width,
        config.bev_factor, config.outputs, config.halvings,
    )


def simulated_lidar(grid: BevGrid, config: MapNetConfig) -> LiftSplat:
    """The coach's branch: an image encoder of its own, 512 channels before the depth head as in lift-splat."""
    wide = 8 * config.camera_channels
    name = config.lift_encoder or config.encoder
    encoder = image_encoder(name, wide, config.pretrained and name not in OWN)
    return LiftSplat(grid, encoder, wide, config.camera_channels, config.lidar_channels, published=config.published)
