"""Standard-definition roads: what a navigation map knows, metres off and incomplete on purpose."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mapkd_core.sim.roads.polyline import length_m, resampled, shifted


def weakly_aligned(
    centres_m: Iterable[NDArray[np.float64]],
    rng: np.random.Generator,
    offset_m: tuple[float, float] = (1.0, 3.0),
    missing: float = 0.12,
) -> tuple[NDArray[np.float64], ...]:
    """Road centre lines as a navigation map would have them.

    The whole map is displaced by one vector (a wrong datum), every road sideways by an amount of its own that changes
    slowly along it, together `offset_m` metres typically; vertices are few; a share `missing` of roads is not there.
    """
    bearing, common = rng.uniform(0, 2 * np.pi), rng.uniform(*offset_m) * 0.6
    displaced = common * np.array([np.cos(bearing), np.sin(bearing)])
    lines = []
    for centre in centres_m:
        dropped = rng.random() < missing
        own, drift, phase = rng.uniform(-1, 1) * offset_m[1] * 0.6, rng.uniform(0, 0.8), rng.uniform(0, 2 * np.pi)
        step = rng.uniform(12, 25)
        if dropped or length_m(centre) < 5:
            continue
        line = resampled(centre, step)
        along = np.linspace(0, length_m(centre) / 60, len(line))
        lines.append(shifted(line, own + drift * np.sin(2 * np.pi * along + phase)) + displaced)
    return tuple(lines)
