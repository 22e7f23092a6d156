"""The published networks' reference: weights and inputs by a written rule, and what the authors' code made of them."""
from __future__ import annotations

import functools
import json
import math
import os
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mapkd_core.grid import GRID_60X30, BevGrid
from mapkd_core.published.reader import PREFIX, Checkpoint
from mapkd_core.types import Batch

_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "reference"
FOLDER = Path(os.environ.get("MAPKD_REFERENCE", _BESIDE)) / "published"
ANGLES = (55, 0, -55, 110, 180, -110)
POSITIONS_M = ((1.52, 0.49, 1.51), (1.70, 0.02, 1.51), (1.55, -0.49, 1.50), (1.04, 0.48, 1.59), (0.03, 0, 1.58),
               (1.02, -0.48, 1.56))
IN_MAPTR = (1, 2, 0, 4, 3, 5)
"""Numbers of the rig's cameras in MapTR's order."""


def keys(name: str) -> dict[str, Any]:
    """`NAME.keys.json`; the test is skipped where the reference is absent."""
    path = _place(f"{name}.keys.json")
    if not path.is_file():
        pytest.skip(f"the published networks' reference is not at {FOLDER}")
    return json.loads(path.read_text())


def golden(name: str) -> dict[str, np.ndarray]:
    """The authors' outputs and features, cut."""
    with np.load(_place(f"{name}.npz")) as file:
        return dict(file)


def _place(name: str) -> Path:
    """MapTRv2's reference lies beside this file, the others' outside the repository."""
    beside = Path(__file__).with_name(name)
    return beside if beside.is_file() else FOLDER / name


def uniform(seed: int, count: int, first: int = 0) -> np.ndarray:
    """splitmix64's top 24 bits as numbers in [0, 1), from number `first` of the sequence on."""
    x = np.arange(first + 1, first + count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x *= np.uint64(0x9E3779B97F4A7C15)
        x += np.uint64(seed * 0xD1342543DE82EF95 % 2**64)
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    x >>= np.uint64(40)
    return x / 2.0**24


@functools.cache
def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """What the rule puts under a name (without `module.`); kept, since networks have most of their names in common."""
    *_, before, last = ("", "", *name.split("."))
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    seed, count = zlib.crc32(name.encode()), int(np.prod(shape))
    table = "embed" in last or (last == "weight" and "embed" in before and "embedded" not in before)
    plain = table or last == "cls_token"
    factor = 4 if "_se_" in name else 1
    if not plain and len(shape) > 1 and last not in ("running_mean", "running_var"):
        return factor * _zero_mean_rows(seed, shape[0], count // shape[0]).reshape(shape)
    s = 2 * uniform(seed, count) - 1
    if last == "running_var" or (len(shape) == 1 and last == "weight" and not table):
        s = 1 + 0.25 * s
    elif not plain:
        s *= 0.1
    return (factor * s).astype(np.float32).reshape(shape)


def _zero_mean_rows(seed: int, rows: int, length: int) -> np.ndarray:
    """Rows that the rule makes for matrices and kernels, some at a time so that they stay in the processor's cache."""
    made = np.empty((rows, length), np.float32)
    step = max(1, 2**15 // length)
    for row in range(0, rows, step):
        count = min(step, rows - row)
        s = 2 * uniform(seed, count * length, row * length).reshape(count, length) - 1
        made[row : row + count] = (s - s.mean(1, keepdims=True)) * np.sqrt(6 / length)
    return made


def state_dict(name: str, prefix: str | None = None) -> OrderedDict[str, torch.Tensor]:
    """A network's state dict as its authors' code would save it, filled by the rule."""
    reference = keys(name)
    state = OrderedDict()
    for key, shape, *_ in reference["keys"]:
        plain = key.removeprefix(reference["envelope"]["prefix"])
        value = reference.get("constants", {}).get(plain)
        if plain == "pp.frustum":
            u, v, d = np.linspace(0, 351, 22), np.linspace(0, 127, 8), np.arange(4.0, 45.0)
            array = np.stack(np.broadcast_arrays(u, v[:, None], d[:, None, None]), -1).astype(np.float32)
        elif value is not None:
            array = np.array(value, np.int64 if plain == "pp.nx" else np.float32)
        else:
            array = weight(plain, tuple(shape))
        state[key if prefix is None else prefix + plain] = torch.from_numpy(array)
    return state


def checkpoint(state: dict[str, torch.Tensor]) -> Checkpoint:
    """What is read from a file with these weights, written by `torch.save`; test_importer.py tests the reading."""
    plain = {key.removeprefix(PREFIX): value for key, value in state.items()}
    return Checkpoint(Path("authors.pt"), "0" * 64, plain, "a bare state dict")


def without_heads(state: OrderedDict[str, torch.Tensor], heads: set[str]) -> OrderedDict[str, torch.Tensor]:
    """The state dict of a training that had no instances, or no directions."""
    endings = tuple({"embedding": "_embedded", "direction": "_direction"}[head] for head in heads)
    gone = {key for key in state if any(part.endswith(endings) for part in key.split("."))} if endings else set()
    return OrderedDict((key, value) for key, value in state.items() if key not in gone)


def check_rule(name: str) -> None:
    """Holds the rule's first value and sum to the ones that the key list states, for every fiftieth name."""
    reference = keys(name)
    for key, shape, _, used, first, total in reference["keys"][::50]:
        if used != "constant":
            made = weight(key.removeprefix(reference["envelope"]["prefix"]), tuple(shape)).ravel()
            assert abs(made[0] - first) < 1e-6 * max(1, abs(first)), key
            assert abs(made.sum(dtype=np.float64) - total) < 1e-5 * max(1, abs(total)), key


def rotation(yaw_deg: float) -> np.ndarray:
    a = math.radians(yaw_deg)
    return np.array([[math.sin(a), 0, math.cos(a)], [-math.cos(a), 0, math.sin(a)], [0, -1, 0]])


def rig() -> tuple[np.ndarray, np.ndarray]:
    """Intrinsics of the 1600x900 images and `base_from_camera`, in the order of CAMERAS."""
    intrinsics, poses = np.tile(np.eye(3), (6, 1, 1)), np.tile(np.eye(4), (6, 1, 1))
    for camera, (angle, position) in enumerate(zip(ANGLES, POSITIONS_M, strict=True)):
        focal = 809 if angle == 180 else 1266
        intrinsics[camera] = [[focal, 0, 816], [0, focal, 491], [0, 0, 1]]
        poses[camera, :3, :3], poses[camera, :3, 3] = rotation(angle), position
    return intrinsics, poses


def images(height: int, width: int, order: tuple[int, ...] = (0, 1, 2, 3, 4, 5)) -> np.ndarray:
    """N 3 H W."""
    n, c, y, x = np.meshgrid(np.array(order), np.arange(3), np.arange(height), np.arange(width), indexing="ij")
    v = np.sin(0.05 * (c + 1) * x + 0.9 * n) + np.cos(0.07 * y - 0.5 * c + 0.3 * n) * np.sin(0.013 * x * (1 + 0.1 * n))
    noise = np.stack([uniform(1000 + i, 3 * height * width).reshape(3, height, width) for i in order])
    return (v + noise - 0.5).astype(np.float32)


def lidar(grid: BevGrid, count: int = 81920) -> tuple[np.ndarray, np.ndarray]:
    """P 5 points and P mask."""
    u = [uniform(2000 + k, count) for k in range(7)]
    cx, cy = np.floor(u[0] ** 2 * (grid.cols + 4)) - 2, np.floor(u[1] ** 2 * (grid.rows + 4)) - 2
    x = grid.x_range_m[0] + grid.cell_m * (cx + 0.2 + 0.6 * u[2])
    y = grid.y_range_m[0] + grid.cell_m * (cy + 0.2 + 0.6 * u[3])
    points = np.stack([x, y, u[4] * 5 - 2, u[5] * 4, np.floor(u[6] * 3) * 0.05], 1)
    mask = np.ones(count)
    mask[count - count // 8 :] = 0
    points[count - count // 8 :] = 0
    return points.astype(np.float32), mask.astype(np.float32)


def sd_raster(rows: int = 200, cols: int = 400) -> np.ndarray:
    """1 Y X of -1 and +1."""
    r, c = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    road = ((r + c // 2) % 90 < 5) | (abs(c - 130) < 3) | (abs(r - 60 - c // 16) < 3)
    return np.where(road, 1.0, -1.0).astype(np.float32)[None]


@functools.cache
def batch(grid: BevGrid = GRID_60X30) -> Batch:
    """The reference's inputs of HDMapNet and those that came after it."""
    from mapkd_core.geometry import scale_intrinsics

    intrinsics, poses = rig()
    scaled = scale_intrinsics(intrinsics, 352 / 1600, 128 / 900)
    points, mask = lidar(grid)
    tensor = lambda array: torch.from_numpy(np.asarray(array, np.float32))[None]  # noqa: E731
    return Batch(
        tensor(images(128, 352)), tensor(scaled), tensor(poses), tensor(points), tensor(mask), tensor(sd_raster())
    )


def cut(name: str, whole: np.ndarray) -> np.ndarray:
    """The part of a tensor of HDMapNet's family that the reference keeps."""
    if name in ("semantic", "embedding", "direction", "first_semantic"):
        return whole[:, :, ::7, ::9]
    if name == "image":
        return whole[:, ::5, ::3, ::3]
    if name == "views":
        return whole[:, :, ::9, ::7, ::9]
    if name == "attn":
        return whole[:, ::5]
    if name == "vit":
        return whole[:, ::13, ::7]
    channels, rows, cols = whole.shape[1:]
    return whole[:, :: max(1, channels // 12), :: max(1, math.ceil(rows / 25)), :: max(1, math.ceil(cols / 50))]


def differences(reference: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest difference of each array from the reference, divided by the standard deviation of the whole tensor."""
    result = {}
    for name, whole in found.items():
        mine = cut(name, whole)
        assert mine.shape == reference[name].shape, (name, mine.shape, reference[name].shape)
        result[name] = float(np.abs(mine - reference[name]).max() / reference[f"stat_{name}"][1])
    return result
