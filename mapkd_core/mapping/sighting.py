"""One set's elements in the map's frame: lines as evenly spaced samples, crossings as areas, and what was in view.

Legend: M samples of all lines of a set, one after the other.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.polylines import Range
from mapkd_core.geometry import apply, distances_along, flattened, points_at
from mapkd_core.mapping.options import STEP_M
from mapkd_core.types import CLASSES, MapElement

LINE_LABELS = tuple(CLASSES.index(label) for label in ("divider", "boundary"))
"""Places in CLASSES of what is a line; a crossing is an area."""
CROSSING = CLASSES.index("ped_crossing")
MISSED_BESIDE_M = 4.0
"""So far beside the vehicle a line that is not seen counts half against itself. `nano` finds 97 % of the dividers
within 3 m beside it, 39 % of those 6 to 9 m and 7 to 25 % of those 9 to 12 m beside it, at a precision that falls less
(benchmarks/results/mapping_doubt_2026-11-29.md)."""
EDGE_M = 1.0
"""What lies this near to the edge of the view may be cut off, so that not seeing it means nothing."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """What one set shows, in the map's frame."""

    xyz_m: NDArray[np.float64]
    """(M, 3)."""
    along: NDArray[np.float64]
    """(M, 2) unit vectors along the line."""
    label: NDArray[np.int8]
    """(M,) place in CLASSES."""
    score: NDArray[np.float32]
    """(M,)."""
    weight: NDArray[np.float32]
    """(M,) of the distance alone."""
    line: NDArray[np.int32]
    """(M,) which of the lines it belongs to, growing."""
    crossings: tuple[tuple[NDArray[np.float64], float], ...]
    """(N, 3) outline and score of each crossing."""
    map_from_base: NDArray[np.float64]
    """(4, 4), flattened."""
    height: NDArray[np.float64]
    """(3,) of the plane on which the vehicle stands: z = h0 + h1 x + h2 y in the map's frame."""
    window: Range
    """The rectangle of `base_link` that was looked at."""
    far_m: float

    def seen_weight(self, xy_m: NDArray[np.float64], margin_m: float = EDGE_M) -> NDArray[np.float32]:
        """(N,) weight of a sighting at each point, 0 outside of the view."""
        pose = self.map_from_base
        local = (xy_m - pose[:2, 3]) @ pose[:2, :2]
        low, high = self.window.shrunk(margin_m).limits()
        inside = np.all((local >= low) & (local <= high), axis=1)
        return np.where(inside, distance_weight(local, self.far_m), np.float32(0))

    def missed_weight(self, xy_m: NDArray[np.float64]) -> NDArray[np.float32]:
        """(N,) weight of seeing nothing at each point, 0 outside of the view.

        Beside the vehicle that falls faster than the weight of a sighting: networks draw most lines of the vehicle's
        own lane and few of those far beside it, so that there a line which is not drawn says little.
        """
        pose = self.map_from_base
        beside = (xy_m - pose[:2, 3]) @ pose[:2, 1]
        return np.asarray(self.seen_weight(xy_m) / (1 + (beside / MISSED_BESIDE_M) ** 4), np.float32)

    def bounds_m(self, margin_m: float) -> tuple[float, float, float, float]:
        """Smallest x and y, largest x and y of the view, and a margin."""
        corners = self.window.corners() @ self.map_from_base[:2, :2].T + self.map_from_base[:2, 3]
        (x0, y0), (x1, y1) = corners.min(0) - margin_m, corners.max(0) + margin_m
        return float(x0), float(y0), float(x1), float(y1)

    def moved(self, shift: NDArray[np.float64]) -> Sighting:
        """The same after a rigid motion (4, 4) of the map's plane."""
        rotation = shift[:2, :2]
        return replace(
            self, xyz_m=apply(shift, self.xyz_m), along=self.along @ rotation.T,
            crossings=tuple((apply(shift, ring), score) for ring, score in self.crossings),
            map_from_base=shift @ self.map_from_base, height=_plane_of(shift @ _pose_of(self.height)),
        )  # fmt: skip


def sighting(
    elements: Sequence[MapElement], map_from_base: NDArray[np.floating], window: Range, far_m: float
) -> Sighting:
    """A set's elements as the map builder takes them.

    Places in x and y follow from position and heading alone, as labels do; heights from the plane on which the vehicle
    stands, or from the elements where they have any.
    """
    pose, level = np.asarray(map_from_base, np.float64), flattened(map_from_base)
    parts: list[tuple[NDArray, NDArray, int, float]] = []
    crossings = []
    for element in elements:
        points = np.asarray(element.points_m, np.float64)
        if not np.isfinite(points).all():
            continue
        label = CLASSES.index(element.label)
        has_height = points.shape[1] == 3 and bool(points[:, 2].any())
        solid = points if points.shape[1] == 3 else np.column_stack([points, np.zeros(len(points))])
        mapped = apply(level, solid * [1, 1, 0])
        mapped[:, 2] = apply(pose, solid)[:, 2] if has_height else _heights(_plane_of(pose), mapped[:, :2])
        if label == CROSSING:
            if len(mapped) >= 3:
                crossings.append((mapped, float(element.score)))
            continue
        sampled = _sampled(mapped)
        if sampled is not None:
            parts.append((sampled, _directions(sampled), label, float(element.score)))
    counts = [len(part[0]) for part in parts]
    xyz = np.concatenate([part[0] for part in parts]) if parts else np.zeros((0, 3))
    local = (xyz[:, :2] - level[:2, 3]) @ level[:2, :2]
    return Sighting(
        xyz,
        np.concatenate([part[1] for part in parts]) if parts else np.zeros((0, 2)),
        np.repeat(np.array([part[2] for part in parts], np.int8), counts),
        np.repeat(np.array([part[3] for part in parts], np.float32), counts),
        distance_weight(local, far_m),
        np.repeat(np.arange(len(parts), dtype=np.int32), counts),
        tuple(crossings), level, _plane_of(pose), window, far_m,
    )  # fmt: skip


def distance_weight(local_m: NDArray[np.floating], far_m: float) -> NDArray[np.float32]:
    """(N,) how much a sighting at points (N, 2) of `base_link` counts: 1 beside the vehicle, 1/2 at `far_m`."""
    return np.asarray(1 / (1 + np.square(local_m).sum(-1) / far_m**2), np.float32)


def _sampled(points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Points `STEP_M` apart, both ends included; None for what has no length."""
    length = distances_along(points[:, :2])[-1]
    if length < STEP_M / 2:
        return None
    return points_at(points, np.linspace(0, distances_along(points)[-1], max(round(length / STEP_M), 1) + 1))


def _directions(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) unit vectors along a line, over two steps."""
    ahead, behind = np.minimum(np.arange(len(points)) + 1, len(points) - 1), np.maximum(np.arange(len(points)) - 1, 0)
    steps = points[ahead, :2] - points[behind, :2]
    return np.asarray(steps / np.maximum(np.linalg.norm(steps, axis=1), 1e-9)[:, None])


def _plane_of(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """z = h0 + h1 x + h2 y of a pose's xy plane; level where it stands on edge."""
    normal, origin = pose[:3, 2], pose[:3, 3]
    if normal[2] < 0.5:
        return np.array([origin[2], 0.0, 0.0])
    slope = -normal[:2] / normal[2]
    return np.array([origin[2] - slope @ origin[:2], *slope])


def _pose_of(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """A pose with this plane."""
    z = np.array([-plane[1], -plane[2], 1.0])
    z /= np.linalg.norm(z)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    pose[2, 3] = plane[0]
    return pose


def _heights(plane: NDArray[np.float64], xy_m: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(plane[0] + xy_m @ plane[1:])
