"""The outline of a crossing as the two sides between which people walk, and back."""
from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

Points = NDArray[np.float64]


def sides_of(ring_m: Points) -> tuple[Points, Points, int] | None:
    """The two long sides (N, D) of a ring (M, D), the second against the first, and where the ring began.

    Together they hold each vertex once, in the ring's order: `ring_of` makes the same ring of them. None for a ring of
    less than four different vertices, or whose corners cannot be told.
    """
    ring = ring_m[:-1]
    if len(ring) < 4 or len(np.unique(ring[:, :2], axis=0)) < 4:
        return None
    box = shapely.minimum_rotated_rectangle(shapely.MultiPoint(ring[:, :2]))
    if box.geom_type != "Polygon":
        return None
    corners = shapely.get_coordinates(box)[:4]
    if np.linalg.norm(corners[1] - corners[0]) < np.linalg.norm(corners[2] - corners[1]):
        corners = np.roll(corners, -1, axis=0)
    # long sides of the box: corners 0-1 and 2-3; the ring's vertices nearest to its corners, in the ring's own order
    nearest = [int(np.linalg.norm(ring[:, :2] - corner, axis=1).argmin()) for corner in corners]
    if len(set(nearest)) < 4:
        return None
    turn = [(k - nearest[0]) % len(ring) for k in nearest]
    if turn[1] < turn[2] < turn[3]:
        first, ends = nearest[0], (turn[2], len(ring))
    elif turn[1] > turn[2] > turn[3]:
        first, ends = nearest[1], ((nearest[3] - nearest[1]) % len(ring), len(ring))
    else:
        return None
    rolled = np.roll(ring, -first, axis=0)
    one, other = rolled[: ends[0]], rolled[ends[0] : ends[1]]
    return (one, other, (len(ring) - first) % len(ring)) if min(len(one), len(other)) >= 2 else None


def ring_of(one_m: Points, other_m: Points, start: int = 0) -> Points:
    """The ring of two sides, the second against the first, beginning at the vertex `start` of both together."""
    ring = np.roll(np.concatenate([one_m, other_m]), -start, axis=0)
    return np.concatenate([ring, ring[:1]])
