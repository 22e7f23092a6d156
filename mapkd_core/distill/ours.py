"""Our own methods: teach what a camera can know, and forbid lines that the teacher excludes. Source: ours.

`predictable` weighs the teacher's signal at every pixel by how well a camera-only coach foresees it: LiDAR's evidence
beyond sight only makes a camera-only student guess. `line_space` adds to the masked response, which is blind on
background, a term on pixels where the student sees a line and the teacher is sure that there is none. `balanced` goes
further: it compares whole class distributions, what a map is read from, everywhere, and lets the few cells of lines
count as much as all the rest.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mapkd_core.distill.controls import soft_bce
from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.mapkd import msrd, relation_kl
from mapkd_core.distill.taps import ChannelStats, TapPair, patch_cells, shrunk
from mapkd_core.distill.taught_map import TaughtMap


def predictability(coach: Tensor, teacher: Tensor, sharpness: float = 2.0) -> Tensor:
    """B 1 Y X in 0..1, exp(-KL(coach || teacher)) over the classes of each pixel; 1 where the coach agrees.

    Logits B 4 Y X; the coach's are sharpened, since doubt shared with the teacher is no disagreement.
    """
    mine = (coach.float() * sharpness).log_softmax(1)
    theirs = (teacher.float() * sharpness).log_softmax(1)
    return torch.exp(-functional.kl_div(theirs, mine, reduction="none", log_target=True).sum(1, keepdim=True)).detach()


def hallucination(
    student: Tensor, teacher: Tensor, foreground: Tensor, claimed: float = 0.3, excluded: float = 0.1
) -> Tensor:
    """Cross entropy on background pixels and classes that the student claims and the teacher excludes; 0 without any.

    Logits B 4 Y X, `foreground` B 1 Y X.
    """
    wrong = (student[:, 1:].sigmoid() > claimed) & (teacher[:, 1:].sigmoid() < excluded) & (foreground == 0)
    mask = wrong.to(student.dtype)
    return (soft_bce(student[:, 1:], teacher[:, 1:]) * mask).sum() / mask.sum().clamp(min=1)


@dataclass(frozen=True)
class PredictableConfig:
    """MapKD's teacher weights; the coach no longer teaches, it weighs."""

    attention_weight: float = 0.5
    feature_weight: float = 0.5
    response_weight: float = 0.75
    hallucination_weight: float = 0.0
    patch_m: float = 6.0
    """Side of a patch of `bev_small`, metres."""
    sharpness: float = 2.0


class Predictable(Method):
    """MapKD's terms from the teacher alone, each pixel weighed by what the coach can foresee; needs a coach."""

    Config = PredictableConfig
    calibration_tap = "bev_small"

    def __init__(self, networks: Networks, config: PredictableConfig) -> None:
        super().__init__(networks, config)
        networks.probe.of("coach")
        self.pair = TapPair(networks, "bev_small")
        self.stats = ChannelStats(self.pair.channels)
        self.patch = patch_cells(config.patch_m, self.pair.size, networks.grid)

    def asks_coach(self) -> bool:
        """Always: it weighs every pixel."""
        return True

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`attention`, `feature`, `response`, and `hallucination` where it has a weight."""
        answers = (step.student.semantic, step.teacher.semantic)
        weight = predictability(step.of("coach").semantic, step.teacher.semantic, self.config.sharpness)
        foreground = step.regions.foreground()
        mine, theirs = self.pair(step)
        self.stats.follow(theirs)
        terms = {
            "attention": relation_kl(self.stats(mine), self.stats(theirs), self.patch),
            "feature": ((mine - theirs) ** 2 * shrunk(weight, mine.shape[-2:])).mean(),
            "response": msrd(*answers, foreground * weight),
        }
        if self.config.hallucination_weight:
            terms["hallucination"] = hallucination(*answers, foreground)
        return terms


@dataclass(frozen=True)
class LineSpaceConfig:
    """Masked response with MapKD's weight, the term on hallucinations with a quarter of it."""

    response_weight: float = 0.75
    hallucination_weight: float = 0.1875


class LineSpace(Method):
    """Masked response and a term on the student's hallucinations; needs neither coach nor features."""

    Config = LineSpaceConfig

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`response`, `hallucination`."""
        answers = (step.student.semantic, step.teacher.semantic)
        foreground = step.regions.foreground()
        return {"response": msrd(*answers, foreground), "hallucination": hallucination(*answers, foreground)}


@dataclass(frozen=True)
class OursConfig(PredictableConfig):
    """Both ideas together."""

    hallucination_weight: float = 0.1875


class Ours(Predictable):
    """Predictability weights and the term on hallucinations together."""

    Config = OursConfig


def balanced_kl(student: Tensor, target: Tensor, lines: Tensor) -> tuple[Tensor, Tensor]:
    """KL(target || softmax of student), averaged over the cells of lines and over all other cells; 0 for no cells.

    Logits B 4 Y X, probabilities B 4 Y X that sum to 1, `lines` B 1 Y X (0 or 1).
    """
    divergence = (target * (target.clamp(min=1e-6).log() - student.float().log_softmax(1))).sum(1, keepdim=True)
    rest = 1 - lines
    on_lines = (divergence * lines).sum() / lines.sum().clamp(min=1)
    return on_lines, (divergence * rest).sum() / rest.sum().clamp(min=1)


@dataclass(frozen=True)
class BalancedConfig:
    """Both parts alike; the teacher alone."""

    lines_weight: float = 1.0
    background_weight: float = 1.0
    coach_share: float = 0.0
    """Share of the coach in the distribution that is imitated, 0..1."""
    claimed: float = 0.3
    """A cell whose background probability is this much below 1 for the target belongs to the lines."""
    feature_weight: float = 0.0
    """Mean square of standardised `bev_small` features."""


class Balanced(TaughtMap):
    """The teacher's class distribution everywhere, lines (labelled, or claimed by the teacher) and background apart.

    The student's own claims must not count as lines: their greater weight, which it escapes by claiming a little less
    than `claimed`, held all its probabilities there, and nothing was ever drawn (measured).
    """

    Config = BalancedConfig
    any_cells = True

    def __init__(self, networks: Networks, config: BalancedConfig) -> None:
        super().__init__(networks, config)
        if config.feature_weight:
            self.pair = TapPair(networks, "bev_small")
            self.stats = ChannelStats(self.pair.channels)

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`lines`, `background`, and `feature` where it has a weight."""
        config, student = self.config, step.student.semantic
        target = self.taught(step)
        lines = torch.maximum(step.regions.foreground(), (target[:, :1] < 1 - config.claimed).float())
        terms = dict(zip(("lines", "background"), balanced_kl(student, target, lines), strict=True))
        if config.feature_weight:
            mine, theirs = self.pair(step)
            self.stats.follow(theirs)
            terms["feature"] = functional.mse_loss(self.stats(mine), self.stats(theirs))
        return terms
