"""Smooth hills under a world, the same function for numpy (poses) and torch (rays)."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


@dataclass(frozen=True)
class Terrain:
    """A sum of few long waves; an empty one is flat."""

    waves: tuple[tuple[float, float, float, float], ...] = ()
    """(amplitude m, wave number x and y rad/m, phase) each."""

    @classmethod
    def sample(cls, slope: float, rng: np.random.Generator) -> Terrain:
        """Hills whose steepest slope stays under `slope` (rise over run), 90 to 260 m from crest to crest."""
        if slope <= 0:
            return cls()
        waves = []
        for _ in range(3):
            number = 2 * np.pi / rng.uniform(90, 260)
            heading, phase = rng.uniform(-np.pi, np.pi), rng.uniform(0, 2 * np.pi)
            waves.append((slope / 3 / number, number * np.cos(heading), number * np.sin(heading), phase))
        return cls(tuple(tuple(map(float, wave)) for wave in waves))  # type: ignore[misc]

    def height_m(self, xy_m: ArrayLike) -> NDArray[np.float64]:
        """Heights (...) at points (..., 2)."""
        xy = np.asarray(xy_m, np.float64)
        height = np.zeros(xy.shape[:-1])
        for amplitude, kx, ky, phase in self.waves:
            height += amplitude * np.sin(kx * xy[..., 0] + ky * xy[..., 1] + phase)
        return height

    def slope(self, xy_m: ArrayLike) -> NDArray[np.float64]:
        """Rise over run along x and y (..., 2) at points (..., 2)."""
        xy = np.asarray(xy_m, np.float64)
        result = np.zeros((*xy.shape[:-1], 2))
        for amplitude, kx, ky, phase in self.waves:
            rise = amplitude * np.cos(kx * xy[..., 0] + ky * xy[..., 1] + phase)
            result += rise[..., None] * np.array([kx, ky])
        return result

    def height(self, x: Tensor, y: Tensor) -> Tensor:
        """Heights at points given as two tensors of one shape."""
        total = torch.zeros_like(x)
        for amplitude, kx, ky, phase in self.waves:
            total += amplitude * torch.sin(kx * x + ky * y + phase)
        return total

    def gradient(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rise over run along x and y at points given as two tensors of one shape."""
        along_x, along_y = torch.zeros_like(x), torch.zeros_like(x)
        for amplitude, kx, ky, phase in self.waves:
            rise = amplitude * torch.cos(kx * x + ky * y + phase)
            along_x += kx * rise
            along_y += ky * rise
        return along_x, along_y
