"""nuScenes' 13 tables for simulated drives; tokens follow from the drives' names, so an export repeats exactly."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.files import write_atomic
from mapkd_core.geometry import quaternion_from_rotation
from mapkd_core.sim.export.map_tables import SEMANTIC_PRIOR, token
from mapkd_core.sim.export.placement import PlacedDrive
from mapkd_core.types import CAMERAS

TABLES = (
    "category attribute visibility instance sensor calibrated_sensor ego_pose log scene sample sample_data "
    "sample_annotation map"
).split()
CHANNELS = (*CAMERAS, "LIDAR_TOP")


class Tables:
    """Collects the records of several drives."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        add = self._add
        for name, description in (
            ("vehicle.car", "Vehicle designed primarily for personal use."),
            ("human.pedestrian.adult", "Adult."),
        ):
            add("category", token("category", name), name=name, description=description)
        for name in ("vehicle.moving", "vehicle.parked", "pedestrian.moving"):
            add("attribute", token("attribute", name), name=name, description=name)
        for level, text in enumerate(("0 and 40%", "40 and 60%", "60 and 80%", "80 and 100%"), start=1):
            low, high = text.replace("%", "").split(" and ")
            add("visibility", str(level), level=f"v{low}-{high}", description=f"visibility is between {text}")
        for channel in CHANNELS:
            modality = "lidar" if channel == "LIDAR_TOP" else "camera"
            add("sensor", token("sensor", channel), channel=channel, modality=modality)
        for location, name in SEMANTIC_PRIOR.items():
            add("map", name, category="semantic_prior", filename=f"maps/{name}.png", log_tokens=[], location=location)

    def _add(self, table: str, token_: str, /, **fields: Any) -> str:
        self.tables[table].append({"token": token_, **fields})
        return token_

    def add_drive(self, placed: PlacedDrive, sweeps_s: list[float]) -> None:
        """Adds a scene with its log, calibration, poses, samples and readings."""
        drive = placed.drive
        assert drive.conditions is not None
        log = self._log(placed)
        calibrated = self._calibration(placed)
        samples = [token(placed.scene, "sample", k) for k in range(len(drive))]
        scene = token(placed.scene, "scene")
        weather = {"night": "Night", "wet": "Rain, overcast"}.get(drive.conditions.weather, drive.conditions.weather)
        self._add(
            "scene", scene, log_token=log, nbr_samples=len(samples), first_sample_token=samples[0],
            last_sample_token=samples[-1], name=placed.scene, description=f"Simulated drive {drive.name}, {weather}",
        )
        for k, name in enumerate(samples):
            self._add(
                "sample", name, timestamp=drive.stamp_ns(drive.time_s(k)) // 1000, scene_token=scene,
                prev=samples[k - 1] if k else "", next=samples[k + 1] if k + 1 < len(samples) else "",
            )
        times = np.stack([drive.camera_times_s(k) for k in range(len(drive))])
        for index, channel in enumerate(CAMERAS):
            readings = [(float(times[k, index]), k, True) for k in range(len(drive))]
            self._readings(placed, channel, calibrated[channel], samples, readings)
        if drive.lidar:
            readings = [(drive.time_s(k), k, True) for k in range(len(drive))]
            # A sweep belongs to the keyframe that follows it.
            keys = [time for time, _, _ in readings]
            readings += [(s, min(int(np.searchsorted(keys, s)), len(keys) - 1), False) for s in sweeps_s]
            self._readings(placed, "LIDAR_TOP", calibrated["LIDAR_TOP"], samples, sorted(readings))
        else:
            for k in range(len(drive)):
                self._pose(placed, token(placed.scene, "ego_pose", k), drive.time_s(k))

    def _log(self, placed: PlacedDrive) -> str:
        assert placed.drive.rig is not None
        log = token(placed.scene, "log")
        day = str(np.datetime64(placed.drive.start_ns, "ns").astype("datetime64[D]"))
        self._add(
            "log", log, logfile=placed.logfile, vehicle=placed.drive.rig.name, date_captured=day,
            location=placed.location,
        )
        next(m for m in self.tables["map"] if m["token"] == SEMANTIC_PRIOR[placed.location])["log_tokens"].append(log)
        return log

    def _calibration(self, placed: PlacedDrive) -> dict[str, str]:
        rig, size = placed.drive.rig, placed.drive.size
        assert rig is not None
        mounts = [camera.mount for camera in rig.cameras] + [rig.lidar]
        intrinsics: list[list] = [*rig.intrinsics(size).tolist(), []]
        return {
            channel: self._add(
                "calibrated_sensor", token(placed.scene, "calibrated_sensor", channel),
                sensor_token=token("sensor", channel), translation=list(mount.translation_m), rotation=list(mount.wxyz),
                camera_intrinsic=matrix,
            )
            for channel, mount, matrix in zip(CHANNELS, mounts, intrinsics, strict=True)
        }

    def _readings(
        self, placed: PlacedDrive, channel: str, calibrated: str, samples: list[str],
        readings: list[tuple[float, int, bool]],
    ) -> None:
        """One sensor's readings as (time, keyframe, is that keyframe), in order of time."""
        drive, is_lidar = placed.drive, channel == "LIDAR_TOP"
        stamps = [drive.stamp_ns(time) // 1000 for time, _, _ in readings]
        names = [token(placed.scene, "sample_data", channel, stamp) for stamp in stamps]
        for k, (time, sample, is_key) in enumerate(readings):
            self._pose(placed, names[k], time)
            self._add(
                "sample_data", names[k], sample_token=samples[sample], ego_pose_token=names[k],
                calibrated_sensor_token=calibrated, timestamp=stamps[k], fileformat="pcd" if is_lidar else "jpg",
                is_key_frame=is_key, height=0 if is_lidar else drive.size[1], width=0 if is_lidar else drive.size[0],
                filename=placed.file_name(channel, stamps[k], is_key), prev=names[k - 1] if k else "",
                next=names[k + 1] if k + 1 < len(names) else "",
            )

    def _pose(self, placed: PlacedDrive, name: str, time_s: float) -> None:
        """Where the vehicle is at a time. A keyframe's labels need the one at its stamp, which LiDAR has and cameras,
        that take their images a little earlier or later, have not."""
        pose = placed.map_from_base(time_s)
        self._add(
            "ego_pose", name, timestamp=placed.drive.stamp_ns(time_s) // 1000, translation=pose[:3, 3].tolist(),
            rotation=quaternion_from_rotation(pose).tolist(),
        )

    def save(self, folder: Path) -> None:
        """Writes one JSON file a table."""
        for name, records in self.tables.items():
            write_atomic(folder / f"{name}.json", json.dumps(records, indent=0))
