"""HDMapNet's own network from a checkout of its public code, with random weights, on the inputs of the others.

Its code is imported, never copied. It wants packages that need not be here: `efficientnet_pytorch` must be installed;
torchvision's ResNet-18 and `torch_scatter`, which the camera network never calls, get a stand-in where they are absent.
"""
from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from mapkd_core.benchmark.peer_checkout import cuda_calls, importable

CONFIG = {
    "num_channels": 4, "image_size": (128, 352), "xbound": [-30.0, 30.0, 0.15], "ybound": [-15.0, 15.0, 0.15],
    "zbound": [-10.0, 10.0, 20.0], "dbound": [4.0, 45.0, 1.0],
}  # fmt: skip


def hdmapnet(checkout: Path, device: str) -> tuple[nn.Module, Callable[[Tensor, Tensor, Tensor], Any]]:
    """The network in eval mode, and its forward from images B N 3 H W, intrinsics B N 3 3 and mountings B N 4 4.

    Raises FileNotFoundError if `checkout` is none, ModuleNotFoundError with the remedy for what it misses.
    """
    with importable(checkout, "model/hdmapnet.py"):
        network_class = _network_class()
    with cuda_calls(device):
        network = network_class(CONFIG, instance_seg=True, embedded_dim=16, direction_pred=True, direction_dim=36)
    network = network.to(device).eval()

    def forward(images: Tensor, intrinsics: Tensor, poses: Tensor) -> Any:
        eye, still = torch.eye(3, device=device).expand_as(intrinsics), torch.zeros_like(poses[..., :3, 3])
        car, angles = torch.zeros(1, 3, device=device), torch.zeros(1, 3, device=device)
        with cuda_calls(device):
            return network(
                images, poses[..., :3, 3], poses[..., :3, :3], intrinsics, still, eye, None, None, car, angles
            )

    return network, forward


def _network_class() -> Any:
    if importlib.util.find_spec("efficientnet_pytorch") is None:
        raise ValueError("HDMapNet's code needs efficientnet_pytorch; pip install --no-deps efficientnet_pytorch")
    from efficientnet_pytorch import EfficientNet

    EfficientNet.from_pretrained = EfficientNet.from_name  # random weights take as long, and need no download
    with _stand_ins():
        from model.hdmapnet import HDMapNet  # type: ignore[import-not-found]
    return HDMapNet


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Modules that its imports name and that are not installed."""
    made = []
    if importlib.util.find_spec("torch_scatter") is None:
        made.append(ModuleType("torch_scatter"))
    if importlib.util.find_spec("torchvision") is None:
        resnet = ModuleType("torchvision.models.resnet")
        resnet.resnet18 = lambda **_: _ResNet18()  # type: ignore[attr-defined]
        made += [ModuleType("torchvision"), ModuleType("torchvision.models"), resnet]
    for module in made:
        sys.modules[module.__name__] = module
    try:
        yield
    finally:
        for module in made:
            del sys.modules[module.__name__]


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al. 2016)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        changed = stride != 1 or channels_in != channels
        self.downsample = nn.Sequential(
            nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
        ) if changed else nn.Identity()  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.downsample(x))


class _ResNet18(nn.Module):
    """The parts of torchvision's ResNet-18 that HDMapNet takes."""

    def __init__(self) -> None:
        super().__init__()
        self.bn1, self.relu = nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(_BasicBlock(64, 64, 1), _BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(_BasicBlock(64, 128, 2), _BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(_BasicBlock(128, 256, 2), _BasicBlock(256, 256, 1))
