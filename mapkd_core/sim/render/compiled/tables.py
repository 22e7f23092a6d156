"""What the kernels know of a world, of a batch of views, and of the solids in them: plain float32 arrays.

Legend: V views, K candidates, S solids.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.sim.render import cameras
from mapkd_core.sim.render.compiled.textures import Grid, Texture
from mapkd_core.sim.render.light import light_of
from mapkd_core.sim.world.ground import EDGE_CELL_M
from mapkd_core.sim.world.world import World

F = np.float32
Floats = NDArray[np.float32]


class WorldTable(NamedTuple):
    """A `World` and its light."""

    night: bool
    wet: bool
    covered: bool
    casts_shadows: bool
    tropical: bool
    sun_direction: Floats
    sun: Floats
    sky: Floats
    zenith: Floats
    horizon: Floats
    asphalt: Floats
    visibility_m: np.float32
    curb_m: np.float32
    hilly: bool
    waves: tuple[np.float32, ...]
    """Twelve numbers: amplitude, wave numbers and phase of three waves."""
    steepest: np.float32
    peak_m: np.float32
    """No hill is higher."""
    surface: Texture
    verge: Texture
    edge: Grid
    noise: Grid
    kind: NDArray[np.int32]
    half_m: Floats
    style: NDArray[np.int32]
    color: Floats
    accent: Floats
    detail: Floats

    @classmethod
    def of(cls, world: World) -> WorldTable:
        """Shares all large arrays with the world, which must be on the CPU."""
        conditions, ground, solids = world.conditions, world.ground, world.solids
        light = light_of(conditions)
        waves = np.zeros((3, 4), F)
        waves[: len(world.terrain.waves)] = np.reshape(world.terrain.waves, (-1, 4))
        x_m, y_m = (F(value) for value in ground.origin_m)
        edge, noise = ground.edge_m.numpy(), world.noise.numpy()
        return cls(
            conditions.weather == "night", conditions.weather == "wet", light.covered, conditions.casts_shadows,
            conditions.palette == "tropical",
            np.array(conditions.sun_direction, F), np.array(light.sun, F), np.array(light.sky, F),
            np.array(light.zenith, F), np.array(light.horizon, F), np.array(world.asphalt, F),
            F(conditions.visibility_m), F(world.curb_m),
            bool(world.terrain.waves), tuple(waves.ravel()),
            F(sum(a * float(np.hypot(kx, ky)) for a, kx, ky, _ in world.terrain.waves)),
            F(sum(abs(wave[0]) for wave in world.terrain.waves) + 0.01),
            Texture.of(ground.surface), Texture.of(ground.verge),
            Grid(edge.reshape(-1), edge.shape[0], F(1 / EDGE_CELL_M), x_m, y_m),
            Grid(noise.reshape(-1), noise.shape[0], F(1), F(0), F(0)),
            solids.kind, solids.half_m, solids.style, solids.color, solids.accent, solids.detail,
        )


class CandidateTable(NamedTuple):
    """Which solids a view's rays may meet; those of view v are `first[v]` to `first[v + 1]`."""

    first: NDArray[np.int64]
    solid: NDArray[np.int64]
    rect: NDArray[np.int64]
    """(K, 4) first row, end row, first column, end column."""
    centre_m: Floats
    origin: Floats
    """(K, 3) the view's origin in the solid's own axes."""
    cos: Floats
    sin: Floats


class ViewTable(NamedTuple):
    """A batch of pinhole cameras in the world's coordinates."""

    width: int
    height: int
    origin: Floats
    """(V, 3)."""
    corner: Floats
    step_u: Floats
    step_v: Floats
    headlights: Floats
    """(V, 12) transforms into `base_link`, row by row; empty where they are off."""

    @classmethod
    def of(cls, views: cameras.Views, base_from_world: NDArray | None, night: bool) -> ViewTable:
        """`base_from_world` (V, 4, 4) or None, as in `Scene`."""
        corner, step_u, step_v = (
            np.ascontiguousarray(step.numpy())
            for step in cameras.pixel_steps(views.intrinsics, views.pose[:, :3, :3], "cpu")
        )
        headlights: Floats = np.zeros((0, 12), F)
        if base_from_world is not None and night:
            headlights = np.ascontiguousarray(base_from_world[:, :3].reshape(-1, 12).astype(F))
        return cls(
            *views.size, np.ascontiguousarray(views.pose[:, :3, 3].astype(F)), corner, step_u, step_v, headlights
        )
