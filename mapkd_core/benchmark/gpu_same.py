"""Is it the same on a GPU: students, networks, methods, training steps, simulator; a part of `mapkd benchmark gpu`.

What is computed on the device stands beside the same on the CPU in float32. On `--device cpu` other ways of computing
stand in for the device, so that the comparison itself is tried.
"""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mapkd_core.benchmark.gpu_cases import Case, Setting, Values, tf32, verdict
from mapkd_core.benchmark.machine import markdown_table

if TYPE_CHECKING:
    from torch import Tensor

    from mapkd_core.sim.drive import SimDrive
    from mapkd_core.types import Frame

SEED = 23
STUDENTS = {
    "cuda": {
        ("torch", "fp32"): 1e-2, ("torchscript", "fp32"): 1e-2, ("cudagraph", "fp32"): 1e-2, ("onnx", "fp32"): 1e-2,
        ("torch", "fp16"): 2e-2, ("cudagraph", "fp16"): 2e-2, ("tensorrt", "fp32"): 1e-2, ("tensorrt", "fp16"): 3e-2,
        ("torch", "bf16"): 1e-1, ("cudagraph", "bf16"): 1e-1, ("compile", "fp32"): 1e-2, ("compile", "fp16"): 2e-2,
    },
    "cpu": {("torchscript", "fp32"): 1e-3, ("onnx", "fp32"): 1e-3},
}
"""Device -> way to run -> how far a probability may be off. cuDNN's float32 convolutions round to TF32 (10 bits)."""
WITHOUT_TF32 = 1e-3
NETWORKS = ("hdmapnet", "pmapnet_c_sd_hd", "teacher", "coach", "mapkd_student")
NETWORK_TOLERANCE = 1e-3
"""Largest difference of logits by their standard deviation, without TF32."""
MEAN_OFF, SHARE_OFF = 0.03, 2e-3
"""Of an image's codes: mean difference, and share that is off by more than two. The two ray casters of the CPU have
0.02 and 5e-4; another device rounds more operations otherwise."""
POINTS_OFF = 0.01
"""Share of LiDAR returns whose range differs by more than a centimetre."""


def cases(setting: Setting) -> Iterator[Case]:
    """Students first: they are what runs on a vehicle."""
    from mapkd_core.benchmark.gpu_same_training import training_cases

    for weights in setting.of(("nano", "small", "base"), ("nano",)):
        if setting.device == "cuda":
            yield Case(f"{weights} torch fp32 without TF32", partial(_student, setting, weights, "torch", "fp32", True))
        for backend, precision in STUDENTS[setting.device]:
            work = partial(_student, setting, weights, backend, precision, False)
            yield Case(f"{weights} {backend} {precision}", work)
    for name in setting.of(NETWORKS, ("teacher",)):
        yield Case(f"network {name}", partial(_network, setting, name))
    for weather in setting.of(("clear", "overcast", "wet", "night"), ("wet",)):
        yield Case(f"images, {weather}", partial(_images, setting, weather))
        yield Case(f"LiDAR, {weather}", partial(_points, setting, weather))
    yield from training_cases(setting)


@cache
def _frame() -> Frame:
    from mapkd_core.sim.drive import SimDrive

    return SimDrive(SEED, size=(352, 128), frames=2, lidar=False)[1]


@cache
def _expected(weights: str) -> Any:
    """The CPU's class probabilities and number of elements."""
    from mapkd_core.predictor import MapPredictor

    found = MapPredictor.from_artifact(weights, device="cpu", backend="torch").predict_frame(_frame())
    return found.probabilities, len(found.elements)


def _student(setting: Setting, weights: str, backend: str, precision: str, exact: bool) -> Values:
    from mapkd_core.artifact import card_path
    from mapkd_core.benchmark.latency_contenders import with_graph
    from mapkd_core.predictor import MapPredictor
    from mapkd_core.runtime import RuntimeOptions

    options = RuntimeOptions(device=setting.device, backend=backend, precision=precision)
    with tf32(allowed=not exact), tempfile.TemporaryDirectory() as folder:
        path = with_graph(card_path(weights), options, Path(folder))
        found = MapPredictor.from_artifact(path, options).predict_frame(_frame())
    expected, elements = _expected(weights)
    tolerance = WITHOUT_TF32 if exact else STUDENTS[setting.device][backend, precision]
    changed = float((found.probabilities.argmax(0) != expected.argmax(0)).mean())
    off = float(np.abs(found.probabilities - expected).max())
    note = f"{100 * changed:.3f} % of the cells of another class, {len(found.elements)} elements ({elements})"
    return verdict(off, tolerance, note)


def _network(setting: Setting, name: str) -> Values:
    import copy

    import torch

    from mapkd_core.benchmark.gpu_same_training import distill_config, narrow_options
    from mapkd_core.distill.probe import probe_batch
    from mapkd_core.model.build import build_model

    config = distill_config(setting)
    torch.manual_seed(SEED)
    options = narrow_options(name) if setting.tiny else {}
    network = build_model(name, config.grid, config.data.image_size, options).eval()
    batch = probe_batch(config)
    batch.images = torch.randn(batch.images.shape, generator=torch.Generator().manual_seed(SEED))
    there = copy.deepcopy(network).to(setting.device)
    with torch.inference_mode(), tf32(allowed=False):
        expected = network(batch).semantic
        found = there(batch.to(setting.device)).semantic.cpu()
    return verdict(float((found - expected).abs().max() / expected.std()), NETWORK_TOLERANCE, "by standard deviations")


def _drive(setting: Setting, weather: str) -> SimDrive:
    """Without noise: a device draws other random numbers than the CPU."""
    from mapkd_core.sim.drive import SimDrive

    drive = SimDrive(SEED, size=setting.of((352, 128), (64, 32)), frames=2).in_weather(weather)
    assert drive.conditions is not None
    return replace(drive, conditions=replace(drive.conditions, noise=0.0))


def _images(setting: Setting, weather: str) -> Values:
    from mapkd_core.sim.render.renderer import Renderer

    drive = _drive(setting, weather)
    expected = drive.render(1).astype(int)
    there = Renderer(drive.world, setting.device, ray_caster="tensors")
    shots = drive.shots((1,))._asdict()
    found, again = (there.images_tensor(**shots).cpu().numpy() for _ in range(2))
    off = np.abs(found - expected)
    share = float((off > 2).mean())
    repeated = "the same bytes when repeated" if (found == again).all() else "other bytes when repeated"
    note = f"mean {off.mean():.4f} of 255 (at most {MEAN_OFF}), largest {off.max()}; {repeated}"
    return {**verdict(share, SHARE_OFF, note), "same": bool(share <= SHARE_OFF and off.mean() <= MEAN_OFF)}


def _points(setting: Setting, weather: str) -> Values:
    import torch

    from mapkd_core.sim.render.lidar import HDL32E, tensor_returns

    drive = _drive(setting, weather)
    times = HDL32E.times_s(drive.time_s(1))
    poses = np.repeat((drive.motion.pose(drive.time_s(1)) @ drive.rig.base_from_lidar)[None], len(times), 0)  # type: ignore[union-attr]
    poses[:, :2, 3] -= drive.world.centre_m
    azimuth, elevation = HDL32E.azimuths()[:, None], HDL32E.elevations()
    ahead = np.stack([
        np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation) + 0 * azimuth
    ], -1)  # fmt: skip
    world = drive.world
    expected = _range(tensor_returns(world, torch.device("cpu"), poses, ahead, times, HDL32E))
    moved = replace(world, ground=world.ground.to(setting.device), noise=world.noise.to(setting.device))
    found = _range(tensor_returns(moved, torch.device(setting.device), poses, ahead, times, HDL32E))
    met = expected < HDL32E.range_m
    share = float((np.abs(found - expected)[met] > 0.01).mean())
    return verdict(share, POINTS_OFF, f"of {int(met.sum())} returns")


def _range(returns: Any) -> np.ndarray:
    first: Tensor = returns[0]
    return first.cpu().numpy()


def table(values: dict[str, Values]) -> str:
    """What is off by how much, and a count."""
    rows = [
        [name, f"{found['off']:.2g}", f"{found['tolerance']:.2g}", "yes" if found["same"] else "**no**", found["note"]]
        for name, found in values.items()
    ]
    good = sum(found["same"] for found in values.values())
    heads = ("compared with the CPU", "off by", "at most", "same", "")
    return f"{good} of {len(values)} are the same within their tolerances.\n\n{markdown_table(heads, rows)}\n"
