"""DualDistill: orthogonal attention aligns features, masked features and the teacher's own head teach.

Source: DualDistill (BMVC 2025), released code Gaeun-Kimm/DualDistill; a detection method adapted to map elements
(ours).
AOA attention-guided orthogonal alignment, MFD multi-scale feature distillation, CRD cross-head response distillation:
the teacher's frozen heads read the student's aligned feature.
Legend: B batch, C channels, h w feature map, T tokens.
"""
from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import orthogonal

from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.mfd import Mfd, total
from mapkd_core.distill.taps import TapPair, decoder_of, head_after_up1, same_size, shrunk, tap
from mapkd_core.losses import semantic_bce
from mapkd_core.model.layers import conv_bn_relu

LOG = logging.getLogger(__name__)


class Aoa(nn.Module):
    """Learned queries read the student's feature; an orthogonal map takes the result to the teacher's channels.

    An orthogonal map keeps the inner products between channels, so the student's own structure survives.
    """

    def __init__(self, student: int, teacher: int, size: tuple[int, int], pooled: tuple[int, int]) -> None:
        """`size` (h, w) of the result, `pooled` the size at which it attends (attention grows with its square)."""
        super().__init__()
        self.size, self.pooled = size, pooled
        tokens = pooled[0] * pooled[1]
        heads = max(h for h in (1, 2, 4, 8) if student % h == 0)
        self.query = nn.Parameter(torch.randn(1, student, *pooled) * 0.02)
        self.mix_query = nn.Sequential(nn.Conv2d(student, student, 1), nn.ReLU())
        self.key = conv_bn_relu(student, student)
        self.position = nn.Parameter(torch.zeros(1, tokens, student))
        self.attend = nn.MultiheadAttention(student, heads, batch_first=True)
        self.norm = nn.LayerNorm(student)
        self.feed = nn.Sequential(nn.Linear(student, 4 * student), nn.GELU(), nn.Linear(4 * student, student))
        self.turn = orthogonal(nn.Linear(student, teacher, bias=False))
        self.gamma = nn.Parameter(torch.ones(teacher, 1, 1))
        self.beta = nn.Parameter(torch.zeros(teacher, 1, 1))

    def forward(self, student: Tensor) -> Tensor:
        """B C h w -> B C' h w of `size`."""
        keys = self.key(shrunk(student, self.pooled)).flatten(2).transpose(1, 2) + self.position     # B T C
        queries = self.mix_query(self.query).flatten(2).transpose(1, 2).expand(len(student), -1, -1)
        x = self.norm(self.attend(queries, keys, keys, need_weights=False)[0])
        x = self.turn(x + self.feed(x)).transpose(1, 2).unflatten(2, self.pooled)
        return self.gamma * functional.interpolate(x, self.size, mode="bilinear", align_corners=False) + self.beta


@dataclass(frozen=True)
class DualDistillConfig:
    """Published weights."""

    lines_weight: float = 6e-3
    background_weight: float = 4e-2
    mistakes_weight: float = 6e-2
    spatial_weight: float = 2.5e-3
    head_weight: float = 1.0
    direction_weight: float = 0.1
    """The same with the teacher's direction head, where it has one."""
    temperature: float = 0.1
    """Divides the teacher's logits: nearly hard targets that stay soft where it is unsure."""
    inherit_head: bool = True
    """Start the student's BEV encoder from the teacher's where shapes agree."""


class DualDistill(Method):
    """AOA on `enc1` and `enc3`, a 1x1 convolution on `up1`, MFD on all three, the teacher's frozen heads on `up1`."""

    Config = DualDistillConfig
    calibration_tap = "enc3"

    def __init__(self, networks: Networks, config: DualDistillConfig) -> None:
        super().__init__(networks, config)
        self.pair = TapPair(networks, "up1", always=True)
        self._heads = {name: head_after_up1(networks.teacher, name) for name in ("semantic", "direction")}
        if self._heads["semantic"] is None:
            kind = type(networks.teacher).__name__
            raise ValueError(f"dualdistill needs a teacher with a semantic head after `up1`; {kind} has none")
        # Each head of the teacher may read a feature of its own, hence a convolution for each.
        self.head_adapt = nn.ModuleDict(
            {name: TapPair(networks, "up1", always=True) for name, head in self._heads.items() if head is not None}
        )
        self.positives = (networks.loss.pos_weight, networks.loss.class_weight)
        pooled = tap(networks.probe.teacher, "enc3").shape[-2:]
        self.aoa, self.mfd = nn.ModuleDict(), nn.ModuleDict({"up1": Mfd(false_positives=True)})
        for name in ("enc1", "enc3"):
            mine, theirs = tap(networks.probe.student, name), tap(networks.probe.teacher, name)
            size = (min(mine.shape[-2], theirs.shape[-2]), min(mine.shape[-1], theirs.shape[-1]))
            at = (min(size[0], pooled[0]), min(size[1], pooled[1]))
            self.aoa[name] = Aoa(mine.shape[1], theirs.shape[1], size, at)
            self.mfd[name] = Mfd()

    def prepare_student(self, student: nn.Module, teacher: nn.Module) -> None:
        """Inherits the head."""
        mine, theirs = decoder_of(student), decoder_of(teacher)
        if not self.config.inherit_head:
            return
        if mine is None or theirs is None:
            LOG.warning("dualdistill: student and teacher have no BEV encoder in common; the head is not inherited")
            return
        own, source = mine.state_dict(), theirs.state_dict()
        shared = {k: v for k, v in source.items() if k in own and own[k].shape == v.shape}
        mine.load_state_dict({**own, **shared})
        LOG.info("dualdistill: %d of %d tensors of the BEV encoder inherited", len(shared), len(own))

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`lines`, `background`, `mistakes`, `spatial` over levels; `head`, and `direction` where there is one."""
        logits, levels = step.teacher.semantic, []
        for name in ("enc1", "enc3"):
            mine, theirs = same_size(tap(step.student, name), tap(step.teacher, name))
            levels.append(self.mfd[name](self.aoa[name](mine), theirs.detach(), step.regions, logits))
        levels.append(self.mfd["up1"](*self.pair(step), step.regions, logits))
        terms = total(levels)
        target = (logits.detach() / self.config.temperature).sigmoid()
        terms["head"] = semantic_bce(*same_size(self._read("semantic", step), target), *self.positives)
        if step.teacher.direction is not None and "direction" in self.head_adapt:
            terms["direction"] = self._direction(self._read("direction", step), step.teacher.direction, step)
        return terms

    def _read(self, output: str, step: DistillStep) -> Tensor:
        """What the teacher's head gives for the student's `up1`."""
        head = self._heads[output]
        assert head is not None
        return head(self.head_adapt[output](step)[0])

    def _direction(self, read: Tensor, teacher: Tensor, step: DistillStep) -> Tensor:
        answer, target = same_size(read, (teacher.detach() / self.config.temperature).softmax(1))
        foreground = step.regions.foreground((answer.shape[-2], answer.shape[-1]))
        entropy = -(target * answer.log_softmax(1)).sum(1, keepdim=True)
        return (entropy * foreground).sum() / foreground.sum().clamp(min=1)
