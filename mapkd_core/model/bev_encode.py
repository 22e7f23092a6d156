"""HDMapNet's BEV encoder and heads: half a ResNet-18 and an up-sampling branch for each output.

Source: HDMapNet (arXiv 2107.06307); the direction head uses its own first half, as in P-MapNet (HDMapNet's released
code runs the embedding's twice and leaves 1.33 M weights without a gradient; `shared_direction` is what its published
weights need).
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.layers import ResidualBlock, conv_bn_relu
from mapkd_core.types import CLASSES, DIRECTION_BINS, Prediction

OUTPUTS = {"semantic": 1 + len(CLASSES), "embedding": 16, "direction": 1 + DIRECTION_BINS}


class UpBranch(nn.Module):
    """Deep features x4, joined with shallow ones, then x2 and logits, these `finer` times finer than the features."""

    def __init__(
        self, shallow: int, deep: int, channels_out: int, finer: int = 1, own_first_half: bool = True
    ) -> None:
        super().__init__()
        if own_first_half:
            self.up1 = nn.Sequential(conv_bn_relu(shallow + deep, deep), conv_bn_relu(deep, deep))
        self.up2 = nn.Sequential(conv_bn_relu(deep, deep // 2), nn.Conv2d(deep // 2, channels_out * finer**2, 1))
        if finer > 1:
            self.up2.append(nn.PixelShuffle(finer))

    def first_half(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """B C Y/2 X/2 and B C' Y/8 X/8 -> B C' Y/2 X/2."""
        grown = functional.interpolate(deep, size=shallow.shape[-2:], mode="bilinear", align_corners=True)
        return self.up1(torch.cat([shallow, grown], 1))

    def forward(self, up1: Tensor) -> Tensor:
        """What a first half gave, B C' Y/2 X/2 -> logits B out Y*finer X*finer."""
        size = (2 * up1.shape[-2], 2 * up1.shape[-1])
        return self.up2(functional.interpolate(up1, size=size, mode="bilinear", align_corners=True))


class BevEncode(nn.Module):
    """BEV features -> semantic, embedding and direction logits on the grid, or on one `finer` times finer (ours)."""

    def __init__(
        self, channels_in: int, width: int = 64, outputs: tuple[str, ...] = tuple(OUTPUTS), finer: int = 1,
        shared_direction: bool = False, halvings: int = 3,
    ) -> None:
        """`shared_direction`: the direction head reads the embedding's first half. Raises ValueError without that.

        `halvings`, 1 to 3: how often the deepest features, in `enc3`, are half as large again; 3 as published.
        """
        super().__init__()
        self.finer, self.halvings = finer, halvings
        second, third = (2 if halvings >= k else 1 for k in (2, 3))
        self.stem = nn.Sequential(
            nn.Conv2d(channels_in, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.layer1 = nn.Sequential(ResidualBlock(width, width), ResidualBlock(width, width))
        self.layer2 = nn.Sequential(ResidualBlock(width, 2 * width, second), ResidualBlock(2 * width, 2 * width))
        self.layer3 = nn.Sequential(ResidualBlock(2 * width, 4 * width, third), ResidualBlock(4 * width, 4 * width))
        self.shared_direction = shared_direction and "direction" in outputs
        if self.shared_direction and "embedding" not in outputs:
            raise ValueError(f"outputs {outputs}: the direction head reads the embedding's layers; add embedding")
        self.branches = nn.ModuleDict({
            name: UpBranch(width, 4 * width, OUTPUTS[name], finer, self._half_of(name) == name) for name in outputs
        })

    def forward(self, bev: Tensor) -> Prediction:
        """B C Y X -> Prediction on Y*finer X*finer, with taps `enc1`, `enc3`, `up1`."""
        shallow = self.layer1(self.stem(bev))                                           # B W Y/2 X/2
        deep = self.layer3(self.layer2(shallow))                                        # B 4W Y/8 X/8
        halves = {name: self._half_of(name) for name in self.branches}
        first = {name: self._branch(name).first_half(shallow, deep) for name in dict.fromkeys(halves.values())}
        results = {name: self._branch(name)(first[half]) for name, half in halves.items()}
        taps = {"enc1": shallow, "enc3": deep, "up1": first["semantic"]}
        return Prediction(results["semantic"], results.get("embedding"), results.get("direction"), taps)

    def _half_of(self, name: str) -> str:
        """The branch whose first half this branch goes on from."""
        return "embedding" if name == "direction" and self.shared_direction else name

    def _branch(self, name: str) -> UpBranch:
        return self.branches[name]  # type: ignore[return-value]
