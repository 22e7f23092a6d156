"""ResNet-18 and -50 (He et al. 2016) as image trunks that give one feature map, at a thirty-second of the image."""
from __future__ import annotations

from torch import Tensor, nn

from mapkd_core.model.layers import StridedPoint, conv_bn_relu, residual_stages
from mapkd_core.model.vector_config import RESNET_STRIDE, RESNETS
from mapkd_core.suggestion import did_you_mean

_WIDTHS = (64, 128, 256, 512)
_WIDER = 4
"""A bottleneck's output has so many times the channels of its middle."""


class ResNet(nn.Module):
    """Images -> the last stage's features."""

    stride = RESNET_STRIDE

    def __init__(self, name: str) -> None:
        """Raises ValueError for a name that is not one of RESNETS."""
        super().__init__()
        if name not in RESNETS:
            raise ValueError(f"no backbone {name!r}{did_you_mean(name, RESNETS)}; there are {', '.join(RESNETS)}")
        self.stem = nn.Sequential(
            nn.Conv2d(3, _WIDTHS[0], 7, 2, 3, bias=False), nn.BatchNorm2d(_WIDTHS[0]), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        bottleneck = name != "resnet-18"
        blocks = RESNETS[name]
        self.stages = _bottlenecks(blocks) if bottleneck else residual_stages(_WIDTHS[0], _WIDTHS, blocks)
        self.channels = _WIDTHS[-1] * (_WIDER if bottleneck else 1)

    def forward(self, images: Tensor) -> Tensor:
        """M 3 H W -> M C H/32 W/32."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        return x


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, and 1x1 convolutions beside a shortcut; its last norm starts at zero, as identity."""

    def __init__(self, channels_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        channels_out = _WIDER * width
        self.first = conv_bn_relu(channels_in, width, 1)
        self.second = conv_bn_relu(width, width, 3, stride)
        self.third = nn.Sequential(nn.Conv2d(width, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out))
        nn.init.zeros_(self.third[1].weight)  # type: ignore[arg-type]
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                StridedPoint(channels_in, channels_out, stride), nn.BatchNorm2d(channels_out)
            )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W -> B C' H/stride W/stride."""
        return self.act(self.third(self.second(self.first(x))) + self.shortcut(x))


def _bottlenecks(blocks: tuple[int, ...]) -> nn.ModuleList:
    stages, channels = nn.ModuleList(), _WIDTHS[0]
    for level, (width, count) in enumerate(zip(_WIDTHS, blocks, strict=True)):
        stage = [Bottleneck(channels, width, 1 if level == 0 else 2)]
        channels = _WIDER * width
        stage += [Bottleneck(channels, width) for _ in range(count - 1)]
        stages.append(nn.Sequential(*stage))
    return stages
