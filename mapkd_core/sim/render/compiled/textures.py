"""Look-ups: the packed ground textures, the distance to the road's edge, noise, stripes. As in world/textures.py."""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.sim.kernel import exact, inline
from mapkd_core.sim.render.compiled.arithmetic import F, clip, larger, lerp, logarithm, smaller
from mapkd_core.sim.world.textures import MAX_TAPS, PackedTexture

U = np.uint64
LOG2_E = F(1 / math.log(2))
ORDER = np.array([0, 4, 2, 6, 1, 5, 3, 7], np.float32)
LANES, HALVES, LOW = U(0x00FF00FF), U(0x0000FFFF0000FFFF), U(0xFFFFFFFF)
TAPS = F(MAX_TAPS)


class Texture(NamedTuple):
    """A `PackedTexture` as plain arrays."""

    texels: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    starts: NDArray[np.int32]
    """The same as `offsets`."""
    scales: NDArray[np.float32]
    """16 fixed-point steps a cell, over a cell's width on each level."""
    size: int
    levels: int
    cell_m: np.float32
    x_m: np.float32
    y_m: np.float32

    @classmethod
    def of(cls, texture: PackedTexture) -> Texture:
        """Shares the texels."""
        texels, offsets = texture.arrays()
        scales = np.array([16.0 / (texture.cell_m * 2**level) for level in range(texture.levels)], np.float32)
        return cls(
            texels.view(np.uint32), offsets.astype(np.int64), offsets.astype(np.int32), scales,
            texture.size, texture.levels, F(texture.cell_m), F(texture.origin_m[0]), F(texture.origin_m[1]),
        )


class Grid(NamedTuple):
    """A square of float32 values, row along y, column along x."""

    values: NDArray[np.float32]
    size: int
    per_cell: np.float32
    x_m: np.float32
    y_m: np.float32


@inline
def sample(texture, x, y, axis_x, axis_y, minor):
    """Four channels in 0..1 over an elongated spot; see `PackedTexture.sample`."""
    major = math.sqrt(axis_x * axis_x + axis_y * axis_y)
    minor = larger(minor, major / TAPS)
    lod = logarithm(larger(minor / texture.cell_m, F(1e-6))) * LOG2_E
    lod = clip(lod, F(0), F(texture.levels) - F(1.001))
    ratio = major / larger(minor, texture.cell_m * F(0.5))
    taps, share = 8, F(0.125)
    if ratio <= F(1.5):
        taps, share = 1, F(1)
    elif ratio <= F(2.5):
        taps, share = 2, F(0.5)
    elif ratio <= F(4.5):
        taps, share = 4, F(0.25)
    level = np.int64(lod)
    # So many of the eight places of the order go to the next coarser level.
    coarse_from = (F(1) - (lod - F(level))) * F(8) - F(0.5)
    scale, next_scale = texture.scales[U(level)], texture.scales[U(level + 1)]
    start, next_start = texture.offsets[U(level)], texture.offsets[U(level + 1)]
    step_x, step_y = axis_x * share, axis_y * share
    at_x = x - texture.x_m - axis_x * F(0.5) + step_x * F(0.5)
    at_y = y - texture.y_m - axis_y * F(0.5) + step_y * F(0.5)
    first, second = U(0), U(0)
    for tap in range(taps):
        coarse = ORDER[U(tap)] >= coarse_from
        own_scale, own_start = (next_scale, next_start) if coarse else (scale, start)
        side = texture.size >> (level + 1 if coarse else level)
        sums = _tap(texture.texels, own_start, side, at_x * own_scale - F(8), at_y * own_scale - F(8))
        first += sums & HALVES
        second += (sums >> U(16)) & HALVES
        at_x += step_x
        at_y += step_y
    unit = share * F(1 / (256 * 255))
    return (
        F(np.int64(first & LOW)) * unit, F(np.int64(first >> U(32))) * unit,
        F(np.int64(second & LOW)) * unit, F(np.int64(second >> U(32))) * unit,
    )


@inline
def _tap(texels, start, side, x, y):
    """Bilinear sums of channels 0, 2, 1, 3, in 16-bit lanes, at a point in sixteenths of a cell."""
    last = side - 1
    limit = F(last << 4)
    u, v = np.int64(clip(x, F(0), limit)), np.int64(clip(y, F(0), limit))
    fu, fv, i, j = u & 15, v & 15, u >> 4, v >> 4
    a = start + j * side + i
    b = a + (1 if i < last else 0)
    below = side if j < last else 0
    wq, ws = fu * (16 - fv), fu * fv
    wp, wr = 256 - (fv << 4) - wq, (fv << 4) - ws
    sums = _lanes(texels[U(a)]) * U(wp) + _lanes(texels[U(b)]) * U(wq)
    return sums + _lanes(texels[U(a + below)]) * U(wr) + _lanes(texels[U(b + below)]) * U(ws)


@inline
def _lanes(texel):
    """Four bytes as the low halves of four 16-bit lanes: one product weighs all."""
    wide = U(texel)
    return (wide & LANES) | ((wide << U(24)) & (LANES << U(32)))


@inline
def bilinear(grid, x, y):
    """Value at a point in metres, held at the rim."""
    u = clip((x - grid.x_m) * grid.per_cell - F(0.5), F(0), F(grid.size) - F(1.001))
    v = clip((y - grid.y_m) * grid.per_cell - F(0.5), F(0), F(grid.size) - F(1.001))
    i, j = np.int64(u), np.int64(v)
    fu, fv = u - F(i), v - F(j)
    corner = j * grid.size + i
    near = lerp(grid.values[U(corner)], grid.values[U(corner + 1)], fu)
    far = lerp(grid.values[U(corner + grid.size)], grid.values[U(corner + grid.size + 1)], fu)
    return lerp(near, far, fv)


@exact
def noise_at(grid, u, v):
    """Noise at (u, v), a texel every tenth, not filtered. The grid's size is a power of two."""
    i = np.int64(np.floor(u * F(10))) & (grid.size - 1)
    j = np.int64(np.floor(v * F(10))) & (grid.size - 1)
    return grid.values[U(j * grid.size + i)]


@inline
def smooth_noise(grid, u, v):
    """Noise at (u, v), a texel every quarter, filtered."""
    size = F(grid.size)
    u, v = u * F(4), v * F(4)
    return bilinear(grid, u - np.floor(u / size) * size, v - np.floor(v / size) * size)


@exact
def _pulses(x, period, share):
    turns = x / period
    whole = np.floor(turns)
    return (whole * share + smaller(turns - whole, share)) * period


@exact
def stripes(at, period, share, width):
    """Mean over `width` of a pulse train; see `box_filtered_stripes`."""
    width = larger(width, F(1e-4))
    half = width * F(0.5)
    return (_pulses(at + half, period, share) - _pulses(at - half, period, share)) / width
