"""Small convolution blocks that several boxes share."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


def conv_bn_relu(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU; the padding keeps the size at stride 1."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, (kernel - 1) // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def softmax_of_maps(logits: Tensor) -> Tensor:
    """B C Y X -> B C Y X: classes' shares of 1.

    Written out: ONNX Runtime's Softmax over this axis takes 8 ms where this takes 1 ms.
    """
    weights = (logits - logits.amax(1, keepdim=True)).exp()
    return weights / weights.sum(1, keepdim=True)


class StridedPoint(nn.Conv2d):
    """A 1x1 convolution of every `stride`-th cell, without bias.

    In training the cells are picked before the convolution: oneDNN's backward pass of the strided one crashes on CPUs
    with AVX-512 where channels lie last and are fewer than 16 (torch 2.13).
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W -> B C' H/stride W/stride."""
        if not self.training:
            return super().forward(x)
        rows, cols = self.stride
        return functional.conv2d(x[:, :, ::rows, ::cols], self.weight)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016); its last norm starts at zero, as identity."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv_bn_relu(channels_in, channels_out, 3, stride)
        self.second = nn.Sequential(
            nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False), nn.BatchNorm2d(channels_out)
        )
        nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                StridedPoint(channels_in, channels_out, stride), nn.BatchNorm2d(channels_out)
            )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W -> B C' H/stride W/stride."""
        return self.act(self.second(self.first(x)) + self.shortcut(x))


def residual_stages(
    channels_in: int, widths: Sequence[int], blocks: Sequence[int], halvings: int | None = None
) -> nn.ModuleList:
    """Stages of `blocks` residual blocks at `widths` channels; each but the first one begins by halving the size.

    With `halvings` only so many of them do.
    """
    stages = nn.ModuleList()
    channels, most = channels_in, len(widths) if halvings is None else halvings
    for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        stage = [ResidualBlock(channels, width, 1 if level == 0 or level > most else 2)]
        stage += [ResidualBlock(width, width) for _ in range(count - 1)]
        stages.append(nn.Sequential(*stage))
        channels = width
    return stages
