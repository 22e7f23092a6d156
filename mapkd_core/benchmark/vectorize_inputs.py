"""Maps and network-like outputs for `mapkd benchmark vectorize`: predictions of a known map, good and bad.

Legend: Y X grid rows and columns.
"""
from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.labels import map_elements
from mapkd_core.data.raster import rasterize
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement
from mapkd_core.vector_map import VectorMap

Array = NDArray[np.float32]


def town_maps() -> Iterator[VectorMap]:
    """Invented towns of the project's own simulator."""
    from mapkd_core.sim.roads.procedural import procedural_map

    for seed in range(4):
        yield procedural_map(100 + seed)


def real_maps(dataroot: Path) -> Iterator[VectorMap]:
    """Two nuScenes locations."""
    from mapkd_core.data.nuscenes_map import load_vector_map

    for location in ("boston-seaport", "singapore-hollandvillage"):
        yield load_vector_map(dataroot, location)


def truths_on(maps: Iterator[VectorMap], grid: BevGrid, count: int) -> list[list[MapElement]]:
    """The map elements round poses on random lanes, at places where the map is complete."""
    rng = np.random.default_rng(2026)
    truths: list[list[MapElement]] = []
    loaded = list(maps)
    for vector_map in loaded:
        coverage: Any = vector_map.extras.get("coverage") or {}
        squares = [s for key, members in coverage.items() if key != "ped_crossing" for s in members]
        taken: list[list[MapElement]] = []
        while len(taken) < -(-count // len(loaded)):
            centre = vector_map.lane_centres_m[rng.integers(len(vector_map.lane_centres_m))]
            k = rng.integers(len(centre) - 1)
            place, ahead = centre[k], centre[k + 1] - centre[k]
            reach = np.hypot(grid.x_range_m[1], grid.y_range_m[1])
            if squares and not any(max(abs(place[0] - x), abs(place[1] - y)) < half - reach for x, y, half in squares):
                continue
            pose = transform_from_yaw(place[0], place[1], np.arctan2(ahead[1], ahead[0]) + rng.normal(0, 0.05))
            taken.append(map_elements(vector_map, pose, grid, "edges"))
        truths += taken
    return truths[:count]


def branching(grid: BevGrid, count: int) -> list[list[MapElement]]:
    """Invented frames with two dividers that cross, one that leaves another along an arc, and a curb in a T."""
    frames = []
    for seed in range(count):
        rng = np.random.default_rng(700 + seed)
        angle, radius, side = rng.uniform(25, 90), rng.uniform(8, 20), rng.uniform(60, 120)
        ahead = np.array([[-8.0, 0.0], [8.0, 0.0]])
        arc = np.linspace(0, min(8 / radius, 1.2), 20)
        leaving = np.stack([radius * np.sin(arc) - 1, radius * (1 - np.cos(arc))], 1)
        figures = (
            [("divider", ahead), ("divider", _turned(ahead, angle))],
            [("divider", ahead), ("divider", leaving)],
            [("boundary", ahead), ("boundary", _turned(np.array([[0.0, 0.0], [7.0, 0.0]]), side))],
        )
        frames.append([
            MapElement(label, (_turned(points, turn) + [x, 0]).astype(np.float32))
            for x, turn, figure in zip(rng.permutation([-19, 0, 19]), rng.uniform(0, 180, 3), figures, strict=True)
            for label, points in figure
        ])
    return frames


def _turned(points: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return points @ np.array([[c, s], [-s, c]])


def saturated(elements: list[MapElement], grid: BevGrid, seed: int) -> Array:
    """Logits of a network that is right and sure: the label raster itself."""
    return 10 * rasterize(elements, grid, with_direction=False).semantic.astype(np.float32)


def ridge(elements: list[MapElement], grid: BevGrid, seed: int) -> Array:
    """Logits that fall off from the middle of each line, with a little smooth noise."""
    semantic = rasterize(elements, grid, with_direction=False).semantic
    depth = np.stack([cv2.distanceTransform(channel, cv2.DIST_L2, 5) for channel in semantic[1:]])
    logits = np.concatenate([np.zeros((1, *grid.shape)), np.where(depth > 0, 2.4 * depth - 2, -6)])
    return (logits + 0.3 * _smooth_noise(grid, seed, 1.2)).astype(np.float32)


def noisy(elements: list[MapElement], grid: BevGrid, seed: int) -> Array:
    """Logits of a blurred map under strong smooth noise: ragged widths, merged regions, false and lost stretches."""
    semantic = rasterize(elements, grid, with_direction=False).semantic.astype(np.float32)
    blurred = np.stack([cv2.GaussianBlur(channel, (0, 0), 2.0) for channel in semantic])
    return 8 * (blurred - 0.5) + 1.2 * _smooth_noise(grid, seed, 3.0)


def broken(elements: list[MapElement], grid: BevGrid, seed: int) -> Array:
    """`noisy` with eight soft holes of 0.7 to 1.6 m radius where the network saw nothing for sure."""
    logits, rng = noisy(elements, grid, seed), np.random.default_rng(seed)
    hole = np.zeros(grid.shape, np.float32)
    for _ in range(8):
        at = (int(rng.uniform(0, grid.cols)), int(rng.uniform(0, grid.rows)))
        cv2.circle(hole, at, round(rng.uniform(0.7, 1.6) / grid.cell_m), 1, -1)
    logits[1:] -= 5 * cv2.GaussianBlur(hole, (0, 0), 2)
    return logits


KINDS: dict[str, Callable[[list[MapElement], BevGrid, int], Array]] = {
    "saturated": saturated, "ridge": ridge, "noisy": noisy, "broken": broken,
}


def softmax(logits: Array) -> Array:
    """Over the first axis."""
    weights = np.exp(logits - logits.max(0))
    return (weights / weights.sum(0)).astype(np.float32)


def worst_cases(grid: BevGrid) -> Iterator[tuple[str, Array]]:
    """Probabilities that hold no map at all."""
    rng = np.random.default_rng(0)
    for smoothness in (0.0, 1.0, 3.0, 8.0):
        name = f"noise, {smoothness:g} cells smooth" if smoothness else "white noise"
        yield name, softmax(3 * _smooth_noise(grid, int(rng.integers(1 << 30)), smoothness))
    for name, channel in (("empty", 0), ("full of boundary", 3)):
        logits = np.zeros((4, *grid.shape), np.float32)
        logits[channel] = 10
        yield name, softmax(logits)
    stripes = np.zeros((4, *grid.shape), np.float32)
    stripes[1, ::4] = stripes[1, 1::4] = 10
    stripes[0] = 10 - stripes[1]
    yield "stripes", softmax(stripes)
    stripes[1, :, ::8] = stripes[1, :, 1::8] = 10
    stripes[0] = 10 - stripes[1]
    yield "lattice", softmax(stripes)


def _smooth_noise(grid: BevGrid, seed: int, cells: float) -> Array:
    noise = np.random.default_rng(seed).normal(0, 1, (4, *grid.shape)).astype(np.float32)
    if cells:
        noise = np.stack([cv2.GaussianBlur(channel, (0, 0), cells) for channel in noise])
    return noise / noise.std()


def reference_frames(folder: Path, name: str, mode: str, count: int) -> Iterator[tuple[list[MapElement], Array]]:
    """Truth and semantic logits of a reference folder's `frames.py` (grids "60x30", "120x60")."""
    frames = _module(folder / "frames.py")
    for frame in frames.make_frames(count, name):
        truth = [MapElement(CLASSES[c], points.astype(np.float32)) for c, points in frame.lines]
        yield truth, frames.network_outputs(frame, mode)[0]


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
