"""What `mapkd benchmark latency` times: students from images to lines, other networks for their forward alone."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mapkd_core.artifact import ModelCard, card_path, load_card, load_model, note_graph, save_artifact
from mapkd_core.benchmark.latency_peer import peers
from mapkd_core.benchmark.machine import timed_ms
from mapkd_core.export.onnx_graph import example_calibration, export_onnx
from mapkd_core.frame_sources import open_frames
from mapkd_core.grid import GRID_60X30
from mapkd_core.model.build import build_model
from mapkd_core.model.student import Student
from mapkd_core.model.vector_student import VectorStudent
from mapkd_core.predictor import MapPredictor
from mapkd_core.runtime import RuntimeOptions, fold_batch_norms, graph_path
from mapkd_core.runtime.onnx_backend import ENGINES
from mapkd_core.types import IMAGE_SIZE, Batch, Frame

CAMERA_SIZE = (1600, 900)
"""nuScenes' images, in which simulated ones are encoded."""

Calibration = tuple[NDArray[np.float64], NDArray[np.float64]]


class Timed(Protocol):
    """Something that takes a set of images."""

    @property
    def run(self) -> Callable[[], dict[str, float]]:
        """One set of images; milliseconds by stage."""


@dataclass
class Contender:
    """One row of the table."""

    name: str
    backend: str
    precision: str
    parameters_m: float
    gflop: float
    megabytes: float
    """Weights, images and output: what must cross the memory at least once."""
    run: Callable[[], dict[str, float]]
    """One set of images; milliseconds by stage."""


def warm_up(contenders: Sequence[Timed]) -> None:
    """Two sets of images each, not counted."""
    for contender in contenders:
        for _ in range(2):
            contender.run()


def interleaved(contenders: Sequence[Timed], rounds: int) -> list[list[dict[str, float]]]:
    """Milliseconds by stage, per contender and round; a slow moment of the machine meets all of them."""
    times: list[list[dict[str, float]]] = [[] for _ in contenders]
    for _ in range(rounds):
        for contender, own in zip(contenders, times, strict=True):
            own.append(contender.run())
    return times


@dataclass(frozen=True)
class Images:
    """Six JPEGs with their calibration."""

    jpegs: list[bytes]
    calibration: Calibration
    origin: str


def example_images(data: str | None) -> Images:
    """The first frame of `data`, by default a simulated one enlarged to 1600x900 with a sensor's noise."""
    frames, _ = open_frames(data or "simdrive-v1:val:full:1")
    frame: Frame = frames[0]
    jpegs = [view.image.jpeg() for view in frame.views]
    matrices = np.stack([view.intrinsics for view in frame.views])
    origin = data or "a simulated frame, enlarged to 1600x900 with noise"
    rng = np.random.default_rng(0)
    for place, view in enumerate(frame.views):
        if jpegs[place] is not None:
            continue
        large = cv2.resize(view.image.rgb(), CAMERA_SIZE, interpolation=cv2.INTER_CUBIC)
        noisy = np.clip(large + rng.normal(0, 4, large.shape), 0, 255).astype(np.uint8)
        jpegs[place] = cv2.imencode(".jpg", noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        matrices[place, :2] *= np.array([[CAMERA_SIZE[0] / view.size[0]], [CAMERA_SIZE[1] / view.size[1]]])
    whole = [jpeg for jpeg in jpegs if jpeg is not None]
    average = sum(map(len, whole)) / len(whole) / 1e3
    return Images(
        whole, (matrices, np.stack([view.base_from_camera for view in frame.views])), f"{origin}, {average:.0f} kB each"
    )


def entropy_decoding_ms(given: Images) -> float:
    """Milliseconds of one core for the six JPEGs at an eighth and in gray: what no scaled decoding can leave out."""
    flags = cv2.IMREAD_REDUCED_GRAYSCALE_8
    arrays = [np.frombuffer(jpeg, np.uint8) for jpeg in given.jpegs]
    return min(timed_ms(lambda: [cv2.imdecode(data, flags) for data in arrays]) for _ in range(5))


def random_student(variant: str, folder: Path) -> Path:
    """An artifact of a student with random weights; returns its card's path."""
    options = {"variant": variant}
    card = ModelCard(f"student:{variant}", "random", "student", options, GRID_60X30, IMAGE_SIZE)
    path = folder / f"{variant}.json"
    save_artifact(path, card, build_model("student", GRID_60X30, IMAGE_SIZE, options).state_dict())
    return path


def with_graph(path: Path, options: RuntimeOptions, folder: Path) -> Path:
    """The card's path where what `options` run is there, else that of a copy in `folder` with a float32 graph."""
    if options.backend not in (*ENGINES, "openvino") or options.precision == "int8" or graph_path(path).is_file():
        return path
    fresh, card = load_model(path)
    assert isinstance(fresh, Student | VectorStudent)
    copied = folder / f"{path.stem}-with-graph.json"
    save_artifact(copied, card, fresh.state_dict())
    export_onnx(fresh, graph_path(copied), load_card(copied))
    note_graph(copied, graph_path(copied))
    return copied


def student(
    path: Path, shown: str, options: RuntimeOptions, given: Images, lines: bool, folder: Path
) -> Contender:
    """An artifact behind MapPredictor; `lines` also times the vectorizer, which on random weights means nothing.

    A graph that it lacks is written to `folder`, with a copy of the artifact.
    """
    path = with_graph(card_path(path), options, folder)
    predictor = MapPredictor.from_artifact(path, options)
    plain, card = load_model(path)
    parameters, gflop = _size(plain, _student_call(plain, card.input_size, "cpu"))

    def run() -> dict[str, float]:
        prepared = predictor.prepare(given.jpegs, *given.calibration)
        if lines:
            return predictor.complete(prepared).stage_ms
        network = timed_ms(
            lambda: predictor.runtime.infer(prepared.loaded, prepared.intrinsics, prepared.base_from_camera)
        )
        return {**prepared.stage_ms, "network": network}

    width, height = card.input_size
    bytes_moved = 4 * (1e6 * parameters + 6 * 3 * width * height + 4 * card.grid.rows * card.grid.cols)
    runtime = predictor.runtime
    return Contender(shown, runtime.backend, runtime.precision, parameters, gflop, bytes_moved / 1e6, run)


def network(name: str, device: str) -> Contender:
    """A network of model/build.py with random weights, its forward alone, in eager PyTorch."""
    model = build_model(name, GRID_60X30, IMAGE_SIZE).eval()
    fold_batch_norms(model)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images, intrinsics, poses = _inputs(device)
    batch = Batch(images, intrinsics, poses)
    config: Any = model.config
    if config.lidar:
        batch.lidar = (torch.rand(1, 81920, 5, device=device) - 0.5) * 30
        batch.lidar_mask = torch.ones(1, 81920, device=device)
    if config.sd_prior:
        batch.sd_map = torch.ones(1, 1, *GRID_60X30.shape, device=device)
    return _forward_only(name, model, lambda: model(batch), device)


def public_code(checkout: Path, device: str) -> list[Contender]:
    """HDMapNet's or P-MapNet's public code from a checkout, its forward alone."""
    inputs = _inputs(device)
    return [
        _forward_only(name, model, partial(forward, *inputs), device)
        for name, (model, forward) in peers(checkout, device).items()
    ]


def _forward_only(name: str, model: nn.Module, call: Callable[[], Any], device: str) -> Contender:
    parameters, gflop = _size(model, call)

    def run() -> dict[str, float]:
        with torch.inference_mode():
            return {"network": timed_ms(call, device)}

    bytes_moved = 4 * (1e6 * parameters + 6 * 3 * IMAGE_SIZE[0] * IMAGE_SIZE[1] + 4 * GRID_60X30.rows * GRID_60X30.cols)
    return Contender(name, "torch", "fp32", parameters, gflop, bytes_moved / 1e6, run)


def _size(model: nn.Module, call: Callable[[], Any]) -> tuple[float, float]:
    """Parameters in millions, and GFLOP of convolutions and matrix products."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        call()
    return sum(p.numel() for p in model.parameters()) / 1e6, counter.get_total_flops() / 1e9


def _student_call(model: nn.Module, size: Sequence[int], device: str) -> Callable[[], Any]:
    assert isinstance(model, Student | VectorStudent)
    with torch.inference_mode():  # a vector student's look-up holds weights, whose gradients the counter would follow
        lookup = model.lookup(*(m.to(device) for m in example_calibration(model.image_size, 6)))
    images = torch.zeros(1, 6, 3, size[1], size[0], device=device)
    return lambda: model.infer(images, lookup)  # type: ignore[arg-type] # its own kind of look-up


def _inputs(device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, intrinsics, mountings of six cameras."""
    calibrated = build_model("student", GRID_60X30, IMAGE_SIZE, {"variant": "nano"})
    assert isinstance(calibrated, Student)
    intrinsics, poses = (m.to(device) for m in example_calibration(calibrated.image_size, 6))
    return torch.randn(1, 6, 3, IMAGE_SIZE[1], IMAGE_SIZE[0], device=device), intrinsics, poses
