"""Images into the input of a network in PyTorch."""
from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.artifact import ModelCard


class ImageLoader:
    """Images into the network's input: uint8 to the device, which is a quarter of the bytes, then normalised there.

    Memory is channels last, as PyTorch's convolutions want it.
    """

    def __init__(self, card: ModelCard, device: str, dtype: torch.dtype = torch.float32) -> None:
        self.size, self.device, self.dtype = card.input_size, device, dtype
        mean, std = (torch.tensor(v, dtype=torch.float64).reshape(1, 3, 1, 1) for v in (card.mean, card.std))
        # (value / 255 - mean) / std as one product and one sum.
        self.scale = (1 / (255 * std)).float().to(device)
        self.shift = (-mean / std).float().to(device)

    def new_buffer(self, cameras: int) -> NDArray[np.uint8]:
        """(N, H, W, 3) uint8; page-locked for a GPU, so that the copy to it runs beside other work."""
        width, height = self.size
        shape = (cameras, height, width, 3)
        if self.device == "cuda":
            return torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
        return np.empty(shape, np.uint8)

    def load(self, images: NDArray[np.uint8]) -> Tensor:
        """(N, H, W, 3) -> (N, 3, H, W)."""
        tensor = torch.from_numpy(images).to(self.device, non_blocking=True).permute(0, 3, 1, 2)    # N 3 H W
        normalised = tensor.to(torch.float32, memory_format=torch.channels_last).mul_(self.scale).add_(self.shift)
        return normalised.to(self.dtype)
