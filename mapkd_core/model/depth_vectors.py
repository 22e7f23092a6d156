"""The vector student as MapTRv2 was published: MapTR's trunk and decoder round a view that tells depth.

Source: MapTRv2 (arXiv 2308.05736); weights that its authors published run in it (`mapkd import --as maptrv2`). Its
dense terms of training (LiDAR depth, maps in the BEV and in the images) are not built.

Legend: B batch, N cameras, C channels, K cells of the BEV.
"""
from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.grid import BevGrid
from mapkd_core.model.bev_plane import BevPlane
from mapkd_core.model.camera_depth import CameraDepth, DepthLookup, published_scale
from mapkd_core.model.image_size import check_image_size
from mapkd_core.model.ray_points import published_intrinsics
from mapkd_core.model.resnet import ResNet
from mapkd_core.model.vector_config import VectorConfig
from mapkd_core.model.vector_decoder import DecoderStart, VectorDecoder
from mapkd_core.types import Batch, VectorPrediction


class DepthVectorLookup(NamedTuple):
    """What a calibration decides."""

    cell: Tensor
    context: Tensor
    depth: Tensor
    """See DepthLookup."""
    first: Tensor
    token: Tensor
    share: Tensor
    """See DecoderStart."""


class DepthVectorStudent(nn.Module):
    """`forward` takes a Batch, `infer` what a deployed node has."""

    rig_bound = False

    def __init__(self, grid: BevGrid, image_size: tuple[int, int], config: VectorConfig) -> None:
        super().__init__()
        self.grid, self.image_size, self.config = grid, image_size, config
        self.plane = BevPlane(grid, config.bev_cell_m, (0.0,), config.frame)
        self.backbone = ResNet(config.backbone)
        stride = self.backbone.stride
        self.padded = (-(-image_size[0] // stride) * stride, -(-image_size[1] // stride) * stride)
        self.feature_size = (self.padded[0] // stride, self.padded[1] // stride)
        width = config.width
        self.neck = nn.Sequential(nn.Conv2d(self.backbone.channels, width, 1), nn.Conv2d(width, width, 3, 1, 1))
        self.view = CameraDepth(self.plane, width)
        self.decoder = VectorDecoder(config, self.plane.size)

    def lookup(
        self, intrinsics: Tensor, base_from_camera: Tensor, visible: Tensor | None = None,
        base_from_lidar: Tensor | None = None,
    ) -> DepthVectorLookup:
        """What calibrations B N 3 3 (at `image_size`) and B N 4 4 decide; compute it once each.

        A camera that shows nothing at all, by `visible` B N H W bool, has no say. `base_from_lidar` B 4 4 is the
        pose of the LiDAR in whose frame the BEV lies; that of one of nuScenes' vehicles without.
        """
        plane = self.plane.base_from_plane if base_from_lidar is None else base_from_lidar
        if self.config.published:
            intrinsics = published_intrinsics(intrinsics, self.image_size)
        view = self.view.lookup(
            intrinsics, base_from_camera, plane.expand(len(intrinsics), 4, 4), self.padded, self.feature_size,
            published_scale(self.image_size), visible,
        )
        return DepthVectorLookup(*view, *self.decoder.start())

    def infer(self, images: Tensor, lookup: DepthVectorLookup, deep: bool = False) -> VectorPrediction:
        """B N 3 H W normalised images -> the last layer's elements, or every layer's; tap `bev` B C rows columns."""
        bev = self.encoded(images, lookup)
        tokens = bev.flatten(2).transpose(1, 2)                                         # B K C
        logits, places = self.decoder(tokens, DecoderStart(lookup.first, lookup.token, lookup.share), deep)
        return VectorPrediction(logits, self.plane.metres(places), {"bev": bev})

    def encoded(self, images: Tensor, lookup: DepthVectorLookup) -> Tensor:
        """B N 3 H W -> B C rows columns."""
        right, below = self.padded[0] - images.shape[-1], self.padded[1] - images.shape[-2]
        padded = functional.pad(images.flatten(0, 1), (0, right, 0, below))
        features = self.neck(self.backbone(padded)).unflatten(0, images.shape[:2])
        return self.view(features, DepthLookup(lookup.cell, lookup.context, lookup.depth))

    def forward(self, batch: Batch) -> VectorPrediction:
        """Every layer's elements, and in training the further elements; ValueError for images of another size."""
        check_image_size(batch.images, self.image_size)
        lookup = self.lookup(batch.intrinsics, batch.base_from_camera, None, batch.base_from_lidar)
        prediction = self.infer(batch.images, lookup, deep=True)
        if self.training and self.config.many:
            tokens = prediction.taps["bev"].flatten(2).transpose(1, 2)
            logits, places = self.decoder(tokens, self.decoder.start(many=True), True, True)
            prediction.many = VectorPrediction(logits, self.plane.metres(places), {})
            prediction.repeats = self.config.repeats
        return prediction
