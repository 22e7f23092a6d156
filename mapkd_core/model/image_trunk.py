"""A small residual image trunk with a top-down path: our student's eyes (design: ours)."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.layers import conv_bn_relu, residual_stages
from mapkd_core.model.student_config import TRUNK_STRIDE


class TopDown(nn.Module):
    """A trunk's levels, each half the size of the one before, added from above into one map of the finest's size.

    Lane paint is a few pixels wide at the network's input, so the map that is sampled must be fine; what the paint
    belongs to needs context, so coarser levels are added from above (as in a feature pyramid, Lin et al. 2017).
    """

    def make_way(self, widths: Sequence[int], channels_out: int) -> None:
        """Makes the layers for levels of these widths; last, as runs that go on know parameters by their order."""
        self.laterals = nn.ModuleList(nn.Conv2d(w, channels_out, 1) for w in widths)
        self.smooth = conv_bn_relu(channels_out, channels_out)

    def merged(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels, the finest first -> M C H W of the finest's size."""
        merged = self.laterals[-1](levels[-1])
        for lateral, level in zip(reversed(self.laterals[:-1]), reversed(levels[:-1]), strict=True):
            merged = functional.interpolate(merged, size=level.shape[-2:], mode="nearest") + lateral(level)
        return self.smooth(merged)


class ImageTrunk(TopDown):
    """Images -> one feature map at a quarter of their size that has seen a sixteenth's context."""

    stride = TRUNK_STRIDE

    def __init__(self, width: int = 32, channels_out: int = 48, blocks: tuple[int, int, int] = (1, 2, 2)) -> None:
        widths = (width, width * 2, width * 4)
        super().__init__()
        self.stem = nn.Sequential(conv_bn_relu(3, width // 2, 3, 2), conv_bn_relu(width // 2, width, 3, 2))
        self.stages = residual_stages(width, widths, blocks)
        self.make_way(widths, channels_out)

    def forward(self, images: Tensor) -> Tensor:
        """M 3 H W -> M C H/4 W/4."""
        x = self.stem(images)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return self.merged(levels)                                                      # M C H/4 W/4
