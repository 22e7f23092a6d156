"""The one ray caster of cameras and LiDAR: where rays meet the ground, its curbs, and the solids.

Legend: V views (rays of one origin and one instant), n pixels of their grids, R rays through each pixel,
K candidates (a view and a solid that may meet), P pairs (a candidate and one of its pixels).
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.sim.world import solids as kinds
from mapkd_core.sim.world.ground import EDGE_CELL_M
from mapkd_core.sim.world.terrain import Terrain
from mapkd_core.sim.world.textures import sample_bilinear
from mapkd_core.sim.world.world import World

ROAD, WALK, CURB, NOTHING = -1, -2, -3, -4
"""What a ray hit, where it is not the index of a solid."""
FAR_M = 1e6
_NO_KEY = torch.iinfo(torch.int64).max


@dataclass(frozen=True, eq=False)
class Candidates:
    """Which rectangle of a view's rays may meet which solid, and where that solid is at the view's instant."""

    view: NDArray[np.int64]
    solid: NDArray[np.int64]
    rect: NDArray[np.int64]
    """(K, 4) first row, end row, first column, end column."""
    centre_m: NDArray[np.float32]
    """(K, 3)."""
    yaw: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.view)


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays to cast: n pixels of a grid, each with R rays through it."""

    origins: Tensor
    """(V, 3) one per view."""
    grid: tuple[int, int, int]
    """Views, rows, columns."""
    pixels: Tensor | None
    """(n,) int64 flat indices into the grid, rising; None for all of it."""
    directions: Tensor
    """(R, n, 3), of any length."""

    @property
    def view(self) -> Tensor:
        """(n,) view of each pixel."""
        views, height, width = self.grid
        if self.pixels is not None:
            return self.pixels // (height * width)
        return torch.arange(views, device=self.directions.device).repeat_interleave(height * width)


@dataclass(frozen=True, eq=False)
class Hits:
    """What each ray met first: R n."""

    distance: Tensor
    """In lengths of the ray's direction; FAR_M where it met nothing."""
    target: Tensor
    """int32: a candidate's index, or ROAD, WALK, CURB, NOTHING."""


def cast(world: World, rays: Rays, candidates: Candidates) -> Hits:
    """First hits of rays in the world's coordinates."""
    distance, target = ground_hits(world, rays.origins[rays.view], rays.directions)
    if not len(candidates):
        return Hits(distance, target)
    solid_distance, index = solid_hits(world, rays, candidates)
    nearer = solid_distance < distance
    return Hits(torch.where(nearer, solid_distance, distance), torch.where(nearer, index, target))


def ground_hits(world: World, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Distance and ROAD, WALK, CURB or NOTHING of rays (R, n, 3) from origins (n, 3) that meet the ground.

    The ground is two sheets, the road and `curb_m` above it the sidewalk, joined by upright curb faces where the
    signed distance to the road's edge is zero.
    """
    shape = directions.shape[:-1]
    dx, dy, dz = (c.reshape(-1) for c in directions.unbind(-1))
    ox, oy, oz = (c.expand(shape).reshape(-1) for c in origins.unbind(-1))
    low = _sheet(world.terrain, ox, oy, oz, dx, dy, dz)
    distance = low
    target = torch.where(low < FAR_M, ROAD, NOTHING).to(torch.int32)
    chosen = (low < FAR_M).nonzero().squeeze(1)
    if not len(chosen):
        return distance.reshape(shape), target.reshape(shape)
    ox, oy, dx, dy, dz, t_low = (c[chosen] for c in (ox, oy, dx, dy, dz, low))
    gx, gy = world.terrain.gradient(ox + t_low * dx, oy + t_low * dy)
    sink = (gx * dx + gy * dy - dz).clamp_min(1e-9)  # fall towards the sheet per unit of distance
    t_top = (t_low - world.curb_m / sink).clamp_min(0)
    edge = _edge(world, ox + t_top * dx, oy + t_top * dy)
    walk = edge > 0
    # A ray between the sheets meets a curb if it crosses the road's edge; the distance to the edge bounds each step.
    speed = torch.hypot(dx, dy).clamp_min(1e-9)
    gap = (t_low - t_top) * speed
    t_hit = torch.where(walk, t_top, t_low)
    kind = torch.where(walk, WALK, ROAD).to(torch.int32)
    active = (~walk & (-edge < gap)).nonzero().squeeze(1)
    if len(active):
        ox, oy, dx, dy, speed, end = (c[active] for c in (ox, oy, dx, dy, speed, t_low))
        at, value = t_top[active], edge[active]
        before, value_before = at, value
        for step in range(7):
            # Safe steps first; then the secant rule, because along a straight curb the distance falls evenly.
            ahead = -value / speed
            if step > 2:
                fall = (value - value_before) / (at - before).clamp_min(1e-6)
                ahead = torch.where(fall > 0.05 * speed, -value / fall.clamp_min(1e-6), ahead)
            before, value_before = at, value
            at = torch.minimum(torch.maximum(at + ahead, at - 0.5 * ahead.abs()), end)
            value = _edge(world, ox + at * dx, oy + at * dy)
        curb = (value > -0.005) & (at < end)
        t_hit[active] = torch.where(curb, at, end)
        kind[active] = torch.where(curb, CURB, ROAD).to(torch.int32)
    distance = distance.clone()
    distance[chosen] = t_hit
    target[chosen] = kind
    return distance.reshape(shape), target.reshape(shape)


def _edge(world: World, x: Tensor, y: Tensor) -> Tensor:
    return sample_bilinear(world.ground.edge_m, x, y, world.ground.origin_m, EDGE_CELL_M)


def _sheet(terrain: Terrain, ox: Tensor, oy: Tensor, oz: Tensor, dx: Tensor, dy: Tensor, dz: Tensor) -> Tensor:
    """Distance to the road's sheet, FAR_M where a ray misses it."""
    far = torch.full_like(dx, FAR_M)
    if not terrain.waves:
        return torch.where(dz < -1e-6, -oz / dz.clamp_max(-1e-6), far)
    speed = torch.hypot(dx, dy).clamp_min(1e-9)
    steepest = sum(a * float(np.hypot(kx, ky)) for a, kx, ky, _ in terrain.waves)
    result = far
    chosen = (dz / speed < steepest).nonzero().squeeze(1)
    ox, oy, oz, dx, dy, dz, speed = (c[chosen] for c in (ox, oy, oz, dx, dy, dz, speed))
    # Bracket the first crossing on steps shorter than half a wave, then close in by the secant rule.
    before = torch.zeros_like(dx)
    gap_before = oz - terrain.height(ox, oy)
    after, gap_after = torch.full_like(dx, FAR_M), torch.ones_like(dx)
    open_ = torch.ones_like(dx, dtype=torch.bool)
    for step in (8.0, 25.0, 50.0, 80.0, 115.0, 155.0, 220.0):
        at = step / speed
        gap = oz + at * dz - terrain.height(ox + at * dx, oy + at * dy)
        crossed = open_ & (gap <= 0)
        after, gap_after = torch.where(crossed, at, after), torch.where(crossed, gap, gap_after)
        open_ = open_ & ~crossed
        before, gap_before = torch.where(open_, at, before), torch.where(open_, gap, gap_before)
    for _ in range(4):
        at = before + (after - before) * (gap_before / (gap_before - gap_after).clamp_min(1e-9)).clamp(0, 1)
        gap = oz + at * dz - terrain.height(ox + at * dx, oy + at * dy)
        above = gap > 0
        # Halving the kept end's gap (the Illinois rule) keeps both ends moving.
        gap_before = torch.where(above, gap, gap_before * 0.5)
        gap_after = torch.where(above, gap_after * 0.5, gap)
        before, after = torch.where(above, at, before), torch.where(above, after, at)
    at = before + (after - before) * (gap_before / (gap_before - gap_after).clamp_min(1e-9)).clamp(0, 1)
    result[chosen] = torch.where(open_, FAR_M, at)
    return result


def solid_hits(world: World, rays: Rays, candidates: Candidates) -> tuple[Tensor, Tensor]:
    """Nearest solid of each ray: distance (R, n), FAR_M for none, and the candidate's index."""
    device = rays.directions.device
    _, height, width = rays.grid
    slot = None
    if rays.pixels is not None:
        slot = torch.full((int(np.prod(rays.grid)),), -1, dtype=torch.int64, device=device)
        slot[rays.pixels] = torch.arange(len(rays.pixels), device=device)
    best = torch.full(rays.directions.shape[:2], _NO_KEY, dtype=torch.int64, device=device)
    kind, table = _candidate_table(world, rays.origins, candidates)
    first = candidates.view * height * width + candidates.rect[:, 0] * width + candidates.rect[:, 2]
    across = candidates.rect[:, 3] - candidates.rect[:, 2]
    areas = (candidates.rect[:, 1] - candidates.rect[:, 0]) * across
    limit = 4_000_000 if device.type == "cpu" else 60_000_000
    for shape, meet in ((kinds.BOX, _meet_box), (kinds.CYLINDER, _meet_cylinder), (kinds.ELLIPSOID, _meet_ellipsoid)):
        own = np.nonzero(kind == shape)[0]
        total = np.cumsum(areas[own])
        start = 0
        while start < len(own):
            stop = max(int(np.searchsorted(total, (total[start - 1] if start else 0) + limit)), start + 1)
            part = own[start:stop]
            start = stop
            row, ray = _pairs(first[part], across[part], areas[part], width, device)
            if slot is not None:
                ray = slot[ray]
                inside = (ray >= 0).nonzero().squeeze(1)
                row, ray = row[inside], ray[inside]
            index = torch.from_numpy(part).to(device)
            columns = [column[index][row] for column in table]
            for directions, nearest in zip(rays.directions, best, strict=True):
                x, y, z = (directions[:, axis][ray] for axis in range(3))
                dx, dy = columns[6] * x + columns[7] * y, columns[6] * y - columns[7] * x
                at = meet(columns[:6], dx, dy, z)
                hit = (at < FAR_M).nonzero().squeeze(1)
                # Positive floats order like their bits: one minimum finds the nearest and, on a tie, the lower index.
                key = (at[hit].view(torch.int32).to(torch.int64) << 32) | index[row[hit]]
                nearest.scatter_reduce_(0, ray[hit], key, "amin")
    distance = (best >> 32).to(torch.int32).view(torch.float32)
    missed = best == _NO_KEY
    index = torch.where(missed, NOTHING, best & 0xFFFFFFFF).to(torch.int32)
    return torch.where(missed, FAR_M, distance), index


def solid_pixels(candidates: Candidates, grid: tuple[int, int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """All pixels of all candidates' rectangles: which candidate (P,), and the pixel's flat index in the grid (P,)."""
    _, height, width = grid
    rect = candidates.rect
    first = candidates.view * height * width + rect[:, 0] * width + rect[:, 2]
    across = rect[:, 3] - rect[:, 2]
    return _pairs(first, across, (rect[:, 1] - rect[:, 0]) * across, width, device)


def _candidate_table(world: World, origins: Tensor, candidates: Candidates) -> tuple[NDArray, tuple[Tensor, ...]]:
    """Kinds (K,), and columns (K,): the view's origin in the solid's axes, half extents, cosine and sine of yaw."""
    device = origins.device
    half = torch.from_numpy(world.solids.half_m[candidates.solid]).to(device)
    origin = origins[torch.from_numpy(candidates.view).to(device)] - torch.from_numpy(candidates.centre_m).to(device)
    c = torch.from_numpy(np.cos(candidates.yaw)).to(device)
    s = torch.from_numpy(np.sin(candidates.yaw)).to(device)
    x, y, z = origin.unbind(1)
    return world.solids.kind[candidates.solid], (c * x + s * y, c * y - s * x, z, *half.unbind(1), c, s)


def _pairs(
    first: NDArray, across: NDArray, areas: NDArray, width: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """All pixels of all rectangles: which rectangle (P,), and the pixel's flat index in the grid (P,)."""
    count = torch.from_numpy(areas).to(device)
    row = torch.repeat_interleave(torch.arange(len(areas), device=device), count, output_size=int(areas.sum()))
    place = torch.arange(len(row), device=device) - torch.from_numpy(np.cumsum(areas) - areas).to(device)[row]
    width_of = torch.from_numpy(across).to(device)[row]
    down = place // width_of
    return row, torch.from_numpy(first).to(device)[row] + down * (width - width_of) + place


def _meet_box(row: list[Tensor], dx: Tensor, dy: Tensor, dz: Tensor) -> Tensor:
    ox, oy, oz, hx, hy, hz = row
    enter = torch.full_like(dx, 1e-4)
    leave = torch.full_like(dx, FAR_M)
    for o, h, d in ((ox, hx, dx), (oy, hy, dy), (oz, hz, dz)):
        inverse = 1.0 / torch.where(d.abs() < 1e-9, 1e-9, d)
        middle, reach = -o * inverse, h * inverse.abs()
        enter = torch.maximum(enter, middle - reach)
        leave = torch.minimum(leave, middle + reach)
    return torch.where((enter <= leave) & (enter > 1e-4), enter, FAR_M)


def _meet_cylinder(row: list[Tensor], dx: Tensor, dy: Tensor, dz: Tensor) -> Tensor:
    ox, oy, oz, radius, _, hz = row
    a = (dx * dx + dy * dy).clamp_min(1e-12)
    b = ox * dx + oy * dy
    root = b * b - a * (ox * ox + oy * oy - radius * radius)
    at = (-b - root.clamp_min(0).sqrt()) / a
    side = (root > 0) & (at > 1e-4) & ((oz + at * dz).abs() <= hz)
    top = (hz - oz) / torch.where(dz.abs() < 1e-9, -1e-9, dz)
    x, y = ox + top * dx, oy + top * dy
    cap = (dz < 0) & (top > 1e-4) & (x * x + y * y <= radius * radius)
    return torch.where(side, at, torch.where(cap, top, FAR_M))


def _meet_ellipsoid(row: list[Tensor], dx: Tensor, dy: Tensor, dz: Tensor) -> Tensor:
    """Large ellipsoids are crowns and bushes: holes between the leaves, more of them near the rim, let rays pass."""
    ox, oy, oz, hx, hy, hz = row
    ux, uy, uz, vx, vy, vz = ox / hx, oy / hy, oz / hz, dx / hx, dy / hy, dz / hz
    a = (vx * vx + vy * vy + vz * vz).clamp_min(1e-12)
    b = ux * vx + uy * vy + uz * vz
    root = b * b - a * (ux * ux + uy * uy + uz * uz - 1)
    met = (root > 0).nonzero().squeeze(1)
    ox, oy, oz, hx, dx, dy, dz, a, b, root = (c[met] for c in (ox, oy, oz, hx, dx, dy, dz, a, b, root))
    slant = (root / a).sqrt()  # cosine between ray and surface, in the sphere that the ellipsoid was
    leafy = hx > 0.3
    nearest = torch.full_like(hx, FAR_M)
    for sign in (1.0, -1.0):  # the far side first, so that the near one wins
        at = (sign * root.sqrt() - b) / a
        cell = torch.floor((ox + at * dx) * 4) * 12.9898 + torch.floor((oy + at * dy) * 4) * 78.233
        lot = torch.frac(torch.sin(cell + torch.floor((oz + at * dz) * 4) * 37.719).abs() * 4375.85)
        solid = (at > 1e-4) & (~leafy | (lot < 0.1 + 1.3 * slant))
        nearest = torch.where(solid, at, nearest)
    result = torch.full_like(row[0], FAR_M)
    result[met] = nearest
    return result
