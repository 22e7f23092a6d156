"""BEVDistill: dense features near lines, and instances told apart as in the teacher's features.

Source: BEVDistill (ICLR 2023), released code zehuichen123/BEVDistill; a detection method adapted to map elements
(ours): queries matched to boxes became the labels' own instances, averaged over their pixels.
Legend: B batch, C channels, I instances of the whole batch.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.taps import TapPair, shrunk, tap
from mapkd_core.model.layers import conv_bn_relu
from mapkd_core.types import CLASSES


def info_nce(student: Tensor, teacher: Tensor, weight: Tensor, temperature: float = 0.07) -> Tensor:
    """Each teacher row I C must find its own student row among all; log I if all are alike, 0 for fewer than two."""
    if len(teacher) < 2:
        return student.sum() * 0
    similarity = functional.normalize(teacher, dim=1) @ functional.normalize(student, dim=1).T / temperature
    own = torch.arange(len(teacher), device=teacher.device)
    losses = functional.cross_entropy(similarity, own, reduction="none")
    return (losses * weight).sum() / weight.sum().clamp(min=1e-6)


def instance_means(features: Tensor, ids: Tensor, least: int = 8) -> Tensor:
    """Mean feature of every instance with at least `least` cells, I C; `features` B C h w, `ids` B 1 h w (0 none)."""
    flat, own = features.transpose(0, 1).flatten(1), ids.long()                         # C Bhw
    most = int(own.max()) + 1
    numbered = own + torch.arange(len(own), device=own.device).view(-1, 1, 1, 1) * most
    index, count = numbered.flatten(), len(own) * most
    sums = flat.new_zeros(count, len(flat)).index_add(0, index, flat.T)
    sizes = flat.new_zeros(count).index_add(0, index, torch.ones_like(flat[0]))
    kept = (sizes >= least) & (torch.arange(count, device=own.device) % most > 0)
    return sums[kept] / sizes[kept, None]


def gaussian_focal(logits: Tensor, heat: Tensor) -> Tensor:
    """CenterNet's focal loss against soft line maps, per line pixel (Zhou et al. 2019)."""
    probability = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = (heat > 0.99).to(logits.dtype)
    on_line = -torch.log(probability) * (1 - probability) ** 2 * peak
    off_line = -torch.log(1 - probability) * probability**2 * (1 - heat) ** 4 * (1 - peak)
    return (on_line + off_line).sum() / peak.sum().clamp(min=1)


@dataclass(frozen=True)
class BevDistillConfig:
    """Published weights; the auxiliary head's is a detector's."""

    dense_weight: float = 0.01
    instance_weight: float = 0.2
    heat_weight: float = 1.0
    temperature: float = 0.07


class BevDistill(Method):
    """Dense distillation near lines at `bev_small`, contrast of instances at `up1`, an auxiliary line-map head."""

    Config = BevDistillConfig
    calibration_tap = "bev_small"

    def __init__(self, networks: Networks, config: BevDistillConfig) -> None:
        super().__init__(networks, config)
        self.pair = TapPair(networks, "bev_small", always=True)
        mine, theirs = (tap(p, "up1").shape[1] for p in (networks.probe.student, networks.probe.teacher))
        small = tap(networks.probe.student, "bev_small").shape[1]
        self.mine, self.theirs = _projection(mine), _projection(theirs)
        self.heat = nn.Sequential(conv_bn_relu(small, small), nn.Conv2d(small, len(CLASSES), 1))

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`dense`, `instance`, `heat`."""
        mine, theirs = self.pair(step)
        near = step.regions.heat((mine.shape[-2], mine.shape[-1])).amax(1, keepdim=True)
        raw = tap(step.student, "bev_small")
        line_maps = step.regions.heat((raw.shape[-2], raw.shape[-1]))
        return {
            "dense": ((mine - theirs) ** 2 * near).sum() / near.sum().clamp(min=1e-6),
            "instance": self._instances(step),
            "heat": gaussian_focal(self.heat(raw), line_maps),
        }

    def _instances(self, step: DistillStep) -> Tensor:
        student, teacher = tap(step.student, "up1"), tap(step.teacher, "up1")
        size = (min(student.shape[-2], teacher.shape[-2]), min(student.shape[-1], teacher.shape[-1]))
        ids = step.regions.instance_ids(size)
        means = [instance_means(shrunk(features, size), ids) for features in (student, teacher.detach())]
        if len(means[0]) < 2:  # nothing to contrast, and batch norm cannot take a single row
            return student.sum() * 0
        # How well the teacher knows an instance: its probability of the instance's class, over its pixels.
        logits = step.teacher.semantic
        known = (logits.sigmoid() * step.regions.semantic)[:, 1:].sum(1, keepdim=True)
        quality = instance_means(shrunk(known, size), ids)[:, 0].detach()
        return info_nce(self.mine(means[0]), self.theirs(means[1]), quality, self.config.temperature)


def _projection(channels: int, width: int = 512) -> nn.Sequential:
    """As released: a linear map to the common width, and an MLP of two layers."""
    return nn.Sequential(
        nn.Linear(channels, width),
        nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Linear(width, width),
    )
