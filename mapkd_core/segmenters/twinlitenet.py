"""TwinLiteNet (Che et al. 2023): drivable area and lane paint of one image, in the layout of its published weights."""
from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.schema import FileFault

_EPSILON = 1e-3
"""Of its norms."""
_DILATIONS = (1, 2, 4, 8, 16)


class TwinLiteNet(nn.Module):
    """An ESPNet encoder with two attentions and two small decoders (arXiv 2307.10705); written anew from the paper.

    Wants RGB / 255 of any size that 8 divides; the published weights know 640x360.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _Encoder()
        for task in (1, 2):
            setattr(self, f"up_1_{task}", _Grow(32, 16))
            setattr(self, f"up_2_{task}", _Grow(16, 8))
            setattr(self, f"classifier_{task}", _Grow(8, 2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """B 3 H W -> probabilities of drivable area and of lane paint, B H W each."""
        x = self.encoder(images)                                                        # B 32 H/8 W/8
        maps = []
        for task in (1, 2):
            grown = x
            for part in ("up_1", "up_2", "classifier"):
                grown = getattr(self, f"{part}_{task}")(grown)
            maps.append(grown.softmax(1)[:, 1])
        return maps[0], maps[1]


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.level1, self.b1 = _ConvNormAct(3, 16, 3, 2), _ConvNormAct(19, 19)
        self.level2_0, self.level2 = _Spread(19, 64, True), nn.ModuleList(_Spread(64, 64, False) for _ in range(2))
        self.b2 = _ConvNormAct(131, 131)
        self.level3_0, self.level3 = _Spread(131, 128, True), nn.ModuleList(_Spread(128, 128, False) for _ in range(3))
        self.b3 = _ConvNormAct(256, 32)
        self.sa, self.sc = _PlaceAttention(32), _ChannelAttention()
        self.conv_sa, self.conv_sc = _ConvNormAct(32, 32), _ConvNormAct(32, 32)
        self.classifier = _ConvNormAct(32, 32, 1)

    def forward(self, images: Tensor) -> Tensor:
        half = functional.avg_pool2d(images, 3, 2, 1)
        quarter = functional.avg_pool2d(half, 3, 2, 1)
        fine = self.level2_0(self.b1(torch.cat([self.level1(images), half], 1)))
        x = fine
        for block in self.level2:
            x = block(x)
        coarse = self.level3_0(self.b2(torch.cat([x, fine, quarter], 1)))
        x = coarse
        for block in self.level3:
            x = block(x)
        x = self.b3(torch.cat([coarse, x], 1))
        return self.classifier(self.conv_sa(self.sa(x)) + self.conv_sc(self.sc(x)))


class _ConvNormAct(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, _EPSILON)
        self.act = nn.PReLU(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class _NormAct(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn, self.act = nn.BatchNorm2d(channels, _EPSILON), nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(x))


class _Conv(nn.Module):
    """A convolution one name deeper, as the weights have it."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        margin = kernel // 2 * dilation
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, margin, dilation, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class _Spread(nn.Module):
    """An ESP block (Mehta et al. 2018): a reduction seen at five dilations, which are summed up in turn and joined."""

    def __init__(self, channels_in: int, channels_out: int, halve: bool) -> None:
        super().__init__()
        part = channels_out // 5
        self.halve = halve
        self.c1 = _Conv(channels_in, part, 3, 2) if halve else _Conv(channels_in, part, 1)
        for dilation in _DILATIONS:
            out = part if dilation > 1 else channels_out - 4 * part
            setattr(self, f"d{dilation}", _Conv(part, out, 3, dilation=dilation))
        self.bn: nn.Module = nn.BatchNorm2d(channels_out, _EPSILON) if halve else _NormAct(channels_out)
        self.act = nn.PReLU(channels_out) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.c1(x)
        first, *wider = (getattr(self, f"d{dilation}")(reduced) for dilation in _DILATIONS)
        joined = torch.cat([first, *torch.stack(wider).cumsum(0)], 1)
        return self.act(self.bn(joined if self.halve else x + joined))


class _Grow(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(channels_in, channels_out, 2, 2, bias=False)
        self.bn, self.act = nn.BatchNorm2d(channels_out, _EPSILON), nn.PReLU(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.deconv(x)))


class _PlaceAttention(nn.Module):
    """Every place looks at every other one (position attention, Fu et al. 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query_conv, self.key_conv = nn.Conv2d(channels, channels // 8, 1), nn.Conv2d(channels, channels // 8, 1)
        self.value_conv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (conv(x).flatten(2) for conv in (self.query_conv, self.key_conv, self.value_conv))
        weights = (query.transpose(1, 2) @ key).softmax(-1)                             # B P P
        return self.gamma * (value @ weights.transpose(1, 2)).view_as(x) + x


class _ChannelAttention(nn.Module):
    """Every channel looks at those that are least like it (channel attention, Fu et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        likeness = flat @ flat.transpose(1, 2)                                          # B C C
        weights = (likeness.amax(-1, keepdim=True) - likeness).softmax(-1)
        return self.gamma * (weights @ flat).view_as(x) + x


def load_twinlitenet(path: Path) -> TwinLiteNet:
    """The network with its published weights (best.pth of the authors' repository), in eval mode.

    Raises FileFault for a file that is not that.
    """
    network = TwinLiteNet()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    except FileNotFoundError:
        raise
    except Exception as error:  # torch raises many kinds for what is no plain data
        reason = " ".join(str(error).split())[:200]
        raise FileFault(f"{path} does not hold TwinLiteNet's published weights ({reason})") from error
    return network.eval()
