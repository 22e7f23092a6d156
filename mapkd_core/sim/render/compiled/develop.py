"""How light becomes an image: motion blur, exposure, noise, tone curve. As in render/cameras.py."""
from __future__ import annotations

import numpy as np

from mapkd_core.sim.kernel import inline, kernel
from mapkd_core.sim.render.compiled.arithmetic import F, I, clip, exponential, larger, smaller
from mapkd_core.sim.render.compiled.memory import get, look_up, put

BLUR_STEPS = 5
_BINS = 4096


def _brightness(code):
    """Linear brightness at which the tone curve, rounded, gives `code`."""
    encoded = (code - 0.5) / 255
    return np.where(encoded < 0.04045, encoded / 12.92, ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4)


STARTS = np.append(_brightness(np.arange(256)), 2.0).astype(F)
"""Where each of the 256 codes starts, and a number beyond."""
CODES = (np.searchsorted(STARTS, (np.arange(_BINS + 1) / _BINS).astype(F), side="right") - 1).astype(np.int32)
"""The code at the start of each bin of brightness: bins are so narrow that at most one more starts within."""
BINS = F(_BINS)


@kernel
def _codes(values, codes, starts, image):
    for i in range(len(image)):
        value = clip(get(values, i), F(0), F(1))
        code = look_up(codes, np.int64(I(value * BINS)))
        start = look_up(starts, np.int64(code) + 1)
        put(image, i, np.uint8(code + (I(1) if value >= start else I(0))))


@kernel
def develop_rows(start, stop, line, radiance, gain, vignetting, saturation, noise_gain, noise, codes, starts, image):
    """Light (V, H, W, 3) -> uint8 (V H, W 3), rows `start` to `stop`; `noise` (V H, W 3) if its gain is not 0.

    `codes` and `starts` are CODES and STARTS.
    """
    _, height, width, _ = radiance.shape
    across, down = F(2) / larger(F(width - 1), F(1)), F(2) / larger(F(height - 1), F(1))
    for flat in range(start, stop):
        view, row = flat // height, flat % height
        y = F(row) * down - F(1)
        light = radiance[view, row]
        for c in range(width):
            x = F(c) * across - F(1)
            fall = gain * (F(1) - vignetting * F(0.5) * (x * x + y * y))
            r, g, b = light[c, 0] * fall, light[c, 1] * fall, light[c, 2] * fall
            gray = (r + g + b) * F(1 / 3)
            line[3 * c + 0] = _shoulder(gray + saturation * (r - gray))
            line[3 * c + 1] = _shoulder(gray + saturation * (g - gray))
            line[3 * c + 2] = _shoulder(gray + saturation * (b - gray))
        if noise_gain > F(0):
            _add_noise(line, noise[flat], noise_gain)
        _codes(line, codes, starts, image[flat])


@kernel
def _add_noise(values, noise, gain):
    for i in range(len(values)):
        values[i] += noise[i] * gain * np.sqrt(F(0.3) + clip(values[i], F(0), F(1)))


@inline
def _shoulder(value):
    """Keeps bright sky and lamps below white."""
    bright = F(0.6) + F(0.4) * (F(1) - exponential(smaller(F(0.6) - value, F(0)) * F(2.5)))
    return bright if value > F(0.6) else value


@kernel
def blur_rows(views, project, shift, start, stop, moves, radiance, distance, result):
    """Smears light along the way that each pixel's point goes while the shutter is open; see `cameras.blur_motion`.

    `project` (V, 3, 3) and `shift` (V, 3) take a point seen from the first pose to its pixel in the last one.
    """
    width, height = views.width, views.height
    most_u, most_v = F(0.05) * F(width), F(0.05) * F(height)
    for flat in range(start, stop):
        view, row = flat // height, flat % height
        p, s, v = project[view], shift[view], F(row)
        corner, step_u, step_v = views.corner[view], views.step_u[view], views.step_v[view]
        for c in range(width):
            u, t = F(c), smaller(distance[view, row, c], F(1e4))
            x = (v * step_v[0] + corner[0] + u * step_u[0]) * t + s[0]
            y = (v * step_v[1] + corner[1] + u * step_u[1]) * t + s[1]
            z = (v * step_v[2] + corner[2] + u * step_u[2]) * t + s[2]
            per_depth = F(1) / larger(p[2, 0] * x + p[2, 1] * y + p[2, 2] * z, F(0.1))
            moves[0, c] = clip((p[0, 0] * x + p[0, 1] * y + p[0, 2] * z) * per_depth - u, -most_u, most_u)
            moves[1, c] = clip((p[1, 0] * x + p[1, 1] * y + p[1, 2] * z) * per_depth - v, -most_v, most_v)
        for c in range(width):
            r, g, b = F(0), F(0), F(0)
            for step in range(BLUR_STEPS):
                share = F(step) * F(1 / (BLUR_STEPS - 1)) - F(0.5)
                column = np.int64(clip(np.rint(F(c) + moves[0, c] * share), F(0), F(width - 1)))
                line = np.int64(clip(np.rint(v + moves[1, c] * share), F(0), F(height - 1)))
                r += radiance[view, line, column, 0]
                g += radiance[view, line, column, 1]
                b += radiance[view, line, column, 2]
            result[view, row, c, 0] = r * F(1 / BLUR_STEPS)
            result[view, row, c, 1] = g * F(1 / BLUR_STEPS)
            result[view, row, c, 2] = b * F(1 / BLUR_STEPS)
