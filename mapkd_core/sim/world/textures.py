"""Seeded noise, and a mip-mapped texture of four byte channels that is sampled with anisotropic taps."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_TAPS = 8
_LANES = 0x00FF00FF


def tileable_noise(size: int, rng: np.random.Generator, exponent: float = 1.0, low_cycles: float = 1.0) -> NDArray:
    """(size, size) float32 noise of mean 0 and deviation 1 whose edges meet; `size` is even.

    Its amplitude falls with spatial frequency to the power `exponent`; waves longer than 1 / `low_cycles` of the
    tile are left out, so that repetition does not show.
    """
    from mapkd_core.sim.world.compiled.layers import weigh
    from mapkd_core.sim.world.compiled.normals import fill_normals

    noise: NDArray[np.float64] = np.empty((size, size))
    fill_normals(rng, noise)
    waves = torch.fft.rfft2(torch.from_numpy(noise))
    deviation = weigh(waves.numpy(), _gain(size, exponent, low_cycles)) ** 0.5 / size**2
    noise = torch.fft.irfft2(waves, s=(size, size)).numpy()
    return np.divide(noise, max(deviation, 1e-9), out=np.empty((size, size), np.float32), casting="same_kind")


@lru_cache(maxsize=8)
def _gain(size: int, exponent: float, low_cycles: float) -> NDArray[np.float64]:
    """(size / 2 + 1, size / 2 + 1) factor of each wave; one for all drives."""
    axis = np.fft.rfftfreq(size)
    frequency = np.hypot(axis[:, None], axis[None]) * size
    return np.where(frequency >= low_cycles, np.maximum(frequency, 1.0) ** -exponent, 0.0)


class PackedTexture:
    """Four byte layers over a square of ground with all coarser versions, four bytes to an int32.

    Four channels are filtered for the price of two: the bytes sit in 16-bit lanes, and the eight bits of a bilinear
    weight fit above them. Ours.
    """

    def __init__(
        self, size: int, origin_m: tuple[float, float], cell_m: float, fill: Callable[[NDArray[np.uint32]], object]
    ) -> None:
        """A square of `size` cells, whole 64s, row along y, column along x, cell (0, 0) at `origin_m`.

        `fill` puts the finest level into an array (size, size), the first layer in the lowest byte.
        """
        if size % 64:
            raise ValueError(f"expected a side of whole 64s, got {size}")
        sides = [size]
        while sides[-1] % 2 == 0 and sides[-1] > 16:
            sides.append(sides[-1] // 2)
        offsets = [0, *accumulate(side * side for side in sides)]
        texels = np.empty(offsets.pop(), "<i4")
        fill(texels[: size * size].view("<u4").reshape(size, size))
        levels = [
            texels[at : at + side * side].view(np.uint8).reshape(side, side, 4)
            for at, side in zip(offsets, sides, strict=True)
        ]
        for finer, coarser in pairwise(levels):
            cv2.resize(finer, coarser.shape[:2], coarser, interpolation=cv2.INTER_AREA)
        self.size, self.origin_m, self.cell_m = size, origin_m, cell_m
        self.levels = len(levels)
        self._texels = torch.from_numpy(texels)
        self._offsets = torch.tensor(offsets, dtype=torch.int32)
        self._scales = torch.tensor([1.0 / (cell_m * 2**level) for level in range(self.levels)])

    @classmethod
    def of(
        cls, layers: Sequence[NDArray[np.uint8]], origin_m: tuple[float, float], cell_m: float
    ) -> PackedTexture:
        """Takes four (n, n) layers, n a multiple of 64."""
        size = layers[0].shape[0]
        if len(layers) != 4 or any(layer.shape != (size, size) for layer in layers):
            raise ValueError(f"expected four square layers of one size, got {[x.shape for x in layers]}")
        whole = [np.ascontiguousarray(layer) for layer in layers]
        return cls(size, origin_m, cell_m, lambda out: cv2.merge(whole, out.view(np.uint8).reshape(size, size, 4)))

    def to(self, device: torch.device | str) -> PackedTexture:
        """The same texture on another device."""
        moved = object.__new__(PackedTexture)
        moved.__dict__.update(self.__dict__)
        for name in ("_texels", "_offsets", "_scales"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved

    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """All levels one after another, and where each begins; shared with the texture, which must be on the CPU."""
        return self._texels.numpy(), self._offsets.numpy()

    def _lanes(self, x: Tensor, y: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Bilinear sums of channels (0, 2) and (1, 3) at one level per point, in 16-bit lanes (0..255 * 256)."""
        scale = self._scales[level]
        side = torch.bitwise_right_shift(torch.full_like(level, self.size), level)
        # Fixed point with 4 fractional bits: the two weights' product then has 8.
        u = ((x - self.origin_m[0]) * scale * 16 - 8).floor().to(torch.int32)
        v = ((y - self.origin_m[1]) * scale * 16 - 8).floor().to(torch.int32)
        limit = (side - 1) * 16
        u, v = torch.minimum(u.clamp_min(0), limit), torch.minimum(v.clamp_min(0), limit)
        fu, fv = u & 15, v & 15
        i, j = u >> 4, v >> 4
        step_i = (i < side - 1).to(torch.int32)
        step_j = torch.where(j < side - 1, side, 0)
        corner = self._offsets[level] + j * side + i
        low = high = None
        for index, weight in (
            (corner, (16 - fu) * (16 - fv)),
            (corner + step_i, fu * (16 - fv)),
            (corner + step_j, (16 - fu) * fv),
            (corner + step_j + step_i, fu * fv),
        ):
            texel = self._texels[index]
            a, b = (texel & _LANES) * weight, ((texel >> 8) & _LANES) * weight
            low, high = (a, b) if low is None or high is None else (low.add_(a), high.add_(b))
        assert low is not None and high is not None
        return low, high

    def sample(self, x: Tensor, y: Tensor, axis_x: Tensor, axis_y: Tensor, minor: Tensor) -> list[Tensor]:
        """Four channels (n,) in 0..1 averaged over an elongated spot of ground.

        Args: spot centres (n,), its long axis as a vector (full length), and its width across; all in metres.
        Up to MAX_TAPS taps lie along the axis; half of them may come from the next coarser level, which blends the
        levels without a second look-up.
        """
        major = torch.hypot(axis_x, axis_y)
        minor = torch.maximum(minor, major / MAX_TAPS)
        lod = torch.log2((minor / self.cell_m).clamp_min(1e-6)).clamp(0, self.levels - 1.001)
        ratio = major / torch.maximum(minor, torch.full_like(minor, self.cell_m * 0.5))
        result = [torch.empty_like(x) for _ in range(4)]
        for taps, least, most in ((1, -1.0, 1.5), (2, 1.5, 2.5), (4, 2.5, 4.5), (8, 4.5, 1e9)):
            chosen = ((ratio > least) & (ratio <= most)).nonzero().squeeze(1)
            if not len(chosen):
                continue
            place = (torch.arange(taps, device=x.device) + 0.5) / taps
            # Bit-reversed order spreads the two levels evenly along the axis.
            blend = torch.tensor([0, 4, 2, 6, 1, 5, 3, 7], device=x.device)[: taps].float().add(0.5).div(8)
            tap_x = x[chosen][:, None] + axis_x[chosen][:, None] * (place - 0.5)  # n T
            tap_y = y[chosen][:, None] + axis_y[chosen][:, None] * (place - 0.5)
            level = (lod[chosen][:, None] + blend).floor().to(torch.int32)
            low, high = self._lanes(tap_x.reshape(-1), tap_y.reshape(-1), level.reshape(-1))
            for lanes, channels in ((low, (0, 2)), (high, (1, 3))):
                for shift, channel in zip((0, 16), channels, strict=True):
                    value = ((lanes >> shift) & 0xFFFF).reshape(-1, taps)
                    result[channel][chosen] = value.sum(1).float() / (taps * 256 * 255)
        return result


def sample_bilinear(grid: Tensor, x: Tensor, y: Tensor, origin_m: tuple[float, float], cell_m: float) -> Tensor:
    """Values (n,) of a float grid (rows along y, columns along x) at points in metres, clamped at its rim."""
    rows, cols = grid.shape
    u = ((x - origin_m[0]) / cell_m - 0.5).clamp(0, cols - 1.001)
    v = ((y - origin_m[1]) / cell_m - 0.5).clamp(0, rows - 1.001)
    i, j = u.to(torch.int32), v.to(torch.int32)
    fu, fv = u - i, v - j
    flat = grid.reshape(-1)
    corner = j * cols + i
    near = torch.lerp(flat[corner], flat[corner + 1], fu)
    far = torch.lerp(flat[corner + cols], flat[corner + cols + 1], fu)
    return torch.lerp(near, far, fv)


def box_filtered_stripes(at: Tensor, period: float | Tensor, share: float | Tensor, width: Tensor) -> Tensor:
    """Mean over `width` around `at` of a pulse train that is 1 for the first `share` of each period."""

    def integral(x: Tensor) -> Tensor:
        turns = x / period
        whole = turns.floor()
        return (whole * share + torch.minimum(turns - whole, torch.as_tensor(share, device=x.device))) * period

    width = width.clamp_min(1e-4)
    return (integral(at + width / 2) - integral(at - width / 2)) / width
