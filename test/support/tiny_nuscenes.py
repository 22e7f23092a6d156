"""Writes a tiny folder in nuScenes' format: real tables that the devkit reads, images of one colour each."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from mapkd_core.types import CAMERAS

VERSION = "v1.0-mini"
SIZE = (64, 36)
PERIOD_US = 500_000
OFFSETS_US = {name: -40_000 + 7_000 * place for place, name in enumerate(CAMERAS)}
"""Each camera fires at its own time before the keyframe's stamp."""


def first_stamp_us(scene: int) -> int:
    """Scenes lie a day apart, and backwards: as nuScenes' do, they come in no order of time."""
    return 1_600_000_000_000_000 - scene * 86_400_000_000


def write_tiny_nuscenes(root: Path, keyframes_of: dict[str, int], version: str = VERSION) -> Path:
    """A folder with these scenes and numbers of keyframes; the vehicle drives 5 m along x between keyframes."""
    tables: dict[str, list[dict]] = {name: [] for name in ("attribute", "category", "instance", "sample_annotation")}
    tables["visibility"] = []
    tables["sensor"] = [{"token": f"sensor-{name}", "channel": name, "modality": "camera"} for name in CAMERAS]
    tables["sensor"].append({"token": "sensor-LIDAR_TOP", "channel": "LIDAR_TOP", "modality": "lidar"})
    tables["calibrated_sensor"] = [_calibration(name, place) for place, name in enumerate(CAMERAS)]
    tables["calibrated_sensor"].append(
        {"token": "cal-LIDAR_TOP", "sensor_token": "sensor-LIDAR_TOP", "translation": [1.0, 0.0, 1.8],
         "rotation": [1.0, 0.0, 0.0, 0.0], "camera_intrinsic": []}
    )  # fmt: skip
    for table in ("scene", "sample", "sample_data", "ego_pose", "log"):
        tables[table] = []
    for place, (scene, count) in enumerate(keyframes_of.items()):
        _add_scene(root, tables, scene, place, count)
    tables["map"] = [
        {"token": "map", "category": "semantic_prior", "filename": "maps/map.png",
         "log_tokens": [log["token"] for log in tables["log"]]}
    ]  # fmt: skip
    (root / "maps").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / "maps" / "map.png"), np.zeros((4, 4), np.uint8))
    (root / version).mkdir()
    for name, rows in tables.items():
        (root / version / f"{name}.json").write_text(json.dumps(rows))
    return root


def _calibration(name: str, place: int) -> dict:
    return {
        "token": f"cal-{name}",
        "sensor_token": f"sensor-{name}",
        "translation": [1.0 + 0.1 * place, 0.5, 1.5],
        "rotation": [0.5, -0.5, 0.5, -0.5],
        "camera_intrinsic": [[50.0 + place, 0.0, 32.0], [0.0, 51.0, 18.0], [0.0, 0.0, 1.0]],
    }


def _add_scene(root: Path, tables: dict[str, list[dict]], scene: str, place: int, count: int) -> None:
    log = {"token": f"log-{scene}", "logfile": f"log-{scene}", "vehicle": "v", "date_captured": "2020-09-13",
           "location": "boston-seaport"}  # fmt: skip
    tables["log"].append(log)
    tokens = [f"{scene}-{index}" for index in range(count)]
    tables["scene"].append(
        {"token": scene, "log_token": log["token"], "nbr_samples": count, "first_sample_token": tokens[0],
         "last_sample_token": tokens[-1], "name": scene, "description": "a straight road"}
    )  # fmt: skip
    for index, token in enumerate(tokens):
        stamp_us = first_stamp_us(place) + index * PERIOD_US
        tables["sample"].append(
            {"token": token, "timestamp": stamp_us, "scene_token": scene, "prev": tokens[index - 1] if index else "",
             "next": tokens[index + 1] if index + 1 < count else ""}
        )  # fmt: skip
        for camera_place, name in enumerate(CAMERAS):
            image = f"samples/{name}/{token}.jpg"
            _write_image(root / image, colour=10 * camera_place + 60 * index)
            _add_data(tables, token, name, stamp_us + OFFSETS_US[name], image, *SIZE)
        points = f"samples/LIDAR_TOP/{token}.pcd.bin"
        (root / points).parent.mkdir(parents=True, exist_ok=True)
        np.array([[10, 0, -1.8, 30, 4], [0, 20, 0, 60, 5]], np.float32).tofile(root / points)
        _add_data(tables, token, "LIDAR_TOP", stamp_us, points, 0, 0)


def _write_image(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((SIZE[1], SIZE[0], 3), colour % 256, np.uint8))


def _add_data(tables: dict, sample: str, sensor: str, stamp_us: int, filename: str, width: int, height: int) -> None:
    token = f"{sample}-{sensor}"
    metres = (stamp_us % (10 * PERIOD_US)) / PERIOD_US * 5.0
    tables["ego_pose"].append(
        {"token": token, "timestamp": stamp_us, "translation": [metres, 7.0, 0.0], "rotation": [1.0, 0.0, 0.0, 0.0]}
    )
    tables["sample_data"].append(
        {"token": token, "sample_token": sample, "ego_pose_token": token, "calibrated_sensor_token": f"cal-{sensor}",
         "timestamp": stamp_us, "fileformat": filename.rsplit(".", 1)[1], "is_key_frame": True, "height": height,
         "width": width, "filename": filename, "prev": "", "next": ""}
    )  # fmt: skip


def add_what_all_of_nuscenes_has(folder: Path) -> None:
    """To the tables in a folder: a radar, sweeps between keyframes of every sensor, annotations."""
    tables = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    tables["sensor"].append({"token": "sensor-RADAR_FRONT", "channel": "RADAR_FRONT", "modality": "radar"})
    lidar = next(row for row in tables["calibrated_sensor"] if row["token"] == "cal-LIDAR_TOP")
    tables["calibrated_sensor"].append(lidar | {"token": "cal-RADAR_FRONT", "sensor_token": "sensor-RADAR_FRONT"})
    for keyframe in list(tables["sample_data"]):
        stamp_us = keyframe["timestamp"] + PERIOD_US // 4
        sweep = {"token": f"{keyframe['token']}-sweep", "ego_pose_token": f"{keyframe['token']}-sweep",
                 "timestamp": stamp_us, "is_key_frame": False, "prev": keyframe["token"],
                 "filename": keyframe["filename"].replace("samples/", "sweeps/")}  # fmt: skip
        tables["sample_data"].append(keyframe | sweep)
        pose = {"token": sweep["token"], "timestamp": stamp_us, "translation": [0.0, 0.0, 0.0]}
        tables["ego_pose"].append(pose | {"rotation": [1.0, 0.0, 0.0, 0.0]})
        if keyframe["calibrated_sensor_token"] == "cal-LIDAR_TOP":
            name = keyframe["filename"].replace("LIDAR_TOP", "RADAR_FRONT")
            radar = {"token": f"{keyframe['token']}-radar", "calibrated_sensor_token": "cal-RADAR_FRONT"}
            tables["sample_data"].append(keyframe | radar | {"filename": name, "is_key_frame": True})
    for sample in tables["sample"]:
        thing = {"token": f"thing-{sample['token']}", "sample_token": sample["token"], "instance_token": "thing"}
        tables["sample_annotation"].append(thing | {"translation": [1.0, 2.0, 0.5], "size": [2.0, 4.0, 1.5]})
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows))
