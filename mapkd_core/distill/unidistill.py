"""UniDistill: features and their relations at nine keypoints of each element, responses near lines.

Source: UniDistill (CVPR 2023), released code megvii-research/CVPR2023-UniDistill; a detection method adapted to map
elements (ours): a box's corners, edge middles and centre became nine points along a line.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.taps import TapPair

KEYPOINTS = 9


def relation_matrix(features: Tensor) -> Tensor:
    """Cosine similarities of keypoints, ... K C -> ... K K."""
    unit = functional.normalize(features, dim=-1)
    return unit @ unit.transpose(-1, -2)


def near_lines(difference: Tensor, heat: Tensor) -> Tensor:
    """Mean of a difference B 1 Y X weighted by closeness to a line; 0 without lines."""
    return (difference * heat).sum() / heat.sum().clamp(min=1e-6)


@dataclass(frozen=True)
class UniDistillConfig:
    """Published weights of a camera student under a fusion teacher."""

    feature_weight: float = 10.0
    relation_weight: float = 5.0
    response_weight: float = 10.0
    direction_weight: float = 10.0
    teacher_temperature: float = 2.0


class UniDistill(Method):
    """Keypoint features of `full_bev`, keypoint relations of `enc3`, responses near lines."""

    Config = UniDistillConfig
    calibration_tap = "enc3"

    def __init__(self, networks: Networks, config: UniDistillConfig) -> None:
        super().__init__(networks, config)
        self.low, self.high = TapPair(networks, "full_bev"), TapPair(networks, "enc3")

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`feature`, `relation`, `response`, and `direction` where both have that head."""
        low, high = self.low(step), self.high(step)
        features, relations = [low[0].sum() * 0], [high[0].sum() * 0]
        for sample, points in enumerate(step.regions.keypoints_m(KEYPOINTS)):           # E 9 2
            if len(points):
                mine, theirs = (step.regions.sample(level[sample], points) for level in low)
                features += list((mine - theirs).abs().mean((1, 2)))
                mine, theirs = (relation_matrix(step.regions.sample(level[sample], points)) for level in high)
                relations += list((mine - theirs).abs().mean((1, 2)))
        count = max(len(features) - 1, 1)
        heat = step.regions.heat().amax(1, keepdim=True)
        softened = (step.teacher.semantic.detach()[:, 1:] / self.config.teacher_temperature).sigmoid()
        claim = step.student.semantic[:, 1:].sigmoid().amax(1, keepdim=True)
        terms = {
            "feature": torch.stack(features).sum() / count,
            "relation": torch.stack(relations).sum() / count,
            "response": near_lines((claim - softened.amax(1, keepdim=True)).abs(), heat),
        }
        if step.student.direction is not None and step.teacher.direction is not None:
            known = step.teacher.direction.detach().softmax(1)
            turned = (step.student.direction.softmax(1) - known).abs().mean(1, keepdim=True)
            terms["direction"] = near_lines(turned, heat)
        return terms
