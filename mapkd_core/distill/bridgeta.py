"""BridgeTA: a teaching assistant between teacher and student, and a loss from Young's inequality.

Source: BridgeTA (arXiv 2508.09599), of which only the idea is public: the assistant joins both networks' BEV features,
and the direct path from teacher to student becomes two, at feature and output level. Architecture and weights: ours.
The student enters the assistant without gradient: else it could please the loss by moving the assistant. Since the
bound is least, and equal to direct distillation, for a free assistant, the assistant gets a task loss of its own.
"""
from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.distill.controls import soft_bce
from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.taps import ChannelStats, TapPair, decoder_of, shrunk, tap
from mapkd_core.losses import semantic_bce
from mapkd_core.model.bev_encode import BevEncode
from mapkd_core.model.layers import conv_bn_relu
from mapkd_core.types import Prediction


def young(teacher: Tensor, assistant: Tensor, student: Tensor, eps: float, warm: float = 1.0) -> Tensor:
    """(1 + eps) |t - a|^2 + (1 + 1/eps) |a - s|^2, means over all elements; never below the mean of |t - s|^2.

    `warm` 0..1 scales the second part, while the assistant still knows nothing; the bound holds at 1.
    """
    return (1 + eps) * functional.mse_loss(assistant, teacher) + warm * (1 + 1 / eps) * functional.mse_loss(
        student, assistant
    )


class Assistant(nn.Module):
    """Joins the teacher's and the student's BEV feature, and decodes a map of its own from it."""

    def __init__(self, student: int, teacher: int, decoder: BevEncode, channels: int, width: int = 128) -> None:
        super().__init__()
        self.from_teacher, self.from_student = nn.Conv2d(teacher, width, 1), nn.Conv2d(student, width, 1)
        self.join = nn.Sequential(
            conv_bn_relu(2 * width, width), conv_bn_relu(width, width), nn.Conv2d(width, teacher, 1)
        )
        self.widen = nn.Conv2d(teacher, channels, 1) if channels != teacher else nn.Identity()
        self.decoder = decoder

    def forward(self, teacher: Tensor, student: Tensor, size: tuple[int, int]) -> tuple[Tensor, Prediction]:
        """B C h w each -> the joint feature and a Prediction on a grid of `size`."""
        joint = self.join(torch.cat([self.from_teacher(teacher), self.from_student(student.detach())], 1))
        coarse = (size[0] // self.decoder.finer, size[1] // self.decoder.finer)
        grown = functional.interpolate(self.widen(joint), size=coarse, mode="bilinear", align_corners=False)
        return joint, self.decoder(grown)


@dataclass(frozen=True)
class BridgeTaConfig:
    """Our weights: half of MapKD's, because eps = 1 doubles both paths."""

    feature_weight: float = 0.5
    decoder_weight: float = 0.25
    response_weight: float = 0.25
    assistant_weight: float = 1.0
    """The assistant's own map loss; 0 is the ablation without it."""
    eps: float = 1.0
    exact_young: bool = False
    """Squared errors of probabilities at the output, for which the inequality holds, instead of cross entropies."""
    warmup_steps: int = 500
    """Steps over which the student's paths come in."""


class BridgeTa(Method):
    """Teacher -> assistant -> student at BEV feature, decoder feature and logits."""

    Config = BridgeTaConfig
    calibration_tap = "bev_small"

    def __init__(self, networks: Networks, config: BridgeTaConfig) -> None:
        super().__init__(networks, config)
        self.pair, self.deep = TapPair(networks, "bev_small"), TapPair(networks, "up1")
        self.stats, self.deep_stats = ChannelStats(self.pair.channels), ChannelStats(self.deep.channels)
        self.positives = (networks.loss.pos_weight, networks.loss.class_weight)
        known = decoder_of(networks.teacher)
        decoder = BevEncode(self.pair.channels, 32, ("semantic",))
        if isinstance(known, BevEncode):
            decoder = copy.deepcopy(known).train().requires_grad_(True)
            decoder.branches = nn.ModuleDict({"semantic": decoder.branches["semantic"]})
        channels = decoder.stem[0].weight.shape[1]  # type: ignore[union-attr,index]
        student = tap(networks.probe.student, "bev_small").shape[1]
        self.assistant = Assistant(student, self.pair.channels, decoder, int(channels))
        up1 = decoder.branches["semantic"].up2[0][0].weight.shape[1]  # type: ignore[index,union-attr]
        same = int(up1) == self.deep.channels
        self.match_up1 = nn.Identity() if same else nn.Conv2d(int(up1), self.deep.channels, 1)

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`feature`, `decoder`, `response`, and the assistant's own `assistant`."""
        config = self.config
        warm = min((step.step + 1) / max(config.warmup_steps, 1), 1.0)
        mine, theirs = self.pair(step)
        raw = shrunk(tap(step.student, "bev_small"), mine.shape[-2:])
        logits = step.student.semantic
        joint, answer = self.assistant(theirs, raw, logits.shape[-2:])
        mine_up, theirs_up = self.deep(step)
        joint_up = self.match_up1(shrunk(answer.taps["up1"], theirs_up.shape[-2:]))
        terms = {
            "feature": self._bound(self.stats, theirs, joint, mine, warm),
            "decoder": self._bound(self.deep_stats, theirs_up, joint_up, mine_up, warm),
            "response": self._response(step.teacher.semantic, answer.semantic, logits, warm),
        }
        if config.assistant_weight:
            assert step.batch.semantic is not None, "a training batch carries labels"
            terms["assistant"] = semantic_bce(answer.semantic, step.batch.semantic, *self.positives)
        return terms

    def _bound(self, stats: ChannelStats, teacher: Tensor, joint: Tensor, student: Tensor, warm: float) -> Tensor:
        stats.follow(teacher)
        return young(stats(teacher), stats(joint), stats(student), self.config.eps, warm)

    def _response(self, teacher: Tensor, assistant: Tensor, student: Tensor, warm: float) -> Tensor:
        eps = self.config.eps
        if self.config.exact_young:
            return young(teacher.sigmoid(), assistant.sigmoid(), student.sigmoid(), eps, warm)
        to_student = soft_bce(student, assistant).mean()
        return (1 + eps) * soft_bce(assistant, teacher).mean() + warm * (1 + 1 / eps) * to_student
