"""MapKD: token-guided patch distillation of BEV features (TGPD) and masked semantic response distillation (MSRD).

Source: MapKD (arXiv 2508.15653), released code 2004yan/MapKD_new; TGPD repaired by us. As released, its attention is
the identity to four decimals whatever the features are (raw dot products of 120 000-vectors in a softmax, and a second
softmax on top), so that only the mean square teaches; `mapkd_code` keeps that for comparison. Released trainers also
leave the coach in training mode and run both frozen networks with gradients; here nothing does.
The paper's words "token-guided patch distillation" may also mean that the token says which patches count: that reading
is the terms `patches_ROLE` (`mapkd_token`).
Legend: B batch, C channels, h w feature map, N patches, p patch side.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mapkd_core.distill.controls import soft_bce
from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.taps import ChannelStats, TapPair, patch_cells, same_size


def msrd(student: Tensor, teacher: Tensor, foreground: Tensor) -> Tensor:
    """Cross entropy against the teacher's sigmoid, all four channels, on the pixels of lines only; 0 if there are none.

    Logits B 4 Y X, `foreground` B 1 Y X (0 or 1, or a weight).
    """
    total = (soft_bce(student, teacher) * foreground).sum()
    return total / (foreground.sum() * student.shape[1]).clamp(min=1e-6)


def token_and_patches(features: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """B C h w -> the mean over the map, repeated to a patch, B 1 Cpp, and the patches B N Cpp, row by row.

    A map that patches do not divide is resized to the nearest whole number of them.
    """
    rows, cols = (max(round(side / patch), 1) * patch for side in features.shape[-2:])
    if features.shape[-2:] != (rows, cols):
        features = functional.interpolate(features, size=(rows, cols), mode="bilinear", align_corners=False)
    patches = functional.unfold(features, patch, stride=patch).transpose(1, 2)          # B N Cpp
    return features.mean((2, 3)).repeat_interleave(patch * patch, 1)[:, None], patches


def relation(features: Tensor, patch: int, temperature: float = 0.1) -> Tensor:
    """Log-attention of the global token and each patch to the others, B N+1 N; rows of its exp sum to 1.

    `features` B C h w are standardised. The token is the mean over the map, repeated to a patch, so that both live in
    one space without a learned projection (which could please the loss by making all attention equal).
    """
    x = functional.normalize(torch.cat(token_and_patches(features, patch), 1), dim=2)
    similarity = x @ x.transpose(1, 2) / temperature                                    # B N+1 N+1
    others = ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
    return similarity[:, others].view(len(x), x.shape[1], -1).log_softmax(2)


def relation_kl(student: Tensor, teacher: Tensor, patch: int) -> Tensor:
    """Mean over rows of KL(teacher's attention || student's), both features standardised B C h w."""
    mine, theirs = relation(student, patch), relation(teacher, patch)
    return functional.kl_div(mine, theirs, reduction="none", log_target=True).sum(2).mean()


def token_weighted(student: Tensor, teacher: Tensor, patch: int, temperature: float = 0.1) -> Tensor:
    """Mean square of each patch's difference, weighted by how like the teacher's patch is to the teacher's token.

    Both features standardised B C h w. The weights are a softmax of cosines over `temperature`, so that they sum to 1.
    """
    (token, theirs), (_, mine) = token_and_patches(teacher, patch), token_and_patches(student, patch)
    weight = (functional.cosine_similarity(token, theirs, dim=2) / temperature).softmax(1)       # B N
    return (weight * ((mine - theirs) ** 2).mean(2)).sum(1).mean()


def relation_kl_as_released(student: Tensor, teacher: Tensor, patch: int = 25) -> Tensor:
    """The released attention term: raw patches, two softmaxes; practically zero for any features."""
    side = min(patch, *student.shape[-2:])

    def attention(features: Tensor) -> Tensor:
        x = functional.unfold(features, side, stride=side).transpose(1, 2)              # B N Cpp
        return (x @ x.transpose(1, 2)).softmax(2)

    mine, theirs = attention(student).log_softmax(2), attention(teacher).softmax(2)
    return functional.kl_div(mine, theirs, reduction="batchmean")


@dataclass(frozen=True)
class MapKdConfig:
    """Weights of the released `train_s`; patches of our repair."""

    attention_teacher_weight: float = 0.5
    feature_teacher_weight: float = 0.5
    response_teacher_weight: float = 0.75
    attention_coach_weight: float = 0.01
    feature_coach_weight: float = 0.01
    response_coach_weight: float = 0.01
    patches_teacher_weight: float = 0.0
    patches_coach_weight: float = 0.0
    sim_lidar_weight: float = 0.0
    """A coach's simulated LiDAR feature against the teacher's real one; the released code has it, unused."""
    patch_m: float = 6.0
    """Side of a patch of `bev_small`, metres: five cells of the paper's 1.2 m."""
    as_released: bool = False
    """The attention term of the released code in place of ours."""


class MapKd(Method):
    """MapKD with both teachers, its patch attention repaired; the coach's terms need a coach."""

    Config = MapKdConfig
    calibration_tap = "bev_small"

    def __init__(self, networks: Networks, config: MapKdConfig) -> None:
        super().__init__(networks, config)
        weights = self.weights()
        self.roles = [r for r in ("teacher", "coach") if any(w for n, w in weights.items() if n.endswith(r))]
        for role in self.roles:
            networks.probe.of(role)  # a missing coach is an error before training starts
        terms = ("attention", "feature", "patches")
        featured = [r for r in self.roles if any(weights[f"{term}_{r}"] for term in terms)]
        self.pairs = torch.nn.ModuleDict({role: TapPair(networks, "bev_small", role) for role in featured})
        self.stats = torch.nn.ModuleDict({role: ChannelStats(self.pairs[role].channels) for role in featured})  # type: ignore
        sizes: dict[str, tuple[int, int]] = {role: self.pairs[role].size for role in featured}  # type: ignore
        self.patch = {role: patch_cells(config.patch_m, size, networks.grid) for role, size in sizes.items()}

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`attention_ROLE`, `feature_ROLE`, `response_ROLE` for teacher and coach; `patches_ROLE`, `sim_lidar`."""
        weights, terms = self.weights(), dict[str, Tensor]()
        for role in self.roles:
            if role in self.pairs:
                mine, theirs = self.pairs[role](step)
                terms |= self._of_patches(role, mine, theirs, weights)
                terms[f"feature_{role}"] = functional.mse_loss(mine, theirs)
            if weights[f"response_{role}"]:
                answers = (step.student.semantic, step.of(role).semantic)
                terms[f"response_{role}"] = msrd(*answers, step.regions.foreground())
        if weights["sim_lidar"]:
            mine, theirs = same_size(step.student.taps["lid_bev"], step.teacher.taps["lid_bev"].detach())
            terms["sim_lidar"] = functional.mse_loss(mine, theirs)
        return terms

    def asks_coach(self) -> bool:
        """Whether any of the coach's terms has a weight."""
        return "coach" in self.roles

    def _of_patches(self, role: str, mine: Tensor, theirs: Tensor, weights: dict[str, float]) -> dict[str, Tensor]:
        """`attention_ROLE`, and `patches_ROLE` where it has a weight."""
        if self.config.as_released:
            return {f"attention_{role}": relation_kl_as_released(mine, theirs)}
        stats, patch = self.stats[role], self.patch[role]
        stats.follow(theirs)  # type: ignore[operator]
        mine, theirs = stats(mine), stats(theirs)
        terms = {f"attention_{role}": relation_kl(mine, theirs, patch)}
        if weights[f"patches_{role}"]:
            terms[f"patches_{role}"] = token_weighted(mine, theirs, patch)
        return terms


@dataclass(frozen=True)
class MapKdCodeConfig(MapKdConfig):
    """`train_s` as released."""

    as_released: bool = True


class MapKdCode(MapKd):
    """MapKD as its `train_s` computes it."""

    Config = MapKdCodeConfig


@dataclass(frozen=True)
class MapKdTokenConfig(MapKdConfig):
    """Token-weighted patches in place of attention and plain feature, with the feature's weights."""

    attention_teacher_weight: float = 0.0
    feature_teacher_weight: float = 0.0
    attention_coach_weight: float = 0.0
    feature_coach_weight: float = 0.0
    patches_teacher_weight: float = 0.5
    patches_coach_weight: float = 0.01


class MapKdToken(MapKd):
    """MapKD in its other reading: the teacher's token says how much each patch counts."""

    Config = MapKdTokenConfig


@dataclass(frozen=True)
class MapKdFinalConfig(MapKdConfig):
    """`train_final`, the script that the released documentation runs: response only."""

    attention_teacher_weight: float = 0.0
    feature_teacher_weight: float = 0.0
    attention_coach_weight: float = 0.0
    feature_coach_weight: float = 0.0
    response_coach_weight: float = 0.001


class MapKdFinal(MapKd):
    """MapKD's masked response alone, as its `train_final` does."""

    Config = MapKdFinalConfig
    calibration_tap = "semantic"


@dataclass(frozen=True)
class MapKdCoachConfig(MapKdConfig):
    """`train_C`: the step from teacher to coach."""

    attention_teacher_weight: float = 0.8
    feature_teacher_weight: float = 0.8
    response_teacher_weight: float = 0.8
    attention_coach_weight: float = 0.0
    feature_coach_weight: float = 0.0
    response_coach_weight: float = 0.0


class MapKdCoach(MapKd):
    """MapKD's first step, in which the coach is the one who learns."""

    Config = MapKdCoachConfig
