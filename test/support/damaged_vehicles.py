"""Readers of what a vehicle brings, with small sound files for each: rigs, calibrations, parameters, bags."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
from damaged_reader import Reader, jpeg, write_json

from mapkd_core.cameras.calibration import camera_model
from mapkd_core.cameras.rig_file import load_rig
from mapkd_core.commands.predict import _from_files


def _make_calibration(folder: Path) -> None:
    camera = {"intrinsics": [[50, 0, 32], [0, 50, 18], [0, 0, 1]],
              "base_from_camera": [[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.6], [0, 0, 0, 1]]}  # fmt: skip
    write_json(folder / "rig.json", {"front": camera, "rear": camera})
    for name in ("front", "rear"):
        (folder / f"{name}.jpg").write_bytes(jpeg())


def _read_calibration(folder: Path) -> None:
    _from_files([folder / "front.jpg", folder / "rear.jpg"], folder / "rig.json")

_RIG = """image: /camera/{name}/image_raw
cameras:
  front:
    calibration: {size: [64, 36], K: [50, 50, 32, 18], D: [0.1, -0.02, 0.001, 0.0], distortion_model: plumb_bob}
    base_from_camera: {xyz: [1.5, 0.0, 1.6], yaw_pitch_roll_deg: [10, 1, 0]}
    mask: mask.png
  rear:
    image: /rear/compressed
    camera_info: /rear/info
    rectified: true
    frame: rear_optical
    base_from_camera: {xyz: [0, 0, 1.6], quaternion_xyzw: [-0.5, 0.5, -0.5, 0.5]}
    mask: [[[0, 0], [9, 0], [0, 9]]]
"""


def _make_rig(folder: Path) -> None:
    (folder / "rig.yaml").write_text(_RIG)
    (folder / "mask.png").write_bytes(bytes(cv2.imencode(".png", np.full((9, 16), 255, np.uint8))[1]))


def _make_params(folder: Path) -> None:
    (folder / "student_node.yaml").write_text(
        "/**:\n  ros__parameters: {weights: nano, threads: 2, cameras: [front, rear]}\n"
        "student_node:\n  ros__parameters: {rate: 2.5, qos_overrides: {/tf: {depth: 3}}}\n"
    )


def _read_params(folder: Path) -> None:
    from mapkd_ros.params_file import parameters_for

    parameters_for(folder / "student_node.yaml", "/car/student_node")


def _make_info(folder: Path) -> None:
    write_json(folder / "info.json", {
        "width": 64, "height": 36, "k": [50.0, 0, 32, 0, 50, 18, 0, 0, 1], "r": [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        "p": [50.0, 0, 32, 0, 0, 50, 18, 0, 0, 0, 1, 0], "d": [0.1, 0.01, 0.0, 0.0, 0.0],
        "distortion_model": "plumb_bob", "binning_x": 0, "binning_y": 0, "roi": [0, 0, 0, 0],
    })  # fmt: skip


def _read_info(folder: Path) -> None:
    """What fits a CameraInfo's types, as every message does, becomes one."""
    try:
        given = json.loads((folder / "info.json").read_bytes())
        whole = {key: int(given[key]) for key in ("width", "height", "binning_x", "binning_y")}
        roi = dict(zip(("x_offset", "y_offset", "width", "height"), map(int, given["roi"]), strict=True))
        floats = {key: np.array(given[key], np.float64).reshape(size) for key, size in (("k", 9), ("r", 9), ("p", 12))}
        floats["d"] = np.array(given["d"], np.float64).reshape(-1)
        model = str(given["distortion_model"])
        if not all(0 <= v < 2**32 for v in (*whole.values(), *roi.values())):
            return
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError, IndexError):
        return
    info = SimpleNamespace(**whole, **floats, distortion_model=model, roi=SimpleNamespace(**roi))
    for rectified in (False, True):
        camera_model(info, rectified)


def _make_bag(storage: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from bags import point, string, transform_message, write

        messages = [(10**9 + k, "/a", string("x" * k)) for k in range(8)]
        messages += [(10**9 + 20, "/tf", transform_message(10**9, "camera")), (10**9 + 30, "/p", point(10**9, 1.0))]
        write(folder / "bag", messages, storage)

    return make


def _read_bag(folder: Path) -> None:
    from mapkd_core.bags.reader import BagReader

    with BagReader(folder / "bag") as bag:
        for message in bag.messages():
            bytes(message.data)

READERS = (
    Reader("calibrations of images", _make_calibration, _read_calibration, keep=(".jpg",)),
    Reader("rig files and masks", _make_rig, lambda folder: load_rig(folder / "rig.yaml")),
    Reader("camera_info", _make_info, _read_info),
    Reader("parameter files", _make_params, _read_params),
    Reader("bags, MCAP", _make_bag("mcap"), _read_bag, costly=True),
    Reader("bags, sqlite3", _make_bag("sqlite3"), _read_bag, costly=True),
)  # fmt: skip
