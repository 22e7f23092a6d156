"""A drive in a bag as frames: images of any rig, each with its calibration and the vehicle's pose at its own stamp.

    frames = BagFrames("drive.mcap")
    labelled = frames.labelled(road_map)
    print(len(labelled), [view.name for view in labelled[0].views])

The bag is read once for stamps and poses, and again, from front to back, for images as frames are asked for.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.bag_images import StraightImage
from mapkd_core.bags.camera_sets import CalibratedSet, CameraSets, thinned
from mapkd_core.bags.ego_poses import EgoPoses, read_poses
from mapkd_core.bags.reader import BagReader
from mapkd_core.bags.sensor_fields import BASE_FRAME
from mapkd_core.cameras.calibration import Tables
from mapkd_core.cameras.rig import CameraRig
from mapkd_core.cameras.timed_transforms import NoTransformError
from mapkd_core.data.labels import local_map
from mapkd_core.data.polylines import Range
from mapkd_core.files import fingerprint
from mapkd_core.progress import Progress
from mapkd_core.types import CameraView, Frame
from mapkd_core.vector_map import VectorMap

LABELLED = Range((-30.0, 30.0), (-15.0, 15.0))
"""A frame is learnt from where the map has a line in this rectangle about the vehicle."""
_PIECE = 1024
_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class BagOptions:
    """How frames are taken from a bag."""

    base_frame: str = BASE_FRAME
    pose_frame: str = ""
    """Fixed frame of the poses; by default map, else odom, else that of the Odometry."""
    odometry: str = ""
    """Topic of the poses, in place of /tf."""
    every_s: float = 0.4
    """Frames are at least so far apart: of cameras that send twice a second, a little unevenly, all are taken."""
    time_offset_s: float = 0.0
    """Added to the images' stamps to have the poses' time."""


@dataclass(frozen=True, eq=False)
class _Moment:
    place: int
    """Which of the bag's complete sets, thinned."""
    stamp_ns: int
    map_from_base: NDArray[np.float64]
    of_cameras: tuple[NDArray[np.float64] | None, ...]
    """`map_from_base` at each camera's own stamp."""


class BagFrames:
    """Frames by index; quickest in order. Sets that lack a camera or a pose are left out and counted in `faults`.

    `note` is told what was found. Raises FileFault for a bag without cameras or poses, ValueError where no frame
    comes about or cameras' names are none that files can have.
    """

    def __init__(
        self,
        path: str | Path,
        rig: CameraRig | None = None,
        options: BagOptions | None = None,
        note: Callable[[str], object] = print,
    ) -> None:
        self.path, self.options = Path(path), options or BagOptions()
        self.scene = self.path.resolve().stem
        self.faults: Counter[str] = Counter()
        self.vector_map: VectorMap | None = None
        self.map_from_poses = np.eye(4)
        """(4, 4) moves the poses into the map."""
        self.moments: list[_Moment] = []
        self._sets: Iterator[CalibratedSet] | None = None
        self._next = 0
        self._tables: Tables = {}
        self._read(rig, note)

    def __len__(self) -> int:
        return len(self.moments)

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Frame:
        moment = self.moments[index]
        if self._sets is None or self._next > moment.place:
            self._restart()
            self._sets = self._walk()
        for one in self._sets:
            self._next += 1
            if self._next > moment.place:
                return self._frame(one, moment)
        raise ValueError(f"{self.path} holds fewer images than when it was opened; was it changed meanwhile?")

    def __getstate__(self) -> dict[str, object]:
        """A worker opens the bag itself."""
        return {**self.__dict__, "_sets": None, "_next": 0, "_tables": {}}

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names, in the order of a frame's views."""
        return self.rig.names

    @property
    def fingerprint(self) -> str:
        """Of stamps, poses, calibrations, a piece of each image, and the map."""
        parts: list[bytes] = [self._seen, *(self._pose(m.map_from_base).tobytes() for m in self.moments)]
        if self.vector_map is not None:
            road = self.vector_map
            lines = [*(line.points_m for line in road.dividers), *road.boundaries_m]
            parts += [np.ascontiguousarray(line).tobytes() for line in lines]
            parts += [area.wkb for area in (*road.crossings, *road.road_segments, *road.lanes)]
        return fingerprint(*parts)

    def moved(self, map_from_poses: NDArray[np.float64]) -> BagFrames:
        """The same frames with poses that are moved into a map's frame."""
        result = self._again()
        result.map_from_poses = map_from_poses @ self.map_from_poses
        return result

    def labelled(self, vector_map: VectorMap) -> BagFrames:
        """The frames that have a line of the map about them, with that map."""
        result = self._again()
        result.vector_map = vector_map
        result.moments = [m for m in self.moments if _has_lines(vector_map, self._pose(m.map_from_base))]
        return result

    def poses(self) -> NDArray[np.float64]:
        """(F, 4, 4) `map_from_base` of all frames."""
        return np.stack([self._pose(moment.map_from_base) for moment in self.moments])

    def _again(self) -> BagFrames:
        result = copy(self)
        result._restart()
        return result

    def _restart(self) -> None:
        self._sets, self._next, self._tables = None, 0, {}

    def _pose(self, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.map_from_poses @ pose, np.float64)

    def _read(self, rig: CameraRig | None, note: Callable[[str], object]) -> None:
        """Finds cameras, stamps and poses."""
        with BagReader(self.path) as bag:
            poses = read_poses(bag, self.options.pose_frame, self.options.base_frame, self.options.odometry)
            self.pose_frame = poses.frame
            cameras = CameraSets(bag, rig, note, self.options.base_frame)
            self.rig = cameras.rig
            _check_names(self.rig.names)
            for line in [*bag.notes, *cameras.describe()]:
                note(line)
            note(f"poses of {self.options.base_frame} in {poses.frame} from {poses.source}")
            if any(camera.mask is not None for camera in self.rig.cameras):
                note("masks of the rig are not kept: a network trained from these frames sees the vehicle's own body")
            parts: list[bytes] = []
            with Progress("read", None if self.options.every_s else cameras.anchor_images, "set") as bar:
                for place, one in enumerate(self._complete(cameras)):
                    bar.update()
                    parts += _sketch(one)
                    moment = self._moment(place, one, poses)
                    if moment is not None:
                        self.moments.append(moment)
            self.faults += cameras.not_formed()
            self.faults.update(bag.faults)
        self._seen = fingerprint(*parts).encode()
        if not self.moments:
            why = self.faults.most_common(1)
            raise ValueError(
                f"{self.path}: no frame: {why[0][0] if why else 'no set of images of all its cameras'}; expected "
                f"images of {', '.join(self.rig.names)} with poses of the same clock around them"
            )

    def _walk(self) -> Iterator[CalibratedSet]:
        with BagReader(self.path) as bag:
            yield from self._complete(CameraSets(bag, self.rig, lambda _: None, self.options.base_frame), False)

    def _complete(self, cameras: CameraSets, count: bool = True) -> Iterator[CalibratedSet]:
        def complete() -> Iterator[CalibratedSet]:
            for one in cameras.sets():
                if one.cameras == self.rig.names:
                    yield one
                elif count:
                    lost = ", ".join(name for name in self.rig.names if name not in one.cameras)
                    self.faults[f"without {lost}: training needs all cameras in each frame"] += 1

        return thinned(complete(), self.options.every_s)

    def _moment(self, place: int, one: CalibratedSet, poses: EgoPoses) -> _Moment | None:
        offset_ns = round(self.options.time_offset_s * 1e9)
        try:
            pose = poses.at(one.stamp_ns + offset_ns)
        except NoTransformError as error:
            apart = re.sub(r"[+-]?\d+\.\d+ s", "too far", str(error)) if self.moments else str(error)
            self.faults[f"no pose in {poses.frame}: {apart}"] += 1
            return None
        of_cameras: list[NDArray[np.float64] | None] = []
        for stamp_ns in one.stamps_ns:
            try:
                of_cameras.append(poses.at(stamp_ns + offset_ns))
            except NoTransformError:
                of_cameras.append(None)
        return _Moment(place, one.stamp_ns, pose, tuple(of_cameras))

    def _frame(self, one: CalibratedSet, moment: _Moment) -> Frame:
        views = tuple(
            CameraView(
                name, stamp_ns, model.size, model.intrinsics, mounting, StraightImage(source, model, self._tables),
                None if pose is None else self._pose(pose),
            )
            for name, stamp_ns, model, mounting, source, pose in zip(
                one.cameras, one.stamps_ns, one.models, one.base_from_camera, one.sources, moment.of_cameras,
                strict=True,
            )
        )  # fmt: skip
        frame = Frame(
            f"{self.scene}:{moment.stamp_ns}", self.scene, moment.stamp_ns, views, self._pose(moment.map_from_base)
        )
        return frame if self.vector_map is None else replace(frame, vector_map=partial(_itself, self.vector_map))


def _itself(vector_map: VectorMap) -> VectorMap:
    return vector_map


def _has_lines(vector_map: VectorMap, map_from_base: NDArray[np.float64]) -> bool:
    local = local_map(vector_map, map_from_base, LABELLED)
    return bool(local.dividers or local.crossings or local.boundaries)


def _sketch(one: CalibratedSet) -> Iterator[bytes]:
    """What tells a set from another without all of its bytes."""
    yield f"{one.stamps_ns} {one.cameras}".encode() + one.base_from_camera.tobytes()
    for source, model in zip(one.sources, one.models, strict=True):
        data = np.asarray(source).reshape(-1)
        middle = len(data) // 2
        yield f"{len(data)} {model.size} {model.distortion_model} {model.distortion}".encode()
        yield model.intrinsics.tobytes() + data[middle : middle + _PIECE].tobytes()


def _check_names(names: tuple[str, ...]) -> None:
    """Raises ValueError for cameras whose images could not lie side by side as files."""
    bad = [name for name in names if not _NAME.fullmatch(name)]
    if bad or len({name.lower() for name in names}) < len(names):
        raise ValueError(
            f"camera names {', '.join(map(repr, bad or names))}; expected letters, digits, - and _ that differ by more "
            "than capitals: name the cameras in a rig file (--rig)"
        )
