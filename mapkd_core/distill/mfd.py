"""Masked feature distillation: squared differences with own weights on lines, background and the teacher's mistakes.

Source: DistillBEV (ICCV 2023), used again by DualDistill (BMVC 2025); boxes became lines (ours): an instance counts by
one over the root of its area in pixels, false positives come from the teacher's probabilities.
Legend: B batch, C channels, h w.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from mapkd_core.distill.regions import Regions


def spatial_attention(teacher: Tensor, student: Tensor, temperature: float = 0.5) -> Tensor:
    """B 1 h w, mean 1: where both networks are loud; detached."""
    weight = torch.zeros((), device=teacher.device)
    for features in (teacher, student):
        loud = features.detach().abs().mean(1).flatten(1) / temperature                 # B hw
        weight = weight + 0.5 * loud.softmax(1) * loud.shape[1]
    return weight.view(len(teacher), 1, *teacher.shape[-2:])


def channel_attention(teacher: Tensor, temperature: float = 0.5) -> Tensor:
    """B C 1 1, mean 1: the teacher's loud channels; detached."""
    loud = teacher.detach().abs().mean((2, 3)) / temperature
    return (loud.softmax(1) * loud.shape[1])[..., None, None]


def masked_square(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Sum of weighted squared differences, per sample. `weight` broadcasts to B C h w."""
    return ((student - teacher) ** 2 * weight).sum() / len(student)


def per_pixel(mask: Tensor) -> Tensor:
    """A mask B 1 h w divided by how many pixels it holds in its sample."""
    return mask / mask.sum((1, 2, 3), keepdim=True).clamp(min=1)


class Mfd(nn.Module):
    """The terms of one feature level; `student` and `teacher` in one shape already."""

    def __init__(self, false_positives: bool = False) -> None:
        super().__init__()
        self.false_positives = false_positives
        self.smooth = nn.Conv2d(1, 1, 3, padding=1)
        nn.init.dirac_(self.smooth.weight)
        nn.init.zeros_(self.smooth.bias)  # type: ignore[arg-type]

    def forward(self, student: Tensor, teacher: Tensor, regions: Regions, teacher_logits: Tensor) -> dict[str, Tensor]:
        """`lines`, `background`, `spatial`, and at the level that has it `mistakes`."""
        size = (student.shape[-2], student.shape[-1])
        attention = spatial_attention(teacher, student)
        background = 1 - regions.foreground(size)
        difference = teacher.mean(1, keepdim=True) - self.smooth(student.mean(1, keepdim=True))
        terms = {
            "lines": masked_square(student, teacher, regions.instance_scale(size) * attention),
            "background": masked_square(student, teacher, per_pixel(background) * attention),
            "spatial": difference.abs().sum() / len(student),
        }
        if self.false_positives:
            mistakes = per_pixel(regions.false_positives(teacher_logits, size))
            terms["mistakes"] = masked_square(student, teacher, mistakes * attention * channel_attention(teacher))
        return terms


def total(levels: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Terms summed over levels by name."""
    names = dict.fromkeys(name for level in levels for name in level)
    return {name: torch.stack([level[name] for level in levels if name in level]).sum() for name in names}
