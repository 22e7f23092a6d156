"""X3KD (reconstructed): lines in the images, BEV features, an adversary, and confident outputs.

Source: X3KD (CVPR 2023). No code is public and the losses are known by name only; everything here is reconstructed by
us and for map elements. X-IS cross-task (the labels' lines projected into the images stand in for a segmenter), X-FD
feature, X-AT adversarial, X-OD output distillation.
Legend: B batch, N cameras, C channels, h w feature map, P points.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from mapkd_core.distill.controls import soft_bce
from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.taps import TapPair, tap
from mapkd_core.geometry import distances_along, evenly_spaced
from mapkd_core.types import CLASSES, Batch


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, features: Tensor, strength: float) -> Tensor:
        context.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.strength * gradients[0], None


def reversed_gradient(features: Tensor, strength: float) -> Tensor:
    """The same features; what flows back changes its sign and is scaled."""
    result = _Reversed.apply(features, strength)
    assert isinstance(result, Tensor)
    return result


def lines_in_images(batch: Batch, size: tuple[int, int], step_m: float = 0.25) -> Tensor:
    """B N C h w, 1 where a line of class C, taken to lie on the ground, falls into the image's feature map."""
    height, width = batch.images.shape[-2:]
    target = torch.zeros(*batch.images.shape[:2], len(CLASSES), *size, device=batch.images.device)
    scale = torch.tensor([size[1] / width, size[0] / height], device=target.device)
    limit = torch.tensor([size[1], size[0]], device=target.device)
    for sample, elements in enumerate(batch.elements or ()):
        camera_from_base = torch.linalg.inv(batch.base_from_camera[sample])             # N 4 4
        for element in elements:
            points = torch.from_numpy(_dense(element.points_m, step_m)).to(target)      # P 4
            seen = torch.einsum("nij,pj->npi", camera_from_base, points)[..., :3]
            pixels = torch.einsum("nij,npj->npi", batch.intrinsics[sample], seen)
            depth = pixels[..., 2]
            cell = ((pixels[..., :2] / depth.clamp(min=1e-3)[..., None] + 0.5) * scale).floor()
            kept = (depth > 0.5) & (cell >= 0).all(-1) & (cell < limit).all(-1)         # N P
            camera = kept.nonzero()[:, 0]
            col, row = cell[kept].long().unbind(1)
            target[sample, camera, CLASSES.index(element.label), row, col] = 1
    return target


def _dense(points_m: np.ndarray, step_m: float) -> np.ndarray:
    """(P, 4) homogeneous points on the ground along a line."""
    points = np.asarray(points_m, np.float64)[:, :2]
    xy = evenly_spaced(points, max(int(distances_along(points)[-1] / step_m), 1) + 1)
    return np.column_stack([xy, np.zeros(len(xy)), np.ones(len(xy))]).astype(np.float32)


@dataclass(frozen=True)
class X3kdConfig:
    """Our weights; 0 turns a part off."""

    images_weight: float = 1.0
    feature_weight: float = 1.0
    adversary_weight: float = 1.0
    output_weight: float = 1.0
    strength: float = 0.1
    """Largest factor of the adversary's reversed gradient on the student, reached after `ramp` of the run."""
    ramp: float = 0.2


class X3kd(Method):
    """X-IS, X-FD, X-AT and X-OD, each with its weight."""

    Config = X3kdConfig
    calibration_tap = "bev_small"

    def __init__(self, networks: Networks, config: X3kdConfig) -> None:
        super().__init__(networks, config)
        self.ramp_steps = max(config.ramp * networks.steps, 1.0)
        self.pair = TapPair(networks, "bev_small", always=True)
        if config.images_weight:
            self.images = nn.Conv2d(tap(networks.probe.student, "image").shape[2], len(CLASSES), 1)
        if config.adversary_weight:
            self.adversary = _patch_critic(self.pair.channels)

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`images`, `feature`, `adversary`, `output`, as far as they have a weight."""
        config, terms = self.config, {}
        mine, theirs = self.pair(step)
        if config.images_weight:
            image = tap(step.student, "image")
            logits = self.images(image.flatten(0, 1)).unflatten(0, image.shape[:2])
            target = lines_in_images(step.batch, (image.shape[-2], image.shape[-1]))
            terms["images"] = functional.binary_cross_entropy_with_logits(logits, target)
        if config.feature_weight:
            terms["feature"] = functional.l1_loss(mine, theirs)
        if config.adversary_weight:
            strength = config.strength * min(step.step / self.ramp_steps, 1.0)
            fake, real = self.adversary(reversed_gradient(mine, strength)), self.adversary(theirs)
            terms["adversary"] = _judged(fake, 0.0) + _judged(real, 1.0)
        if config.output_weight:
            sure = step.teacher.semantic.detach()[:, 1:].sigmoid().amax(1, keepdim=True)
            terms["output"] = (sure * soft_bce(step.student.semantic, step.teacher.semantic)).mean()
        return terms


def _patch_critic(channels: int, width: int = 64) -> nn.Sequential:
    def layer(channels_in: int, channels_out: int) -> list[nn.Module]:
        # Padding of 2 keeps the smallest maps from vanishing.
        return [spectral_norm(nn.Conv2d(channels_in, channels_out, 4, 2, 2)), nn.LeakyReLU(0.2)]

    layers = [*layer(channels, width), *layer(width, 2 * width), *layer(2 * width, 4 * width)]
    return nn.Sequential(*layers, nn.Conv2d(4 * width, 1, 1))


def _judged(logits: Tensor, truth: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))
