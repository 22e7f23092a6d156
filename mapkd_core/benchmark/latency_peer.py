"""HDMapNet's and P-MapNet's own networks from checkouts of their public code, with random weights, on our inputs.

Their code is imported, never copied. It wants packages that need not be here: `efficientnet_pytorch` must be installed,
for P-MapNet also `timm` and `torchvision`; torchvision's ResNet-18 for HDMapNet and `torch_scatter`, which the camera
networks never call, get a stand-in where they are absent.
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


Forward = Callable[[Tensor, Tensor, Tensor], Any]
"""From images B N 3 H W, intrinsics B N 3 3 and mountings B N 4 4."""


def peers(checkout: Path, device: str) -> dict[str, tuple[nn.Module, Forward]]:
    """Name -> network in eval mode with its forward, of the peer whose checkout this is.

    Raises FileNotFoundError for another folder, ValueError with the remedy for a package that the peer's code misses.
    """
    if (checkout / "model/pmapnet_sd.py").is_file():
        return _pmapnet(checkout, device)
    return {"HDMapNet (public code)": _hdmapnet(checkout, device)}


def _hdmapnet(checkout: Path, device: str) -> tuple[nn.Module, Forward]:
    with importable(checkout, "model/hdmapnet.py"), _stand_ins():
        _require("HDMapNet", "efficientnet_pytorch")
        from model.hdmapnet import HDMapNet  # type: ignore[import-not-found]
    with cuda_calls(device):
        network = HDMapNet(CONFIG, instance_seg=True, embedded_dim=16, direction_pred=True, direction_dim=36)
    return network.to(device).eval(), _forward(network, device, ())


def _pmapnet(checkout: Path, device: str) -> dict[str, tuple[nn.Module, Forward]]:
    """With cameras and SD map, without and with the HD-map prior."""
    _require("P-MapNet", "efficientnet_pytorch", "timm", "torchvision")
    with importable(checkout, "model/pmapnet_sd.py"), _stand_ins():
        from model.pmapnet_hd import PMapNet_HD  # type: ignore[import-not-found]
        from model.pmapnet_sd import PMapNet_SD  # type: ignore[import-not-found]
    sd_map = torch.ones(1, 1, 200, 400, device=device)
    found = {}
    for name, kind in (("C+SD", PMapNet_SD), ("C+SD+HD", PMapNet_HD)):
        with cuda_calls(device):
            network = kind(CONFIG, instance_seg=True, embedded_dim=16, direction_pred=True, direction_dim=36)
        network = network.to(device).eval()
        found[f"P-MapNet {name} (public code)"] = network, _forward(network, device, (sd_map,))
    return found


def _forward(network: nn.Module, device: str, more: tuple[Tensor, ...]) -> Forward:
    def forward(images: Tensor, intrinsics: Tensor, poses: Tensor) -> Any:
        eye, still = torch.eye(3, device=device).expand_as(intrinsics), torch.zeros_like(poses[..., :3, 3])
        car, angles = torch.zeros(1, 3, device=device), torch.zeros(1, 3, device=device)
        with cuda_calls(device):
            return network(
                images, poses[..., :3, 3], poses[..., :3, :3], intrinsics, still, eye, None, None, car, angles, *more
            )

    return forward


def _require(peer: str, *packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"{peer}'s code needs {', '.join(missing)}; pip install --no-deps {' '.join(missing)}")
    from efficientnet_pytorch import EfficientNet

    EfficientNet.from_pretrained = EfficientNet.from_name  # random weights take as long, and need no download


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
