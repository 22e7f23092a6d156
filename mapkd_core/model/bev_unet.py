"""BEV features -> map logits at grid resolution: a small U-Net and sub-pixel heads (design: ours)."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.layers import conv_bn_relu, residual_stages


class BevUNet(nn.Module):
    """Three scales down and up again with shortcuts, so that thin lines keep their place while context joins them."""

    def __init__(
        self, channels_in: int, width: int = 48, blocks: tuple[int, int, int] = (1, 2, 2), halvings: int = 2
    ) -> None:
        """Raises ValueError unless `halvings` is 1 or 2; with 1 `deep` is no coarser than `middle`."""
        super().__init__()
        if halvings not in (1, 2):
            raise ValueError(f"halvings is {halvings}; expected 1 or 2")
        widths = (width, width * 2, width * 3)
        self.entry = conv_bn_relu(channels_in, width, 1)
        self.down = residual_stages(width, widths, blocks, halvings)
        self.up = nn.ModuleList(
            conv_bn_relu(deep + shallow, shallow)
            for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.channels_out = width

    def forward(self, bev: Tensor) -> dict[str, Tensor]:
        """B C Y X -> `fine` B W Y X, and the coarser `middle` B 2W Y/2 X/2, `deep` B 3W Y/4 X/4."""
        x = self.entry(bev)
        levels = []
        for stage in self.down:
            x = stage(x)
            levels.append(x)
        features = {"deep": x}
        for up, shallow, name in zip(self.up, levels[-2::-1], ("middle", "fine"), strict=True):
            grown = functional.interpolate(x, size=shallow.shape[-2:], mode="bilinear", align_corners=False)
            x = up(torch.cat([grown, shallow], 1))
            features[name] = x
        return features


class SubPixelHead(nn.Module):
    """Logits on a grid `factor` times finer than the features: a convolution and a pixel shuffle (Shi et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int, factor: int) -> None:
        super().__init__()
        self.mix = conv_bn_relu(channels_in, channels_in, 3)
        self.logits = nn.Conv2d(channels_in, channels_out * factor**2, 1)
        self.shuffle = nn.PixelShuffle(factor)

    def forward(self, features: Tensor) -> Tensor:
        """B C Y X -> B out Y*factor X*factor."""
        return self.shuffle(self.logits(self.mix(features)))
