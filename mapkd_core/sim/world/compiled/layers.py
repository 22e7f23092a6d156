"""Layers of the ground put together cell by cell, instead of by a pass over all cells for every step.

Legend: n rows and columns.
"""
from __future__ import annotations

import numpy as np

from mapkd_core.sim.kernel import exact, exact_kernel

F = np.float32
W = np.uint32


@exact_kernel
def weigh(waves, gain):
    """Multiplies the half spectrum (n, n / 2 + 1) of a real image by `gain` (n / 2 + 1, n / 2 + 1), the same for
    positive and negative frequencies. Returns the image's sum of squares times its number of pixels.
    """
    n, half = waves.shape[0], waves.shape[1] - 1
    total = 0.0
    for y in range(n):
        factors = gain[min(y, n - y)]
        edges, inner = 0.0, 0.0
        for x in range(half + 1):
            wave = waves[y, x]
            real, imaginary = wave.real * factors[x], wave.imag * factors[x]
            waves[y, x] = complex(real, imaginary)
            power = real * real + imaginary * imaginary
            if x == 0 or x == half:
                edges += power
            else:
                inner += power
        total += edges + 2.0 * inner
    return total


@exact
def _clip(value, low, high):
    return min(max(value, low), high)


@exact
def _product(a, b):
    """Of two bytes in which 255 means one, rounded."""
    return W(a * b + W(127)) // W(255)


@exact
def _texel(a, b, c, d):
    return W(a | W(b << W(8)) | W(c << W(16)) | W(d << W(24)))


@exact_kernel
def _verge_row(district, fine, edge_m, walkways, contact, mottle, green, tropical, cell_m, texels):
    for x in range(len(texels)):
        blotch, edge = district[x], edge_m[x]
        width = F(2.6) + F(0.9) * _clip(blotch, F(-1), F(1))
        paved = _clip((width - edge) / cell_m + F(0.5), F(0), F(1))
        if tropical:  # grass between curb and path
            paved *= _clip((edge - F(1.4)) / cell_m + F(0.5), F(0), F(1))
        grass = _clip((blotch + F(0.5) * fine[x] - green) * F(4), F(0), F(1))
        paving = max(W(np.int32(paved * F(255))), W(walkways[x]))
        texels[x] = _texel(paving, W(np.int32(grass * F(255))), W(contact[x]), W(mottle[x]))


@exact_kernel
def verge(district, fine, edge_m, walkways, contact, mottle, green, tropical, cell_m, texels):
    """Fills `texels` (n, n): paved sidewalk, grass, share of the sky, mottling; `fine` and `mottle` are tiles."""
    n, tile = len(edge_m), len(fine)
    for y in range(n):
        for first in range(0, n, tile):
            end = min(first + tile, n)
            _verge_row(
                district[y, first:end], fine[y % tile], edge_m[y, first:end], walkways[y, first:end],
                contact[y, first:end], mottle[y % tile], green, tropical, cell_m, texels[y, first:end],
            )


@exact_kernel
def _surface_row(coverage, yellow, kept, mottled, marks, contact, light, texels):
    for x in range(len(texels)):
        left = W(kept[x])
        bright = W(max(np.int32(mottled[x]) - np.int32(marks[x]), np.int32(0)))
        texels[x] = _texel(
            _product(W(coverage[x]), left), _product(W(yellow[x]), left), _product(bright, W(contact[x])), W(light[x])
        )


@exact_kernel
def surface(coverage, yellow, kept, mottled, marks, contact, light, texels):
    """Fills `texels` (n, n): worn paint, its yellow part, brightness of the road, light.

    `kept` is how much of the paint has not worn off, `mottled` the asphalt; both are tiles, of which the first divides
    the second. `marks` are darker than that, and `contact` is the share of the sky that is seen.
    """
    n, step = len(coverage), len(kept)
    for y in range(n):
        worn, asphalt = kept[y % step], mottled[y % len(mottled)]
        for first in range(0, n, step):
            end, at = min(first + step, n), first % len(mottled)
            _surface_row(
                coverage[y, first:end], yellow[y, first:end], worn, asphalt[at : at + step], marks[y, first:end],
                contact[y, first:end], light[y, first:end], texels[y, first:end],
            )
