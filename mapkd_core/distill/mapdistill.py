"""MapDistill: relations between two BEV branches, fused and deep features, and responses.

Source: MapDistill (arXiv 2407.11682) for vector networks; released code Ricky-Developer/MapDistill differs from the
paper (batch Gram matrices instead of patch attention): `relation: patches` is the paper's form, `relation: gram` the
code's. Adapted to map segmentation by us: directions stand in for points. As in the code, the second view transform and
the fuser serve the losses alone, so that nothing is added to the student that is deployed.
Legend: B batch, C channels, Y X grid, N patches.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.distill.controls import soft_bce
from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.principal_axes import PrincipalAxes
from mapkd_core.distill.taps import ChannelStats, TapPair, adapter, patch_cells, same_size, shrunk, tap
from mapkd_core.model.layers import conv_bn_relu
from mapkd_core.model.lift_splat import LiftSplat
from mapkd_core.types import Prediction


def cross_attention(queries: Tensor, keys: Tensor, patch: int = 5, temperature: float = 0.1) -> Tensor:
    """Log-attention of each patch of one feature to the patches of the other, B C h w standardised -> B N N."""

    def tokens(features: Tensor) -> Tensor:
        rows, cols = (max(round(side / patch), 1) * patch for side in features.shape[-2:])
        if features.shape[-2:] != (rows, cols):
            features = functional.interpolate(features, size=(rows, cols), mode="bilinear", align_corners=False)
        return functional.normalize(functional.unfold(features, patch, stride=patch).transpose(1, 2), dim=2)

    return (tokens(queries) @ tokens(keys).transpose(1, 2) / temperature).log_softmax(2)


def batch_gram(one: Tensor, other: Tensor) -> Tensor:
    """B x B products of globally averaged features B C h w: the released code's relation."""
    return one.mean((2, 3)) @ other.mean((2, 3)).T

LIFT_STRIDE = 16
"""Features are lifted at a sixteenth of the images, as in the papers; finer ones are averaged down to that."""


@dataclass(frozen=True)
class MapDistillConfig:
    """The paper's weights of relation and features, the code's of responses."""

    relation_weight: float = 1.0
    low_weight: float = 1.0
    high_weight: float = 1.0
    response_weight: float = 0.1
    direction_weight: float = 0.1
    relation: str = "patches"
    patch_m: float = 6.0
    """Side of a patch of the teacher's `enc3`, metres: five cells of 1.2 m."""
    width: int = 64
    """Channels of the compared branches."""

    def __post_init__(self) -> None:
        if self.relation not in ("patches", "gram"):
            raise ValueError(f"relation is {self.relation!r}; expected patches (the paper's) or gram (the code's)")


class MapDistill(Method):
    """Relation of two branches, `full_bev` against a fused map, `enc3`, responses; needs a teacher with LiDAR."""

    Config = MapDistillConfig
    calibration_tap = "enc3"

    def __init__(self, networks: Networks, config: MapDistillConfig) -> None:
        super().__init__(networks, config)
        probe, width = networks.probe, config.width
        camera, lidar = tap(probe.teacher, "cam_bev"), tap(probe.teacher, "lid_bev")
        fused = tap(probe.teacher, "full_bev")
        self.size = tap(probe.teacher, "enc3").shape[-2:]
        self.patch = patch_cells(config.patch_m, self.size, networks.grid)
        native = tap(probe.student, "cam_bev")
        image = tap(probe.student, "image").shape[2]
        grid = networks.grid.scaled(networks.grid.rows / native.shape[-2])
        self.lift = LiftSplat(grid, nn.Identity(), image, width, width)
        # A 1x1 convolution comes last: behind the ReLU alone it could not follow the teacher's negative values.
        self.fuse = nn.Sequential(
            conv_bn_relu(native.shape[1] + width, fused.shape[1]), nn.Conv2d(fused.shape[1], fused.shape[1], 1)
        )
        self.high = TapPair(networks, "enc3")
        # Nothing of the teacher's side is learned: that could please the loss by collapsing.
        widths = {"camera": camera.shape[1], "lidar": lidar.shape[1]}
        self.axes = nn.ModuleDict({name: PrincipalAxes(c, width) for name, c in widths.items() if c != width})
        self.narrow = adapter(native.shape[1], width) if native.shape[1] != width else nn.Identity()
        self.stats = nn.ModuleDict({name: ChannelStats(width) for name in (*widths, "native", "lifted")})

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`relation`, `low`, `high`, `response`, and `direction` where both have that head."""
        batch, native = step.batch, tap(step.student, "cam_bev")
        image_size = (batch.images.shape[-1], batch.images.shape[-2])
        image = tap(step.student, "image")                                               # B N C h w
        coarse = (image_size[1] // LIFT_STRIDE, image_size[0] // LIFT_STRIDE)
        image = shrunk(image.flatten(0, 1), coarse).unflatten(0, image.shape[:2])
        lifted = self.lift.lift(image, image_size, batch.intrinsics, batch.base_from_camera)
        fused = self.fuse(torch.cat([shrunk(native, lifted.shape[-2:]), lifted], 1))
        terms = {
            "relation": self._relation(step.teacher, native, lifted),
            "low": functional.mse_loss(*same_size(fused, tap(step.teacher, "full_bev").detach())),
            "high": functional.mse_loss(*self.high(step)),
            "response": soft_bce(step.student.semantic, step.teacher.semantic).mean(),
        }
        if step.student.direction is not None and step.teacher.direction is not None:
            foreground = step.regions.foreground()
            target = step.teacher.direction.detach().log_softmax(1)
            apart = functional.kl_div(step.student.direction.log_softmax(1), target, reduction="none", log_target=True)
            terms["direction"] = (apart.sum(1, keepdim=True) * foreground).sum() / foreground.sum().clamp(min=1)
        return terms

    def _relation(self, teacher: Prediction, native: Tensor, lifted: Tensor) -> Tensor:
        camera, lidar = tap(teacher, "cam_bev").detach(), tap(teacher, "lid_bev").detach()
        sides = {
            "camera": shrunk(camera, self.size), "lidar": shrunk(lidar, self.size),
            "native": self.narrow(shrunk(native, self.size)), "lifted": shrunk(lifted, self.size),
        }
        for name, features in sides.items():
            if name in self.axes:
                self.axes[name].follow(features, self.stats[name])  # type: ignore[operator]
                sides[name] = self.axes[name](features)
            else:
                self.stats[name].follow(features.detach())  # type: ignore[operator]
        if self.config.relation == "gram":
            known = batch_gram(sides["lidar"], sides["camera"])
            return (batch_gram(sides["lifted"], sides["native"]) - known).abs().mean()
        level = {name: self.stats[name](features) for name, features in sides.items()}
        losses = []
        for way in (slice(None), slice(None, None, -1)):  # camera to LiDAR and back
            mine, theirs = ("native", "lifted")[way], ("camera", "lidar")[way]
            student = cross_attention(level[mine[0]], level[mine[1]], self.patch)
            target = cross_attention(level[theirs[0]], level[theirs[1]], self.patch)
            losses.append(functional.kl_div(student, target, reduction="none", log_target=True).sum(2).mean())
        return torch.stack(losses).sum()
