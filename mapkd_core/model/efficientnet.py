"""The papers' image encoder: EfficientNet-B0 tapped at stride 16 and 32, shared by all cameras.

Source: HDMapNet (arXiv 2107.06307), whose trunk also carries EfficientNet's unused 1280-channel top and classifier;
here they are left out, which changes no output.
"""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.model.backbones import BackboneEncoder, load_backbone, set_batch_norm_momentum
from mapkd_core.model.image_trunk import ImageTrunk
from mapkd_core.model.layers import ResidualBlock, conv_bn_relu

UNUSED_PARAMETERS = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
"""Top convolution, its norm and the classifier of the original trunk: counted in the papers' sizes, never used."""

TRUNK_WIDTH = 16
"""Channels of the finest stage of the encoder `trunk`: our student `nano` has the same."""

OWN = ("small", "trunk")
"""Encoders of ours, which have no pretrained weights."""


class EfficientNetEncoder(nn.Module):
    """Images -> features at a sixteenth of their size, 64 channels in the papers."""

    stride = 16

    def __init__(self, channels_out: int = 64, pretrained: bool = False) -> None:
        super().__init__()
        from transformers import EfficientNetConfig, EfficientNetModel

        whole: Any = (
            load_backbone("efficientnet-b0", pretrained)
            if pretrained
            else EfficientNetModel(EfficientNetConfig(image_size=224, width_coefficient=1.0, depth_coefficient=1.0))
        )
        set_batch_norm_momentum(whole)
        self.stem = whole.embeddings
        self.blocks = whole.encoder.blocks
        self.fine_tap, fine, coarse = 10, 112, 320  # the last block of stage 5, and of the trunk
        self.merge = nn.Sequential(
            conv_bn_relu(fine + coarse, channels_out), conv_bn_relu(channels_out, channels_out)
        )

    def forward(self, images: Tensor) -> Tensor:
        """M 3 H W -> M C H/16 W/16."""
        x = self.stem(images)
        fine = x
        for at, block in enumerate(self.blocks):
            x = block(x)
            if at == self.fine_tap:
                fine = x                                                                # M 112 H/16 W/16
        grown = functional.interpolate(x, size=fine.shape[-2:], mode="bilinear", align_corners=True)
        return self.merge(torch.cat([fine, grown], 1))


class SmallEncoder(nn.Module):
    """A stand-in of the same interface for CPU-sized runs: our residual stages down to a sixteenth."""

    stride = 16

    def __init__(self, channels_out: int = 64, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv_bn_relu(3, width, 3, 2),
            conv_bn_relu(width, width, 3, 2),
            ResidualBlock(width, width),
            ResidualBlock(width, 2 * width, 2),
            ResidualBlock(2 * width, 4 * width, 2),
            ResidualBlock(4 * width, 4 * width),
            conv_bn_relu(4 * width, channels_out),
        )

    def forward(self, images: Tensor) -> Tensor:
        """M 3 H W -> M C H/16 W/16."""
        return self.layers(images)


def image_encoder(name: str, channels_out: int, pretrained: bool = False) -> nn.Module:
    """The encoder of a name: `efficientnet-b0` (the papers'), `small` or `trunk`, or a backbone of `transformers`.

    `small` and `trunk` are ours, for a CPU; `trunk` has features four times finer. For backbones (`resnet-18`,
    `hf:PLACE`, ...) see `backbones.py`. Raises ValueError for an unknown name, or pretrained weights of ours.
    """
    if name in OWN:
        if pretrained:
            raise ValueError(f"image encoder {name!r} has no pretrained weights; leave out pretrained")
        return SmallEncoder(channels_out) if name == "small" else ImageTrunk(TRUNK_WIDTH, channels_out)
    if name == "efficientnet-b0":
        return EfficientNetEncoder(channels_out, pretrained)
    return BackboneEncoder(name, channels_out, pretrained)
