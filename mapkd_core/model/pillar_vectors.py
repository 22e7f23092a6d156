"""The vector student on the raster student's trunk, view and BEV network: vertices in place of a map (design: ours).

Trunk, view and BEV network have the raster student's names and shapes, so that its weights serve as `init`; its map
head stays beside the decoder in training (MapTRv2's dense supervision, arXiv 2308.05736). Calibration is an input.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from mapkd_core.grid import BevGrid
from mapkd_core.model.backbones import BackboneEncoder
from mapkd_core.model.bev_plane import BevPlane
from mapkd_core.model.depth_splatting import SplatLookup
from mapkd_core.model.image_size import check_image_size, feature_size
from mapkd_core.model.layers import softmax_of_maps
from mapkd_core.model.pillar_sampling import PillarLookup
from mapkd_core.model.student import Student
from mapkd_core.model.vector_config import TRUNKS, VectorConfig, raster_config, view_stride
from mapkd_core.model.vector_decoder import DecoderStart, VectorDecoder
from mapkd_core.types import CLASSES, Batch, VectorPrediction


class PillarVectorLookup(NamedTuple):
    """What a calibration decides, and what depends on nothing at all."""

    where: Tensor
    taken: Tensor
    """The view's look-up: PillarLookup, or SplatLookup."""
    first: Tensor
    at: Tensor
    share: Tensor
    """See DecoderStart."""


class PillarVectorStudent(Student):
    """Trunk -> view -> BEV U-Net -> decoder; `forward` takes a Batch, `infer` what a deployed node has."""

    rig_bound = False

    def __init__(self, grid: BevGrid, image_size: tuple[int, int], config: VectorConfig) -> None:
        super().__init__(grid, image_size, raster_config(config))
        self.vector_config = config
        if config.backbone not in TRUNKS:
            self.trunk = BackboneEncoder(config.backbone, config.view_channels, config.pretrained)  # type: ignore[assignment]
            self.feature_size = feature_size(image_size, view_stride(config))
        coarse = grid.scaled(config.bev_factor)
        self.plane = BevPlane(grid, coarse.cell_m, (0.0,), config.frame)
        unfit = [cells for cells in config.evidence if any(side % cells for side in self.plane.size)]
        if unfit:
            raise ValueError(f"evidence {unfit[0]} does not divide the BEV's {self.plane.size} cells; choose a divisor")
        planes = config.bev_width + len(CLASSES) * len(config.evidence)
        self.decoder = VectorDecoder(config, self.plane.size, planes)

    def lookup(  # type: ignore[override] # more than the raster student's, which is in it
        self, intrinsics: Tensor, base_from_camera: Tensor, visible: Tensor | None = None
    ) -> PillarVectorLookup:
        """What calibrations B N 3 3 (at `image_size`) and B N 4 4 decide; compute it once each."""
        view = super().lookup(intrinsics, base_from_camera, visible)
        where, taken = view
        return PillarVectorLookup(where, taken, *self.decoder.start())

    def infer(  # type: ignore[override] # vertices, not a map
        self, images: Tensor, lookup: PillarVectorLookup
    ) -> VectorPrediction:
        """B N 3 H W normalised images -> the last layer's elements."""
        kind = PillarLookup if self.vector_config.view == "pillars" else SplatLookup
        features = self.trunk(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        fine = self._scales(features, kind(lookup.where, lookup.taken))["fine"]
        start = DecoderStart(lookup.first, lookup.at, lookup.share)
        return self._elements(self.read(fine), start, deep=False)

    def forward(self, batch: Batch) -> VectorPrediction:  # type: ignore[override]
        """Every layer's elements for a training batch, the dense map and, in training, the further elements.

        Raises ValueError for images of another size.
        """
        features, scales = self._seen(batch)
        semantic = self.heads["semantic"](scales["fine"])
        bev = self.read(scales["fine"], semantic)
        prediction = self._elements(bev, self.decoder.start())
        return self._completed(prediction, bev, semantic, {"image": features, **scales})

    def _seen(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Image features B N C h w and the BEV network's scales."""
        check_image_size(batch.images, self.image_size)
        visible = None if batch.alive is None else batch.alive[..., None, None]         # B N 1 1
        lookup = super().lookup(batch.intrinsics, batch.base_from_camera, visible)
        features = self.trunk(batch.images.flatten(0, 1)).unflatten(0, batch.images.shape[:2])
        return features, self._scales(features, lookup)

    def _completed(
        self, prediction: VectorPrediction, bev: Tensor, semantic: Tensor, taps: dict[str, Tensor]
    ) -> VectorPrediction:
        """The elements with what stands beside them in training."""
        prediction.semantic, prediction.taps = semantic, taps
        if self.training and self.vector_config.many:
            prediction.many = self._elements(bev, self.decoder.start(many=True), many=True)
            prediction.repeats = self.vector_config.repeats
        return prediction

    def read(self, fine: Tensor, semantic: Tensor | None = None) -> Tensor:
        """What the decoder reads: features B F Y X, and planes of the dense map as its evidence.

        `semantic` are that map's logits B 4 Y' X' where they are known already. What the decoder learns does not move
        the map that it is shown.
        """
        if not self.vector_config.evidence:
            return fine
        if semantic is None:
            semantic = self.heads["semantic"](fine)
        classes = softmax_of_maps(semantic.detach())[:, 1:]                             # B 3 Y' X'
        classes = functional.avg_pool2d(classes, self.vector_config.bev_factor)         # B 3 Y X
        return torch.cat([fine, *(averaged(classes, cells) for cells in self.vector_config.evidence)], 1)

    def _scales(self, features: Tensor, lookup: PillarLookup | SplatLookup) -> dict[str, Tensor]:
        """B N C h w -> `cam_bev` and the BEV network's scales."""
        bev, seen = self.view(features, lookup)  # type: ignore[arg-type]               # B ZC Y X, B Z Y X
        return {"cam_bev": bev, **self.bev(torch.cat([bev, seen], 1))}

    def _elements(
        self, bev: Tensor, start: DecoderStart, deep: bool = True, many: bool = False
    ) -> VectorPrediction:
        logits, places = self.decoder(bev, start, deep, many)
        return VectorPrediction(logits, self.plane.metres(places), {})


def averaged(planes: Tensor, cells: int) -> Tensor:
    """B C Y X -> B C Y X: means of `cells` by `cells`, between their centers bilinear."""
    if cells == 1:
        return planes
    means = functional.avg_pool2d(planes, cells)
    return functional.interpolate(means, size=planes.shape[-2:], mode="bilinear", align_corners=False)
