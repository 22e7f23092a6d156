"""The vector student: images -> map elements as vertices, MapTR's architecture in plain PyTorch.

Source: MapTR (arXiv 2208.14437) with GKT as its view transform; weights that its authors published run in it
(`mapkd import --as maptr_nano`). Everything that does not depend on images (the BEV's queries, where they look into the
images, what the decoder does before it reads the BEV) is a look-up, computed once for a calibration.

Legend: B batch, N cameras, h w feature map, K cells of the BEV, Z heights, C channels, V elements, P vertices.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.grid import BevGrid
from mapkd_core.model.bev_plane import BevPlane
from mapkd_core.model.image_size import check_image_size
from mapkd_core.model.kernel_attention import KernelAttention, KernelLookup, projected
from mapkd_core.model.ray_points import published_intrinsics
from mapkd_core.model.resnet import ResNet
from mapkd_core.model.token_sampling import FeedForward, PointAttention
from mapkd_core.model.vector_config import VectorConfig
from mapkd_core.model.vector_decoder import DecoderStart, VectorDecoder
from mapkd_core.types import CAMERAS, Batch, VectorPrediction

CAN_BUS = 18
"""Numbers of the vehicle's motion: position 3, rotation 4, acceleration 3, rotation rate 3, velocity 3, yaw 2."""
_NOT_READ = (0, 1, 2, 17)
"""Position and yaw in degrees: MapTR sets them to zero where it has no earlier frame."""
_PART = 2
"""Moments that the BEV's self-attention reads; without an earlier frame both are the present."""


class VectorLookup(NamedTuple):
    """What a calibration decides."""

    query: Tensor
    """B K C, the cells as they look into the images."""
    pixel: Tensor
    weight: Tensor
    start: Tensor
    """See KernelLookup."""
    first: Tensor
    token: Tensor
    share: Tensor
    """See DecoderStart."""


class BevQueries(nn.Module):
    """What each BEV cell starts from: an embedding of its own, the vehicle's motion, and a look at its neighbours."""

    def __init__(self, config: VectorConfig, size: tuple[int, int]) -> None:
        """`size` of the BEV, (rows, columns)."""
        super().__init__()
        width = config.width
        self.size = size
        self.cell = nn.Embedding(size[0] * size[1], width)
        self.row, self.col = nn.Embedding(size[0], width // 2), nn.Embedding(size[1], width // 2)
        self.motion: nn.Sequential | None = None
        if config.can_bus:
            self.motion = nn.Sequential(
                nn.Linear(CAN_BUS, width // 2), nn.ReLU(inplace=True), nn.Linear(width // 2, width),
                nn.ReLU(inplace=True), nn.LayerNorm(width),
            )
        self.own = PointAttention(
            width, 2 * width, config.sampling_heads, config.sampling_points, _PART, config.dropout
        )
        self.norm = nn.LayerNorm(width)

    def position(self) -> Tensor:
        """K C."""
        rows, cols = self.size
        col, row = self.col.weight.expand(rows, -1, -1), self.row.weight[:, None].expand(-1, cols, -1)
        return torch.cat([col, row], -1).flatten(0, 1)

    def forward(self, can_bus: Tensor) -> Tensor:
        """B 18 -> B K C."""
        x = self.cell.weight.expand(len(can_bus), -1, -1)
        if self.motion is not None:
            read = can_bus.clone()
            read[:, _NOT_READ] = 0
            x = x + self.motion(read)[:, None]
        rows, cols = self.size
        device = x.device
        col = ((torch.arange(cols, device=device) + 0.5) / cols).expand(rows, -1)
        row = ((torch.arange(rows, device=device) + 0.5) / rows)[:, None].expand(-1, cols)
        place = torch.stack([col, row], -1).reshape(1, -1, 2)
        query = torch.cat([x, x + self.position()], -1)
        return self.norm(x + self.own(x, self.own.table(query, place, self.size)))


class VectorStudent(nn.Module):
    """`forward` takes a Batch, `infer` what a deployed node has."""

    def __init__(self, grid: BevGrid, image_size: tuple[int, int], config: VectorConfig) -> None:
        super().__init__()
        self.grid, self.image_size, self.config = grid, image_size, config
        width = config.width
        self.plane = BevPlane(grid, config.bev_cell_m, config.heights_m, config.frame)
        self.backbone = ResNet(config.backbone)
        stride = self.backbone.stride
        self.padded = tuple(-(-side // stride) * stride for side in image_size)
        self.feature_size = (self.padded[1] // stride, self.padded[0] // stride)
        self.neck = nn.Sequential(nn.Conv2d(self.backbone.channels, width, 1), nn.Conv2d(width, width, 3, 1, 1))
        self.camera = nn.Parameter(torch.randn(len(CAMERAS) if config.rig_bound else 1, width))
        self.bev_queries = BevQueries(config, self.plane.size)
        self.view = KernelAttention(
            width, len(config.heights_m), (config.kernel_rows, config.kernel_cols), config.dropout
        )
        self.feed = FeedForward(width, config.hidden, config.dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.decoder = VectorDecoder(config, self.plane.size)
        at_rest = torch.zeros(CAN_BUS)
        at_rest[3] = 1.0  # no turn: of a rotation, as of every quaternion, one number is not zero
        self.register_buffer("at_rest", at_rest, persistent=False)
        self.at_rest: Tensor

    @property
    def rig_bound(self) -> bool:
        """Whether the weights belong to six cameras in the order of CAMERAS."""
        return self.config.rig_bound

    def lookup(
        self,
        intrinsics: Tensor,
        base_from_camera: Tensor,
        visible: Tensor | None = None,
        can_bus: Tensor | None = None,
        base_from_lidar: Tensor | None = None,
    ) -> VectorLookup:
        """What calibrations B N 3 3 (at `image_size`) and B N 4 4 decide; compute it once each.

        A camera that shows nothing at all, by `visible` B N H W bool, has no say. `can_bus` B 18 is the vehicle's
        motion (at rest without), `base_from_lidar` B 4 4 the LiDAR's pose where the BEV lies in its frame.
        """
        batch = len(intrinsics)
        plane = self.plane.base_from_plane if base_from_lidar is None else base_from_lidar
        if self.config.published:
            intrinsics = published_intrinsics(intrinsics, self.image_size)
        place, seen = projected(
            self.plane.points_m, intrinsics, base_from_camera,
            plane.expand(batch, 4, 4), (self.padded[0], self.padded[1]),
        )
        if visible is not None:
            seen = seen & visible.flatten(2).any(-1, keepdim=True)
        motion = self.at_rest.expand(batch, -1) if can_bus is None else can_bus
        query = self.bev_queries(motion)
        return VectorLookup(query, *self.view.lookup(query, place, seen, self.feature_size), *self.decoder.start())

    def infer(self, images: Tensor, lookup: VectorLookup, deep: bool = False) -> VectorPrediction:
        """B N 3 H W normalised images -> the last layer's elements, or every layer's; tap `bev` B C rows columns."""
        bev = self.encoded(images, lookup)
        logits, places = self.decoder(bev, DecoderStart(lookup.first, lookup.token, lookup.share), deep)
        taps = {"bev": bev.transpose(1, 2).unflatten(2, self.plane.size)}
        return VectorPrediction(logits, self.plane.metres(places), taps)

    def encoded(self, images: Tensor, lookup: VectorLookup) -> Tensor:
        """B N 3 H W -> B K C."""
        batch, cameras = images.shape[:2]
        right, below = self.padded[0] - images.shape[-1], self.padded[1] - images.shape[-2]
        padded = functional.pad(images.flatten(0, 1), (0, right, 0, below))
        features = self.neck(self.backbone(padded)).flatten(2).transpose(1, 2)          # BN hw C
        features = features.unflatten(0, (batch, cameras)) + self.camera[:, None]
        table = KernelLookup(lookup.pixel, lookup.weight, lookup.start)
        x = self.norms[0](lookup.query.to(features.dtype) + self.view(features, table))
        return self.norms[1](self.feed(x))

    def forward(self, batch: Batch) -> VectorPrediction:
        """Every layer's elements for a training batch; ValueError for images of another size."""
        check_image_size(batch.images, self.image_size)
        lookup = self.lookup(
            batch.intrinsics, batch.base_from_camera, None, batch.can_bus, batch.base_from_lidar
        )
        return self.infer(batch.images, lookup, deep=True)
