"""Shade: what solids that stand still leave on the ground (drawn once), and what moving ones do (per ray).

Legend: n points of ground, K moving solids near an image, P pairs of the two.
"""
from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.sim.world import solids as kinds
from mapkd_core.sim.world.conditions import Conditions
from mapkd_core.sim.world.ground_raster import GroundRaster
from mapkd_core.sim.world.solids import Solids

LAMP_HEIGHT_M = 5.5
_SQUARE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 16, endpoint=False)) for f in (np.cos, np.sin)], -1)


def light_layer(solids: Solids, conditions: Conditions, cell_m: float, size: int) -> NDArray[np.uint8]:
    """Share of the main light that reaches the ground past still solids, 255 for all; at night, of the street lamps."""
    if conditions.weather == "night":
        return _lamp_pools(solids, cell_m, size)
    light = GroundRaster(size, cell_m, 255)
    if conditions.casts_shadows:
        for outline in sun_shadows(solids, conditions):
            light.fill([outline], 0, smooth=True)
    return light.blurred(0.1)


def contact_layer(solids: Solids, cell_m: float, size: int) -> NDArray[np.uint8]:
    """Share of the sky that the ground sees under and beside still vehicles and other low things, 255 for all."""
    light = GroundRaster(size, cell_m, 255)
    for i in np.nonzero((solids.mover < 0) & (solids.centre_m[:, 2] - solids.half_m[:, 2] < 0.4))[0]:
        light.fill([_footprint(solids, i)], 60)
    return light.blurred(0.7)


def _footprint(solids: Solids, index: int) -> NDArray:
    shape = _SQUARE if solids.kind[index] == kinds.BOX else _CIRCLE
    c, s = np.cos(solids.yaw[index]), np.sin(solids.yaw[index])
    return (shape * solids.half_m[index, :2]) @ np.array([[c, s], [-s, c]]) + solids.centre_m[index, :2]


def sun_shadows(solids: Solids, conditions: Conditions) -> list[NDArray]:
    """Outlines (N, 2) on level ground of the shade of all solids that stand still."""
    sx, sy, sz = conditions.sun_direction
    per_metre = -np.array([sx, sy]) / sz
    outlines = []
    for i in np.nonzero(solids.mover < 0)[0]:
        foot = _footprint(solids, i)
        low = max(float(solids.centre_m[i, 2] - solids.half_m[i, 2]), 0.0)
        high = float(solids.centre_m[i, 2] + solids.half_m[i, 2])
        if solids.kind[i] == kinds.ELLIPSOID:  # near its rim it is thin, so its shade is a little shorter than a box's
            low, high = low * 0.6 + high * 0.4, low * 0.4 + high * 0.6
        both = np.concatenate([foot + low * per_metre, foot + high * per_metre]).astype(np.float32)
        outlines.append(cv2.convexHull(both)[:, 0])
    return outlines


def _lamp_pools(solids: Solids, cell_m: float, size: int) -> NDArray[np.uint8]:
    """Round pools of light under the heads of street lamps."""
    coarse = 8
    cells = size // coarse
    axis = (np.arange(cells, dtype=np.float32) + 0.5) * cell_m * coarse - size * cell_m / 2
    pool: NDArray[np.floating] = np.zeros((cells, cells), np.float32)
    for x, y, _ in solids.centre_m[solids.style == kinds.LAMP]:
        square = (axis[None] - x) ** 2 + (axis[:, None] - y) ** 2
        pool += (1 + square / LAMP_HEIGHT_M**2) ** -1.5
    bright = (np.clip(pool, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.resize(bright, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def moving_shade(
    conditions: Conditions,
    point: Tensor,
    centre_m: Tensor,
    half_m: Tensor,
    yaw: Tensor,
    pair_point: Tensor,
    pair_solid: Tensor,
) -> tuple[Tensor, Tensor]:
    """Shares of sun and of sky (n,) that moving solids let through to points (n, 3).

    Pairs (P,) tell which solids (K rows of centre, half extents, yaw) may shade which points. The sun's share is
    exact for boxes: a ray towards the sun meets the box or not.
    """
    sun, sky = torch.ones(len(point), device=point.device), torch.ones(len(point), device=point.device)
    offset = point[pair_point] - centre_m[pair_solid]
    c, s = torch.cos(yaw)[pair_solid], torch.sin(yaw)[pair_solid]
    x, y, z = c * offset[:, 0] + s * offset[:, 1], c * offset[:, 1] - s * offset[:, 0], offset[:, 2]
    half = half_m[pair_solid]
    gap = torch.hypot((x.abs() - half[:, 0]).clamp_min(0), (y.abs() - half[:, 1]).clamp_min(0))
    low = ((-z - half[:, 2]) < 0.6).float()  # only what is close above the ground hides the sky there
    hidden = 0.75 * torch.exp(-gap / 0.3) * low
    sky.scatter_reduce_(0, pair_point, 1 - hidden, "amin")
    if conditions.casts_shadows:
        sx, sy, sz = conditions.sun_direction
        dx, dy = c * sx + s * sy, c * sy - s * sx
        enter, leave = torch.zeros_like(x), torch.full_like(x, 1e6)
        for o, h, d in ((x, half[:, 0], dx), (y, half[:, 1], dy), (z, half[:, 2], torch.full_like(x, sz))):
            inverse = 1 / torch.where(d.abs() < 1e-9, 1e-9, d)
            enter = torch.maximum(enter, -o * inverse - h * inverse.abs())
            leave = torch.minimum(leave, -o * inverse + h * inverse.abs())
        sun.scatter_reduce_(0, pair_point, (enter > leave).float(), "amin")
    return sun, sky
