"""Camera images of a world on the CPU's compiled ray caster.

Legend: V views, H W pixels.
"""
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from mapkd_core.sim.kernel import tell_if_new
from mapkd_core.sim.render import cameras
from mapkd_core.sim.render.compiled.candidates import MIRRORED, NONE, SHADED, SHOWN, candidates
from mapkd_core.sim.render.compiled.chance import normals
from mapkd_core.sim.render.compiled.develop import CODES, STARTS, blur_rows, develop_rows
from mapkd_core.sim.render.compiled.movers import Movers
from mapkd_core.sim.render.compiled.scene import Room, light_rows
from mapkd_core.sim.render.compiled.sweep import CompiledSweeps
from mapkd_core.sim.render.compiled.tables import Floats, ViewTable, WorldTable
from mapkd_core.sim.render.own_body import OwnBody
from mapkd_core.sim.world.world import World

F = np.float32


class CompiledCameras:
    """Renders batches of views; the same arguments give the same bytes on any number of threads."""

    def __init__(self, world: World, antialias: bool, own_body: OwnBody | None) -> None:
        """`world` must be on the CPU; the rest as in `Renderer`."""
        self.world, self.antialias, self.own_body = world, antialias, own_body
        self.table = WorldTable.of(world)
        self.movers = Movers.of(world.solids)
        self.sweeps = CompiledSweeps(world, self.table, self.movers)

    def images(
        self, views: cameras.Views, base: NDArray | None, base_from_world: NDArray | None, after: NDArray | None,
        seed: int,
    ) -> NDArray[np.uint8]:
        """(V, H, W, 3) images of one batch; poses as in `Renderer`, in the world's coordinates."""
        world, conditions, (width, height) = self.world, self.world.conditions, views.size
        shape = (len(views.times_s), height, width)
        table = ViewTable.of(views, base_from_world, self.table.night)
        found = (SHOWN, SHADED, MIRRORED) if self.table.wet else (SHOWN, SHADED)
        seen = [candidates(world, self.table, self.movers, views, table.origin, what) for what in found]
        scene = (self.table, table, *seen) if self.table.wet else (self.table, table, *seen, NONE)
        radiance: Floats = np.empty((*shape, 3), F)
        distance, tone = np.empty(shape, F), np.empty(shape, F)
        target = np.empty(shape, np.int32)
        gain = F(cameras.gain_of(conditions))
        rows = shape[0] * height
        light = radiance, distance, target, tone
        tell_if_new("scene.light_rows")
        for smooth in (False, True) if self.antialias else (False,):
            in_threads(rows, partial(_light, scene, smooth, gain, light))
        if after is not None and conditions.motion_blur_s > 0:
            radiance = self._blurred(views, table, after, radiance, distance)
        if self.own_body is not None and base is not None:
            radiance = self.own_body.drawn(torch.from_numpy(radiance), world, views, base).numpy()
        image = np.empty((*shape, 3), np.uint8)
        noise_gain = F(conditions.noise * 0.6)
        noise = normals(seed, (rows, 3 * width)) if noise_gain > 0 else np.empty((0, 0), F)
        look = gain, F(conditions.vignetting), F(conditions.saturation), noise_gain, noise, CODES, STARTS
        lines = image.reshape(rows, -1)
        in_threads(rows, lambda a, b: develop_rows(a, b, np.empty(3 * width, F), radiance, *look, lines))
        return image

    def _blurred(
        self, views: cameras.Views, table: ViewTable, after: NDArray, radiance: Floats, distance: Floats
    ) -> Floats:
        after_from_world = np.swapaxes(after[:, :3, :3], 1, 2)
        project = np.ascontiguousarray((views.intrinsics @ after_from_world).astype(F))
        shift = np.ascontiguousarray((views.pose[:, :3, 3] - after[:, :3, 3]).astype(F))
        result = np.empty_like(radiance)
        rows = radiance.shape[0] * radiance.shape[1]
        moves = 2, views.size[0]
        in_threads(
            rows,
            lambda a, b: blur_rows(table, project, shift, a, b, np.empty(moves, F), radiance, distance, result),
        )
        return result


def _light(scene: tuple, smooth: bool, gain: np.float32, light: tuple, start: int, stop: int) -> None:
    light_rows(scene, start, stop, smooth, gain, Room.of(scene[1].width), *light)


def in_threads(rows: int, work: Callable[[int, int], None]) -> None:
    """Does `work(start, stop)` for all rows, on as many threads as torch may use; rows do not know each other."""
    threads = min(torch.get_num_threads(), rows)
    if threads == 1:
        work(0, rows)
        return
    # Sky costs less than street: each thread takes several stretches.
    bounds = np.linspace(0, rows, min(threads * 8, rows) + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, a, b) for a, b in pairwise(bounds)]:
            done.result()
