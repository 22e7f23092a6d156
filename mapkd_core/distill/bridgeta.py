"""BridgeTA: a teaching assistant between teacher and student, and a loss from Young's inequality.

Source: BridgeTA (arXiv 2508.09599), of which only the idea is public: the assistant joins both networks' BEV features,
and the direct path from teacher to student becomes two, at feature and output level. Architecture and weights: ours.
The student enters the assistant without gradient: else it could please the loss by moving the assistant. Since the
bound is least, and equal to direct distillation, for a free assistant, the assistant gets a task loss of its own.
It goes on from its BEV feature as the teacher does from `bev_small`, through trainable copies of the SD prior, where
there is one, and of the BEV encoder: an assistant that gives the teacher's feature draws the teacher's (coarse) map.
Assistant and student start at the size of the teacher's features (`StartsLike`); else the first thousand steps of a run
under a young teacher would teach nothing but that size.
"""
from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.distill.controls import soft_bce
from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.taps import ChannelStats, StartsLike, TapPair, shrunk, tap
from mapkd_core.losses import semantic_bce
from mapkd_core.model.bev_encode import BevEncode
from mapkd_core.model.layers import conv_bn_relu
from mapkd_core.model.sd_prior import SdPrior
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

    def __init__(
        self, student: int, teacher: int, decoder: BevEncode, prior: SdPrior | None = None, width: int = 128
    ) -> None:
        super().__init__()
        self.from_teacher, self.from_student = nn.Conv2d(teacher, width, 1), nn.Conv2d(student, width, 1)
        self.like_teacher = StartsLike(teacher)
        self.join = nn.Sequential(
            conv_bn_relu(2 * width, width), conv_bn_relu(width, width), nn.Conv2d(width, teacher, 1)
        )
        channels = int(decoder.stem[0].weight.shape[1])  # type: ignore[union-attr,index]
        self.widen = nn.Conv2d(teacher, channels, 1) if channels != teacher else nn.Identity()
        self.prior, self.decoder = prior, decoder

    def forward(
        self, teacher: Tensor, student: Tensor, stats: ChannelStats, size: tuple[int, int], sd_map: Tensor | None
    ) -> tuple[Tensor, Prediction]:
        """B C h w each, the SD map B 1 Y X if the teacher reads one -> joint feature, Prediction on `size`.

        `stats` are those of the teacher's feature.
        """
        joint = self.join(torch.cat([self.from_teacher(teacher), self.from_student(student.detach())], 1))
        joint = self.like_teacher(joint, stats)
        return joint, self.decode(joint, size, sd_map)

    def decode(self, joint: Tensor, size: tuple[int, int], sd_map: Tensor | None) -> Prediction:
        """What the teacher draws from `bev_small`, drawn from the joint feature B C h w."""
        finer = self.decoder.finer
        coarse = (size[0] // finer, size[1] // finer)
        grown = self.widen(joint)
        if self.prior is not None:
            assert sd_map is not None, "a teacher that reads an SD map was given one"
            smaller = 2**self.decoder.halvings
            small = _resized(grown, (coarse[0] // smaller, coarse[1] // smaller))
            grown = self.prior.attend(small, functional.max_pool2d(sd_map, finer))[0]
        return self.decoder(_resized(grown, coarse))


def _resized(features: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(features, size=size, mode="bilinear", align_corners=False)


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
        decoder, prior = _decoding_part(networks.teacher, self.pair.channels)
        student = tap(networks.probe.student, "bev_small").shape[1]
        self.assistant = Assistant(student, self.pair.channels, decoder, prior)
        up1 = decoder.branches["semantic"].up2[0][0].weight.shape[1]  # type: ignore[index,union-attr]
        same = int(up1) == self.deep.channels
        self.match_up1 = nn.Identity() if same else nn.Conv2d(int(up1), self.deep.channels, 1)
        self.start, self.deep_start = StartsLike(self.pair.channels), StartsLike(self.deep.channels)
        self.joint_deep_start = StartsLike(self.deep.channels)

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`feature`, `decoder`, `response`, and the assistant's own `assistant`."""
        config = self.config
        warm = min((step.step + 1) / max(config.warmup_steps, 1), 1.0)
        mine, theirs = self.pair(step)
        raw = shrunk(tap(step.student, "bev_small"), mine.shape[-2:])
        logits = step.student.semantic
        mine_up, theirs_up = self.deep(step)
        self.stats.follow(theirs)
        self.deep_stats.follow(theirs_up)
        joint, answer = self.assistant(theirs, raw, self.stats, logits.shape[-2:], step.batch.sd_map)
        joint_up = self.match_up1(shrunk(answer.taps["up1"], theirs_up.shape[-2:]))
        joint_up = self.joint_deep_start(joint_up, self.deep_stats)
        mine, mine_up = self.start(mine, self.stats), self.deep_start(mine_up, self.deep_stats)
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
        return young(stats(teacher), stats(joint), stats(student), self.config.eps, warm)

    def _response(self, teacher: Tensor, assistant: Tensor, student: Tensor, warm: float) -> Tensor:
        eps = self.config.eps
        if self.config.exact_young:
            return young(teacher.sigmoid(), assistant.sigmoid(), student.sigmoid(), eps, warm)
        to_student = soft_bce(student, assistant).mean()
        return (1 + eps) * soft_bce(assistant, teacher).mean() + warm * (1 + 1 / eps) * to_student


def _decoding_part(teacher: nn.Module, channels: int) -> tuple[BevEncode, SdPrior | None]:
    """Trainable copies of the BEV encoder behind `bev_small` and of the SD prior between; a small one if there is none.

    With an HD prior that is the coarse map's encoder: the prior's own reads tokens, not BEV features.
    """
    known, prior = getattr(teacher, "encode", None), getattr(teacher, "sd_prior", None)
    if not isinstance(known, BevEncode):
        return BevEncode(channels, 32, ("semantic",)), None
    decoder = copy.deepcopy(known).train().requires_grad_(True)
    decoder.branches = nn.ModuleDict({"semantic": decoder.branches["semantic"]})
    if not isinstance(prior, SdPrior):
        return decoder, None
    prior = copy.deepcopy(prior).train().requires_grad_(True)
    prior.shrink = nn.Sequential()  # makes `bev_small`, which the assistant joins itself
    return decoder, prior
