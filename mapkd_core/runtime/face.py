"""What every backend offers, and what they share: images of the card's size, look-ups once per calibration."""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mapkd_core.artifact import ModelCard

if TYPE_CHECKING:
    from torch import Tensor

    Loaded = Tensor | NDArray[np.float32]
    """Images (N, 3, H, W), normalised, in the network's input: a tensor for PyTorch, an array for graphs."""

T = TypeVar("T")


def pick_device(device: str) -> str:
    """`auto` becomes `cuda` where PyTorch sees one, else `cpu`. Raises ValueError for a device that is not there."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} is not one of auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but torch sees no CUDA device; use auto or cpu")
    return device


class Runtime(ABC):
    """What every backend offers; a backend sets the attributes and says how to load and infer."""

    card: ModelCard
    device: str
    """`cpu` or `cuda`."""
    backend: str
    precision: str
    vectors: bool = False
    """Whether `infer` gives elements, (V, 3 + 2 P): scores, then x, y of P vertices; else class probabilities."""
    cameras: tuple[str, ...] = ()
    """The cameras that the weights belong to, in their order; empty where any calibrated set serves."""

    def new_buffer(self, cameras: int) -> NDArray[np.uint8]:
        """(N, H, W, 3): where N images of the card's input size are to be written; page-locked for a GPU."""
        width, height = self.card.input_size
        return np.empty((cameras, height, width, 3), np.uint8)

    def load(self, images: NDArray[np.uint8]) -> Loaded:
        """(N, H, W, 3) RGB -> (N, 3, H, W), normalised, where the network reads it; may return before it is there.

        Raises ValueError for images of another size than the card's, or of another type.
        """
        width, height = self.card.input_size
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, 3):
            raise ValueError(
                f"images are {images.dtype} {images.shape}; expected uint8 (N, {height}, {width}, 3) RGB"
            )
        return self._load(images)

    @abstractmethod
    def _load(self, images: NDArray[np.uint8]) -> Loaded:
        """`load` of images that have the right size and type."""

    @abstractmethod
    def infer(
        self,
        loaded: Any,
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        visible: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """What `load` returned, and calibrations (N, 3, 3), (N, 4, 4) -> (4, Y, X) class probabilities, or `vectors`.

        `visible` (N, H, W) is False in pixels that show nothing of the road; None where all may. Any N serves.
        """

    def probabilities(
        self,
        images: NDArray[np.uint8],
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        visible: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """`load` and `infer` in one."""
        return self.infer(self.load(images), intrinsics, base_from_camera, visible)

    def warm_up(self, cameras: int) -> None:
        """Runs once on black images, so that tracing, compiling and recording for this number happen now."""
        images = self.new_buffer(cameras)
        images[:] = 0
        self.probabilities(images, np.tile(np.eye(3), (cameras, 1, 1)), np.tile(np.eye(4), (cameras, 1, 1)))


class LookupCache(Generic[T]):
    """The view transform's tables of the newest calibration, computed anew only when the calibration changes."""

    def __init__(
        self, compute: Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_] | None], T]
    ) -> None:
        self.computed = 0
        self._compute = compute
        self._calibration: bytes = b""
        self._lookup: T | None = None

    def lookup(
        self,
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        visible: NDArray[np.bool_] | None = None,
    ) -> T:
        """Tables for calibrations (N, 3, 3) and (N, 4, 4), with `visible` (N, H, W) as for `Runtime.infer`."""

        calibration = intrinsics.tobytes() + base_from_camera.tobytes()
        calibration += b"" if visible is None else np.packbits(visible).tobytes()
        if self._lookup is None or calibration != self._calibration:
            self._lookup = self._compute(intrinsics, base_from_camera, visible)
            self._calibration = calibration
            self.computed += 1
        return self._lookup
