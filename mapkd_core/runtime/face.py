"""What every backend offers, and what they share: the input buffer, normalisation, look-ups once per calibration."""
from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.artifact import ModelCard

if TYPE_CHECKING:
    from torch import Tensor


def pick_device(device: str) -> str:
    """`auto` becomes `cuda` where there is one, else `cpu`. Raises ValueError for a device that is not there."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} is not one of auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but torch sees no CUDA device; use auto or cpu")
    return device


class ImageLoader:
    """Images into the network's input: uint8 to the device, which is a quarter of the bytes, then normalised there.

    `planar` gives memory in the order N 3 H W (ONNX Runtime), else channels last (PyTorch's convolutions).
    """

    def __init__(self, card: ModelCard, device: str, dtype: Any = None, planar: bool = False) -> None:
        import torch

        self.size, self.device, self.planar = card.input_size, device, planar
        self.dtype = dtype or torch.float32
        mean, std = (torch.tensor(v, dtype=torch.float64).reshape(1, 3, 1, 1) for v in (card.mean, card.std))
        # (value / 255 - mean) / std as one product and one sum.
        self.scale = (1 / (255 * std)).float().to(device)
        self.shift = (-mean / std).float().to(device)

    def new_buffer(self, cameras: int) -> NDArray[np.uint8]:
        """(N, H, W, 3) uint8; page-locked for a GPU, so that the copy to it runs beside other work."""
        import torch

        width, height = self.size
        shape = (cameras, height, width, 3)
        if self.device == "cuda":
            return torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
        return np.empty(shape, np.uint8)

    def load(self, images: NDArray[np.uint8]) -> Tensor:
        """(N, H, W, 3) -> (N, 3, H, W); raises ValueError for another size or type."""
        import torch

        width, height = self.size
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, 3):
            raise ValueError(
                f"images are {images.dtype} {images.shape}; expected uint8 (N, {height}, {width}, 3) RGB"
            )
        tensor = torch.from_numpy(images).to(self.device, non_blocking=True).permute(0, 3, 1, 2)    # N 3 H W
        order = torch.contiguous_format if self.planar else torch.channels_last
        normalised = tensor.to(torch.float32, memory_format=order).mul_(self.scale).add_(self.shift)
        return normalised.to(self.dtype)


class Runtime(ABC):
    """What every backend offers; a backend sets the attributes and says how to infer."""

    card: ModelCard
    device: str
    """`cpu` or `cuda`."""
    backend: str
    precision: str
    _loader: ImageLoader

    def new_buffer(self, cameras: int) -> NDArray[np.uint8]:
        """(N, H, W, 3): where N images of the card's input size are to be written; page-locked for a GPU."""
        return self._loader.new_buffer(cameras)

    def load(self, images: NDArray[np.uint8]) -> Tensor:
        """(N, H, W, 3) RGB -> (N, 3, H, W), normalised, where the network reads it; may return before it is there."""
        return self._loader.load(images)

    @abstractmethod
    def infer(
        self, loaded: Tensor, intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """What `load` returned, and calibrations (N, 3, 3), (N, 4, 4) -> (4, Y, X) class probabilities."""

    def probabilities(
        self, images: NDArray[np.uint8], intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """`load` and `infer` in one."""
        return self.infer(self.load(images), intrinsics, base_from_camera)


class LookupCache:
    """The view transform's tables of the newest calibration, computed anew only when the calibration changes.

    `model` keeps its float32 geometry whatever the precision of the network: half a pixel counts.
    """

    def __init__(self, model: Any, device: str) -> None:
        self.model, self.device = model, device
        self.computed = 0
        self._calibration: bytes = b""
        self._lookup: Any = None

    def lookup(self, intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64]) -> Any:
        """Tables (a tuple of tensors, see model/pillar_sampling.py) for calibrations (N, 3, 3) and (N, 4, 4)."""
        import torch

        calibration = intrinsics.tobytes() + base_from_camera.tobytes()
        if self._lookup is None or calibration != self._calibration:
            tensors = [torch.from_numpy(np.asarray(m, np.float32))[None] for m in (intrinsics, base_from_camera)]
            self._lookup = self.model.lookup(*(tensor.to(self.device) for tensor in tensors))
            self._calibration = calibration
            self.computed += 1
        return self._lookup
