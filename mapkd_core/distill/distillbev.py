"""DistillBEV: masked features at three levels, the student's side through small networks of 1x1 convolutions.

Source: DistillBEV (ICCV 2023), released code qcraftai/distill-bev; a detection method adapted to map elements (ours).
"""
from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from mapkd_core.distill.interface import DistillStep, Method, Networks
from mapkd_core.distill.mfd import Mfd, total
from mapkd_core.distill.taps import adapter, same_size, tap
from mapkd_core.model.layers import conv_bn_relu


@dataclass(frozen=True)
class DistillBevConfig:
    """Published weights."""

    lines_weight: float = 6e-3
    background_weight: float = 4e-2
    mistakes_weight: float = 6e-2
    spatial_weight: float = 2.5e-3


class DistillBev(Method):
    """Masked feature distillation at `enc1`, `enc3` and `up1`; mistakes of the teacher at `up1` only."""

    Config = DistillBevConfig
    calibration_tap = "enc3"
    levels = ("enc1", "enc3", "up1")

    def __init__(self, networks: Networks, config: DistillBevConfig) -> None:
        super().__init__(networks, config)
        self.adapt, self.mfd = nn.ModuleDict(), nn.ModuleDict()
        for name in self.levels:
            mine, theirs = (tap(p, name).shape[1] for p in (networks.probe.student, networks.probe.teacher))
            deep = [conv_bn_relu(mine, theirs, 1), conv_bn_relu(theirs, theirs, 1), conv_bn_relu(theirs, theirs, 1)]
            self.adapt[name] = adapter(mine, theirs) if name == "up1" else nn.Sequential(*deep)
            self.mfd[name] = Mfd(false_positives=name == "up1")

    def terms(self, step: DistillStep) -> dict[str, Tensor]:
        """`lines`, `background`, `mistakes`, `spatial`, each summed over levels."""
        results = []
        for name in self.levels:
            mine, theirs = same_size(tap(step.student, name), tap(step.teacher, name))
            results.append(
                self.mfd[name](self.adapt[name](mine), theirs.detach(), step.regions, step.teacher.semantic)
            )
        return total(results)
