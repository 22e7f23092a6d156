"""A small residual image trunk with a top-down path: our student's eyes (design: ours)."""
from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.layers import conv_bn_relu, residual_stages
from mapkd_core.model.student_config import TRUNK_STRIDE


class ImageTrunk(nn.Module):
    """Images -> one feature map at a quarter of their size that has seen a sixteenth's context.

    Lane paint is a few pixels wide at the network's input, so the map that is sampled must be fine; what the paint
    belongs to needs context, so coarser levels are added from above (as in a feature pyramid, Lin et al. 2017).
    """

    stride = TRUNK_STRIDE

    def __init__(self, width: int = 32, channels_out: int = 48, blocks: tuple[int, int, int] = (1, 2, 2)) -> None:
        super().__init__()
        widths = (width, width * 2, width * 4)
        self.stem = nn.Sequential(conv_bn_relu(3, width // 2, 3, 2), conv_bn_relu(width // 2, width, 3, 2))
        self.stages = residual_stages(width, widths, blocks)
        self.laterals = nn.ModuleList(nn.Conv2d(w, channels_out, 1) for w in widths)
        self.smooth = conv_bn_relu(channels_out, channels_out)

    def forward(self, images: Tensor) -> Tensor:
        """M 3 H W -> M C H/4 W/4."""
        x = self.stem(images)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        merged = self.laterals[-1](levels[-1])                                          # M C H/16 W/16
        for lateral, level in zip(reversed(self.laterals[:-1]), reversed(levels[:-1]), strict=True):
            merged = functional.interpolate(merged, size=level.shape[-2:], mode="nearest") + lateral(level)
        return self.smooth(merged)                                                      # M C H/4 W/4
