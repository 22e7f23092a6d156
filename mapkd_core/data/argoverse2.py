"""Sensor logs of Argoverse 2 as `Frame`s: ring cameras, poses, LiDAR and the vector map.

A frame is a sweep of the LiDAR, ten a second, or where a log has none an image of the front camera. The set's
`egovehicle` frame sits on the rear axle, 0.33 m above the ground; `base_link` is the same place on the ground. Images
are taken as undistorted, as the set's own projection does. Logs without images have frames without views: enough for
labels and LiDAR.
"""
from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.argoverse2_map import city_of, load_argoverse2_map, map_file
from mapkd_core.data.images import JpegFile
from mapkd_core.data.lidar import Sweeps
from mapkd_core.geometry import Matrix, inverse, transform
from mapkd_core.schema import FileFault
from mapkd_core.types import CameraView, Frame

if TYPE_CHECKING:
    import pyarrow

RING = (
    "ring_front_left", "ring_front_center", "ring_front_right", "ring_side_left", "ring_side_right", "ring_rear_left",
    "ring_rear_right",
)  # fmt: skip
AXLE_HEIGHT_M = 0.33
"""Of the origin of `egovehicle` above the ground (Argoverse 2's user guide)."""
LARGEST_GAP_NS = 60_000_000
"""An image farther in time from its frame belongs to another; ring cameras give twenty a second."""
_EGO_FROM_BASE = transform([0.0, 0.0, -AXLE_HEIGHT_M])
_POSE = ("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")
_REMEDY = "download the log again"


class Argoverse2Source:
    """The frames of one log, or of all logs in a folder, in order of log and time.

    `every_s` thins them: a frame at least so many seconds after the one before. `lidar_sweeps` is how many sweeps up to
    the frame `Frame.lidar()` gathers (0 for none), or `Sweeps` with some after it. Raises FileNotFoundError for a
    folder without logs, FileFault for a log that is damaged or incomplete, ModuleNotFoundError without pyarrow.
    """

    def __init__(self, folder: str | Path, every_s: float = 0.0, lidar_sweeps: int | Sweeps = 1) -> None:
        self.folder = Path(folder).expanduser()
        if every_s < 0:
            raise ValueError(f"every_s is {every_s}; expected 0 or more")
        chosen = Sweeps.of(lidar_sweeps)
        logs = [self.folder] if _is_log(self.folder) else sorted(filter(_is_log, self.folder.glob("*")))
        if not logs:
            deeper = sorted({log.parent.name for log in self.folder.glob("*/*") if _is_log(log)})
            there = f"; its folders {', '.join(deeper)} hold logs: name one of them" if deeper else ""
            raise FileNotFoundError(
                f"{self.folder} holds no log of Argoverse 2; expected city_SE3_egovehicle.feather in it or its "
                f"folders{there}"
            )
        self.frames = [frame for log in logs for frame in _Log(log, chosen).frames(every_s)]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[index]

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def mapped(self) -> Argoverse2Source:
        """The frames of logs that have a vector map."""
        return self._of([frame for frame in self.frames if frame.vector_map is not None])

    def with_images(self) -> Argoverse2Source:
        """The frames of which the images of all cameras are there; a log's first and last sweeps often have none."""
        return self._of([frame for frame in self.frames if frame.views])

    def _of(self, frames: list[Frame]) -> Argoverse2Source:
        part = object.__new__(Argoverse2Source)
        part.folder, part.frames = self.folder, frames
        return part


def _is_log(folder: Path) -> bool:
    return (folder / "city_SE3_egovehicle.feather").is_file()


@dataclass(frozen=True)
class Sweep:
    """A file of LiDAR points and the way from its `base_link` to that of the frame."""

    path: Path
    base_from_then: Matrix
    seconds_before: float


def read_sweep(path: Path) -> NDArray[np.float64]:
    """(P, 5) x, y, z in `base_link` of the sweep's stamp, intensity 0 to 255, seconds before that stamp.

    Raises FileNotFoundError, FileFault for a file that is damaged or lacks a column.
    """
    table = read_feather(path, ("x", "y", "z", "intensity", "offset_ns"))
    columns = [table.column(name).to_numpy().astype(np.float64) for name in ("x", "y", "z", "intensity", "offset_ns")]
    points = np.stack(columns, -1)
    if not np.isfinite(points).all():
        raise FileFault(f"{path} holds points that are not finite; {_REMEDY}")
    points[:, 2] += AXLE_HEIGHT_M
    points[:, 4] *= -1e-9
    return points


def gathered(sweeps: Sequence[Sweep]) -> NDArray[np.float32]:
    """(P, 5) of all sweeps, in `base_link` of the frame, in the order given."""
    parts = []
    for sweep in sweeps:
        points = read_sweep(sweep.path)
        points[:, :3] = points[:, :3] @ sweep.base_from_then[:3, :3].T + sweep.base_from_then[:3, 3]
        points[:, 4] += sweep.seconds_before
        parts.append(points.astype(np.float32))
    return np.concatenate(parts) if parts else np.zeros((0, 5), np.float32)


def read_feather(path: Path, columns: Sequence[str]) -> pyarrow.Table:
    """A table with these columns, none of which has a gap. Raises FileNotFoundError, FileFault."""
    import pyarrow
    from pyarrow import feather

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; {_REMEDY}")
    try:
        table = feather.read_table(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise FileFault(f"{path} is no Feather file: {' '.join(str(error).split())}; {_REMEDY}") from error
    lacking = [name for name in columns if name not in table.schema.names]
    if lacking or any(table.column(name).null_count for name in columns):
        fault = f"lacks the column {lacking[0]}" if lacking else "has empty cells"
        raise FileFault(f"{path} {fault}; expected {', '.join(columns)}: {_REMEDY}")
    return table


class _Log:
    """One log's files."""

    def __init__(self, folder: Path, lidar: Sweeps) -> None:
        self.folder, self.lidar = folder, lidar
        self.map = map_file(folder) if any((folder / "map").glob("log_map_archive_*.json")) else None
        poses = read_feather(folder / "city_SE3_egovehicle.feather", ("timestamp_ns", *_POSE))
        stamps, matrices = poses.column("timestamp_ns").to_numpy(), self._transforms(poses, "city_SE3_egovehicle")
        order = np.argsort(stamps, kind="stable")
        self.pose_stamps = stamps[order]
        self.poses = matrices[order]
        self.sweeps = self._stamped(folder / "sensors" / "lidar", "feather")

    def _transforms(self, table: pyarrow.Table, what: str) -> NDArray[np.float64]:
        values = np.stack([table.column(name).to_numpy().astype(np.float64) for name in _POSE], -1)
        try:
            return np.array([transform(row[4:], row[:4]) for row in values]).reshape(-1, 4, 4)
        except ValueError as error:
            raise FileFault(f"{self.folder}: {what}.feather: {error}; {_REMEDY}") from error

    @cached_property
    def mountings(self) -> dict[str, Matrix]:
        """`base_from_sensor` of each sensor."""
        table = read_feather(self.folder / "calibration" / "egovehicle_SE3_sensor.feather", ("sensor_name", *_POSE))
        matrices = self._transforms(table, "egovehicle_SE3_sensor")
        names = table.column("sensor_name").to_pylist()
        return {name: inverse(_EGO_FROM_BASE) @ m for name, m in zip(names, matrices, strict=True)}

    @cached_property
    def cameras(self) -> dict[str, tuple[Matrix, tuple[int, int]]]:
        """Intrinsics and (width, height) of each camera."""
        names = ("sensor_name", "fx_px", "fy_px", "cx_px", "cy_px", "height_px", "width_px")
        table = read_feather(self.folder / "calibration" / "intrinsics.feather", names)
        result = {}
        for row in table.select(names).to_pylist():
            fx, fy, cx, cy = (float(row[name]) for name in names[1:5])
            intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
            if not (np.isfinite(intrinsics).all() and fx > 0 and fy > 0 and row["width_px"] and row["height_px"]):
                raise FileFault(f"{self.folder}: intrinsics of {row['sensor_name']} cannot be; {_REMEDY}")
            result[row["sensor_name"]] = intrinsics, (int(row["width_px"]), int(row["height_px"]))
        return result

    @cached_property
    def images(self) -> dict[str, tuple[list[int], list[Path]]]:
        """Stamps and files of each ring camera that has images."""
        home = self.folder / "sensors" / "cameras"
        found = {name: self._stamped(home / name, "jpg") for name in RING}
        return {name: files for name, files in found.items() if files[0]}

    def _stamped(self, folder: Path, ending: str) -> tuple[list[int], list[Path]]:
        files = sorted((int(path.stem), path) for path in folder.glob(f"*.{ending}") if path.stem.isdigit())
        return [stamp for stamp, _ in files], [path for _, path in files]

    def frames(self, every_s: float) -> Iterator[Frame]:
        """The log's frames."""
        front = self.images.get("ring_front_center", ([], []))[0]
        last_ns: int | None = None
        stamps = self.sweeps[0] or front
        if not stamps:
            raise FileFault(f"{self.folder} has neither LiDAR sweeps nor images of ring_front_center; {_REMEDY}")
        for stamp in stamps:
            if last_ns is None or stamp - last_ns >= every_s * 1e9 - 1e6:
                last_ns = stamp
                yield self._frame(stamp)

    def _frame(self, stamp_ns: int) -> Frame:
        log, vector_map = self.folder.name, None
        if self.map is not None:
            vector_map = partial(load_argoverse2_map, self.map)
        views = tuple(view for name in self.images if (view := self._view(name, stamp_ns)) is not None)
        return Frame(
            token=f"{log}_{stamp_ns}", scene=log, stamp_ns=stamp_ns,
            views=views if len(views) == len(self.images) else (), map_from_base=self._pose(stamp_ns),
            vector_map=vector_map, lidar=self._lidar(stamp_ns), base_from_lidar=self.mountings.get("up_lidar"),
            conditions=(city_of(self.map),) if self.map is not None and city_of(self.map) else (),
        )  # fmt: skip

    def _view(self, name: str, stamp_ns: int) -> CameraView | None:
        stamps, files = self.images[name]
        place = _nearest(stamps, stamp_ns)
        if abs(stamps[place] - stamp_ns) > LARGEST_GAP_NS:
            return None
        if name not in self.cameras or name not in self.mountings:
            raise FileFault(f"{self.folder}: calibration/ does not know {name}, of which there are images; {_REMEDY}")
        intrinsics, size = self.cameras[name]
        return CameraView(
            name, stamps[place], size, intrinsics, self.mountings[name], JpegFile(files[place]),
            self._pose(stamps[place]),
        )  # fmt: skip

    def _pose(self, stamp_ns: int) -> Matrix:
        """`city_from_base` at the nearest stamp; the set has one for each image and sweep."""
        place = _nearest(self.pose_stamps, stamp_ns) if len(self.pose_stamps) else -1
        if place < 0 or abs(int(self.pose_stamps[place]) - stamp_ns) > LARGEST_GAP_NS:
            raise FileFault(f"{self.folder}: city_SE3_egovehicle has no pose at {stamp_ns} ns; {_REMEDY}")
        return np.asarray(self.poses[place] @ _EGO_FROM_BASE)

    def _lidar(self, stamp_ns: int) -> partial[NDArray[np.float32]] | None:
        stamps, files = self.sweeps
        if not self.lidar.until or stamp_ns not in stamps:
            return None
        place, base_from_map = stamps.index(stamp_ns), inverse(self._pose(stamp_ns))
        chosen = [place + turn for turn in self.lidar.places() if 0 <= place + turn < len(stamps)]
        return partial(gathered, tuple(
            Sweep(files[k], base_from_map @ self._pose(stamps[k]), (stamp_ns - stamps[k]) * 1e-9) for k in chosen
        ))  # fmt: skip


def _nearest(stamps: Sequence[int] | NDArray[np.int64], stamp_ns: int) -> int:
    """Place of the nearest of some stamps in order."""
    place = bisect_left(stamps, stamp_ns)  # type: ignore[type-var]
    around = [k for k in (place - 1, place) if 0 <= k < len(stamps)]
    return min(around, key=lambda k: abs(int(stamps[k]) - stamp_ns))
