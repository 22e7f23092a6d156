"""Which solids each image may show, shade or mirror, and in which pixels. As in render/cameras.py and reflection.py.

Legend: V views, S solids, K candidates.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.sim.kernel import inline, kernel
from mapkd_core.sim.render import cameras
from mapkd_core.sim.render.compiled.arithmetic import F, clip, larger, smaller
from mapkd_core.sim.render.compiled.movers import Movers, place
from mapkd_core.sim.render.compiled.tables import CandidateTable, Floats, WorldTable
from mapkd_core.sim.world.world import World

SHOWN, SHADED, MIRRORED = range(3)
NEAR = F(cameras.NEAR_M)
CORNERS, EDGES = cameras.CORNERS, cameras.EDGES


class Lenses(NamedTuple):
    """A batch of cameras; of MIRRORED, those that stand under the road and look up."""

    width: int
    height: int
    times_s: NDArray[np.float64]
    turn: Floats
    """(V, 3, 3) camera from world."""
    project: Floats
    """(V, 3, 3) image from world."""
    origin: Floats
    slope: Floats
    """(V, 2) of the image's border, across and down."""
    ground_m: NDArray[np.float64]
    """(V,) height of the road at the camera."""

    @classmethod
    def of(cls, world: World, views: cameras.Views, what: int) -> Lenses:
        """Of a batch; `what` is SHOWN, SHADED or MIRRORED."""
        pose, ground = views.pose, world.terrain.height_m(views.pose[:, :2, 3])
        if what == MIRRORED:
            pose = pose.copy()
            pose[:, 2, 3] = 2 * ground - pose[:, 2, 3]
            pose[:, :3, :3] = np.diag([1.0, 1.0, -1.0]) @ pose[:, :3, :3]
        turn = np.ascontiguousarray(np.swapaxes(pose[:, :3, :3], 1, 2))
        middle, focal = views.intrinsics[:, :2, 2], views.intrinsics[:, (0, 1), (0, 1)]
        slope = np.maximum(middle + 1, np.array(views.size) - middle) / focal
        return cls(
            *views.size, np.asarray(views.times_s, np.float64), turn.astype(F), (views.intrinsics @ turn).astype(F),
            np.ascontiguousarray(pose[:, :3, 3].astype(F)), slope.astype(F), ground,
        )


def candidates(
    world: World, table: WorldTable, movers: Movers, views: cameras.Views, origins: Floats, what: int
) -> CandidateTable:
    """Solids that may be in each image, those that may shade it, or those that wet road in it may mirror.

    `origins` (V, 3) are the cameras' places.
    """
    most = len(views.times_s) * (int((world.solids.mover >= 0).sum()) if what == SHADED else len(world.solids))
    found = CandidateTable(
        np.zeros(len(views.times_s) + 1, np.int64), np.empty(most, np.int64), np.empty((most, 4), np.int64),
        np.empty((most, 3), F), np.empty((most, 3), F), np.empty(most, F), np.empty(most, F),
    )
    room = np.empty((8, 3), F), np.empty((8, 3), F)
    _find(table, movers, Lenses.of(world, views, what), origins, what, found, *room)
    count = found.first[-1]
    return CandidateTable._make((found.first, *(column[:count] for column in found[1:])))


NONE = CandidateTable(
    np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.int64), np.zeros((0, 3), F), np.zeros((0, 3), F),
    np.zeros(0, F), np.zeros(0, F),
)


@inline
def _near(lenses, v, x, y, z, radius):
    """Whether a sphere reaches into the image's cone."""
    m = lenses.turn[v]
    across = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
    down = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z
    depth = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z
    a, b = lenses.slope[v, 0], lenses.slope[v, 1]
    return (
        depth > -radius
        and abs(across) <= a * depth + radius * math.sqrt(F(1) + a * a)
        and abs(down) <= b * depth + radius * math.sqrt(F(1) + b * b)
    )


@inline
def _span(low, high, size):
    """Pixels between two places in the image, with half a pixel of room for rays through a pixel's corners."""
    first = np.int64(clip(np.ceil(low - F(0.51)), F(0), F(size)))
    return first, np.int64(clip(np.floor(high + F(0.51)) + F(1), F(0), F(size)))


@kernel
def _rectangle(lenses, v, corner, image, rect):
    """Puts the pixels that a box of eight corners, seen from the camera, may cover into `rect`; False if none."""
    p = lenses.project[v]
    behind = 0
    for k in range(8):
        x, y, z = corner[k, 0], corner[k, 1], corner[k, 2]
        for axis in range(3):
            image[k, axis] = p[axis, 0] * x + p[axis, 1] * y + p[axis, 2] * z
        behind += 1 if image[k, 2] < NEAR else 0
    if behind == 8:
        return False
    low_u, high_u, low_v, high_v = F(np.inf), F(-np.inf), F(np.inf), F(-np.inf)
    for k in range(8):
        if image[k, 2] >= NEAR:
            u, w = image[k, 0] / image[k, 2], image[k, 1] / image[k, 2]
            low_u, high_u, low_v, high_v = smaller(low_u, u), larger(high_u, u), smaller(low_v, w), larger(high_v, w)
    if behind:  # edges that pass the near plane are cut there, so that a wall beside the camera keeps a tight rectangle
        for k in range(len(EDGES)):
            a, b = EDGES[k, 0], EDGES[k, 1]
            if (image[a, 2] < NEAR) == (image[b, 2] < NEAR):
                continue
            share = (NEAR - image[a, 2]) / (image[b, 2] - image[a, 2])
            u = (image[a, 0] + share * (image[b, 0] - image[a, 0])) / NEAR
            w = (image[a, 1] + share * (image[b, 1] - image[a, 1])) / NEAR
            low_u, high_u, low_v, high_v = smaller(low_u, u), larger(high_u, u), smaller(low_v, w), larger(high_v, w)
    rect[2], rect[3] = _span(low_u, high_u, lenses.width)
    rect[0], rect[1] = _span(low_v, high_v, lenses.height)
    return rect[1] > rect[0] and rect[3] > rect[2]


@inline
def _shadow(world, corner, k, x, y, z, foot):
    """Slides an upper corner down along the sun's rays; the ground is not level with the solid's foot everywhere."""
    if world.casts_shadows:
        fall = larger(z - foot, F(0)) / world.sun_direction[2]
        x -= fall * world.sun_direction[0]
        y -= fall * world.sun_direction[1]
    corner[k, 0], corner[k, 1], corner[k, 2] = x, y, foot + (F(-0.8) if k % 2 == 0 else F(0.4))


@kernel
def _find(world, movers, lenses, origins, what, found, corner, image):
    count = 0
    for v in range(len(lenses.times_s)):
        ox, oy, oz = lenses.origin[v, 0], lenses.origin[v, 1], lenses.origin[v, 2]
        for solid in range(len(world.kind)):
            if what == SHADED and movers.mover[solid] < 0:
                continue
            x, y, z, yaw, present = place(world, movers, solid, lenses.times_s[v])
            half = world.half_m[solid]
            hx, hy, hz = half[0], half[1], half[2]
            if not present:
                continue
            if what != SHADED and not _near(lenses, v, x - ox, y - oy, z - oz, math.sqrt(hx * hx + hy * hy + hz * hz)):
                continue
            c, s = F(math.cos(yaw)), F(math.sin(yaw))
            spread = F(0.6) if what == SHADED else F(0)
            for k in range(8):
                ex, ey, ez = CORNERS[k, 0] * (hx + spread), CORNERS[k, 1] * (hy + spread), CORNERS[k, 2] * hz
                px, py, pz = x + c * ex - s * ey, y + s * ex + c * ey, z + ez
                if what == SHADED:
                    _shadow(world, corner, k, px, py, pz, z - hz)
                else:
                    corner[k, 0], corner[k, 1], corner[k, 2] = px, py, pz
                corner[k, 0], corner[k, 1], corner[k, 2] = corner[k, 0] - ox, corner[k, 1] - oy, corner[k, 2] - oz
            if not _rectangle(lenses, v, corner, image, found.rect[count]):
                continue
            if what == MIRRORED:
                z = F(2 * lenses.ground_m[v] - z)
            found.solid[count] = solid
            found.centre_m[count, 0], found.centre_m[count, 1], found.centre_m[count, 2] = x, y, z
            tx, ty = origins[v, 0] - x, origins[v, 1] - y
            found.origin[count, 0], found.origin[count, 1] = c * tx + s * ty, c * ty - s * tx
            found.origin[count, 2] = origins[v, 2] - z
            found.cos[count], found.sin[count] = c, s
            count += 1
        found.first[v + 1] = count
