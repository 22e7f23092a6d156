"""LabelDistill: one third of the student's channels learns from encoded labels, one from the teacher, one is free.

Source: LabelDistill (ECCV 2024), released code sanmin0312/LabelDistill; a detection method adapted to map elements
(ours). The label encoder is an inverse of the teacher's frozen decoder: fed with its features, the decoder must
draw the labels, by the whole task loss. It is trained in the same run, not in one before; its lessons start after
`encoder_steps`, and calibration measures once more from there.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.taps import same_size, shrunk, tap
from mapkd_core.losses import task_terms, weigh
from mapkd_core.model.bev_encode import BevEncode
from mapkd_core.model.layers import ResidualBlock
from mapkd_core.types import CLASSES, DIRECTION_BINS, Batch, Prediction


def label_planes(batch: Batch, distance_m: Tensor, far_m: float = 3.0) -> Tensor:
    """B 9 Y X: one-hot classes, cosine and sine of twice the tangent's angle, distances to each class in 0..1."""
    assert batch.semantic is not None, "a training batch carries labels"
    planes = [batch.semantic.float()]
    direction = batch.direction
    if direction is None:
        raise ValueError("labeldistill needs direction labels, the batch has none; use data/dataset Collate")
    angle = (direction[:, :1].float() - 1) * (2 * torch.pi / DIRECTION_BINS)
    on_line = (direction[:, :1] > 0).float()
    planes += [torch.cos(2 * angle) * on_line, torch.sin(2 * angle) * on_line, distance_m.clamp(max=far_m) / far_m]
    return torch.cat(planes, 1)


class LabelEncoder(nn.Module):
    """Label planes -> features on cells that are halved `halvings` times; three times in the papers."""

    def __init__(self, channels: int, halvings: int = 3, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in (4 + 2 + len(CLASSES), width, width)[:halvings]:
            layers += [nn.Conv2d(before, width, 4, 2, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        self.net = nn.Sequential(*layers, ResidualBlock(width, width), nn.Conv2d(width, channels, 1))
        self.norm = nn.LayerNorm(channels)

    def forward(self, planes: Tensor) -> Tensor:
        """B 9 Y X -> B C Y/s X/s, s = 2 ** halvings; normalised over the channels of each cell."""
        code: Tensor = self.norm(self.net(planes).movedim(1, -1))
        return code.movedim(-1, 1)


class FrozenDecoder:
    """The teacher's coarse decoder as a plain function of features as small as `bev_small`."""

    def __init__(self, teacher: nn.Module, grid_shape: tuple[int, int]) -> None:
        """Raises ValueError for a teacher without HDMapNet's BEV encoder."""
        encode, prior = getattr(teacher, "encode", None), getattr(teacher, "sd_prior", None)
        if not isinstance(encode, BevEncode):
            raise ValueError(f"labeldistill needs a teacher with a BevEncode, {type(teacher).__name__} has none")
        self._encode, self._grow, self.finer = encode, prior.grow if prior is not None else None, encode.finer
        self.halvings = encode.halvings
        self._shape = (grid_shape[0] // encode.finer, grid_shape[1] // encode.finer)
        first = prior.norm if prior is not None else encode.stem[0]
        self.channels = int(first.weight.shape[0 if prior is not None else 1])  # type: ignore[union-attr,index]

    def __call__(self, features: Tensor) -> Prediction:
        """B C Y/s X/s -> Prediction on the grid; gradients flow through, nothing here learns."""
        grown = self._grow(features) if self._grow is not None else features
        if grown.shape[-2:] != torch.Size(self._shape):
            grown = functional.interpolate(grown, size=self._shape, mode="bilinear", align_corners=False)
        return self._encode(grown)


def masked_mean_square(student: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Squared difference summed over channels, mean over a mask B 1 h w; 0 for an empty one."""
    return ((student - target) ** 2 * mask).sum() / mask.sum().clamp(min=1e-6)


@dataclass(frozen=True)
class LabelDistillConfig:
    """Published weights. The averaged weights of the paper are `ema: 0.9999` of the training config."""

    label_weight: float = 0.3
    teacher_weight: float = 0.3
    response_weight: float = 1.0
    encoder_weight: float = 1.0
    encoder_steps: int = 1000


class LabelDistill(Method):
    """Label and teacher features at `bev_small` and `up1`, for a third of the student's channels each."""

    Config = LabelDistillConfig
    calibration_tap = "bev_small"

    def __init__(self, networks: Networks, config: LabelDistillConfig) -> None:
        super().__init__(networks, config)
        probe = networks.probe
        self._decoder = FrozenDecoder(networks.teacher, networks.grid.shape)
        self.encoder = LabelEncoder(self._decoder.channels, self._decoder.halvings)
        with torch.no_grad():
            smaller = 2**self._decoder.halvings * self._decoder.finer
            rows, cols = (max(side // smaller, 1) for side in networks.grid.shape)
            decoded = self._decoder(torch.zeros(1, self._decoder.channels, rows, cols))
        self.loss = networks.loss
        targets = {"bev_small": self._decoder.channels, "up1": decoded.taps["up1"].shape[1]}
        self.from_label, self.from_teacher, self.thirds = nn.ModuleDict(), nn.ModuleDict(), {}
        for name, label_channels in targets.items():
            third = tap(probe.student, name).shape[1] // 3
            if third == 0:
                raise ValueError(f"the student's {name} has fewer than 3 channels; labeldistill splits it in thirds")
            self.thirds[name] = third
            self.from_label[name] = _adapter(third, label_channels)
            self.from_teacher[name] = _adapter(third, tap(probe.teacher, name).shape[1])

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`label`, `teacher`, `response`, and the label encoder's own `encoder`."""
        code = self.encoder(label_planes(step.batch, step.regions.distance_m))
        code = functional.avg_pool2d(code, self._decoder.finer)  # a decoder on larger cells reads a smaller map
        decoded = self._decoder(code)
        labels = {"bev_small": code.detach(), "up1": decoded.taps["up1"].detach()}
        started = float(step.step >= self.config.encoder_steps)
        label, teacher = [], []
        for name, third in self.thirds.items():
            theirs = tap(step.teacher, name).detach()
            size = (labels[name].shape[-2:], theirs.shape[-2:])
            mine = tap(step.student, name)
            to_label = self.from_label[name](shrunk(mine[:, :third], size[0]))
            to_teacher = self.from_teacher[name](shrunk(mine[:, third : 2 * third], size[1]))
            label.append(started * self._term(to_label, labels[name], step, soft=False))
            teacher.append(self._term(to_teacher, theirs, step, soft=True))
        return {
            "label": torch.stack(label).sum(),
            "teacher": torch.stack(teacher).sum(),
            "response": self._response(step),
            "encoder": weigh(task_terms(decoded, step.batch, self.loss), self.loss),
        }

    def whole_from(self) -> int:
        """The label's lessons come in after `encoder_steps`."""
        return int(self.config.encoder_steps)

    def _term(self, student: Tensor, target: Tensor, step: DistillStep, soft: bool) -> Tensor:
        mine, theirs = same_size(student, target)
        size = (mine.shape[-2], mine.shape[-1])
        regions = step.regions
        mask = shrunk(regions.heat().amax(1, keepdim=True), size) if soft else regions.foreground(size)
        return masked_mean_square(mine, theirs, mask)

    def _response(self, step: DistillStep) -> Tensor:
        """Cross entropy of the classes against the teacher's probability near the labels' own lines."""
        target = step.teacher.semantic.detach()[:, 1:].sigmoid() * step.regions.heat()
        return functional.binary_cross_entropy_with_logits(step.student.semantic[:, 1:], target)


def _adapter(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="replicate", bias=False),
        nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True), ResidualBlock(channels_out, channels_out),
    )
