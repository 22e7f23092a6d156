"""Frames as one time-ordered stream of sensor messages: what the player publishes and the bag writer stores.

Time line: the first scene keeps its true stamps. Each further scene, and each further pass of a loop, follows one
frame period after the one before, with its inner spacing (the cameras' staggered firing, the frame rate) unchanged.
So time never jumps back, although nuScenes' scenes lie weeks apart and in no order.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, groupby
from pathlib import Path

import numpy as np

from mapkd_core.bags import sensor_fields as fields
from mapkd_core.bags.sensor_fields import Fields
from mapkd_core.cameras import topics
from mapkd_core.cameras.topics import IMAGE_TRANSPORTS
from mapkd_core.geometry import Matrix
from mapkd_core.types import Frame

SINGLE_FRAME_PERIOD_NS = 500_000_000
"""nuScenes' keyframe period stands in where a scene has only one frame and therefore no period of its own."""

LIDAR_TOPIC = "lidar_top/points"


@dataclass(frozen=True)
class Topic:
    """A topic of the stream; `latched` ones are kept for subscribers that come later (transient local)."""

    name: str
    msg_type: str
    latched: bool = False


@dataclass(frozen=True, eq=False)
class Record:
    """One message, made when asked for."""

    stamp_ns: int
    """When the sensor measured, on the stream's time line."""
    topic: Topic
    fields: Callable[[int], Fields]
    """Header stamp in ns -> the message's fields."""
    frame: Frame


@dataclass(frozen=True, eq=False)
class _Shot:
    """A frame at its place on the time line."""

    frame: Frame
    offset_ns: int
    """From the first frame of the pass."""
    opens_scene: bool

    def records_begin_ns(self) -> int:
        """The earliest stamp in the frame: a camera's, or its own."""
        return min(self.frame.stamp_ns, *(view.stamp_ns for view in self.frame.views))


class DriveStream:
    """Frames of one or more scenes as messages: images, camera_info, LiDAR, ego pose, and the rig as static tf.

    `image_transport` is one of IMAGE_TRANSPORTS. A scene with a single frame is repeated for `hold_s` seconds.
    `start_s` skips that much of the beginning. Raises ValueError for unusable settings and for a stream with nothing
    in it.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        image_transport: str = "compressed",
        lidar: bool = True,
        hold_s: float = 0.0,
        start_s: float = 0.0,
    ):
        if image_transport not in IMAGE_TRANSPORTS:
            raise ValueError(f"image_transport is {image_transport!r}; expected {' or '.join(IMAGE_TRANSPORTS)}")
        if not len(frames):
            raise ValueError("there are no frames to play; choose another scene")
        self.image_fields, self.lidar = fields.image_fields(image_transport), lidar
        self.shots, self.pass_ns = _skip(*_time_line(frames, round(hold_s * 1e9)), round(start_s * 1e9))
        kind = topics.image_type(image_transport)
        self.static, self.poses = Topic("/tf_static", fields.TF_MESSAGE, latched=True), Topic("/tf", fields.TF_MESSAGE)
        self.points = Topic(LIDAR_TOPIC, fields.POINT_CLOUD)
        names = dict.fromkeys(view.name for shot in self.shots for view in shot.frame.views)
        self.images = {name: Topic(topics.image_topic(name, image_transport), kind) for name in names}
        self.infos = {name: Topic(topics.info_topic(name), topics.CAMERA_INFO) for name in names}

    @property
    def topics(self) -> list[Topic]:
        """Every topic on which this stream has something to say."""
        frames = [shot.frame for shot in self.shots]
        found = [topics[name] for name in self.images for topics in (self.images, self.infos)]
        found.append(self.static)
        if any(_poses(frame) for frame in frames):
            found.append(self.poses)
        if self.lidar and any(frame.lidar is not None for frame in frames):
            found.append(self.points)
        return found

    def __len__(self) -> int:
        """Frames in one pass, repeated ones included."""
        return len(self.shots)

    def records(self, loop: bool = False) -> Iterator[Record]:
        """The messages in order of time; with `loop`, for ever."""
        waiting: list[Record] = []
        for shot, move_ns in self._moved_shots(loop):
            begin_ns = shot.records_begin_ns() + move_ns
            while waiting and waiting[0].stamp_ns < begin_ns:
                yield waiting.pop(0)
            if shot.opens_scene:
                waiting.append(self._rig(shot.frame, begin_ns))
            waiting += self._frame(shot.frame, move_ns)
            waiting.sort(key=lambda record: record.stamp_ns)  # stable: poses stay ahead of what was seen from them
        yield from waiting

    def _moved_shots(self, loop: bool) -> Iterator[tuple[_Shot, int]]:
        """Each shot with what is to be added to the frame's own stamps."""
        for turn in count() if loop else range(1):
            begin_ns = self.shots[0].frame.stamp_ns + turn * self.pass_ns
            for shot in self.shots:
                yield shot, begin_ns + shot.offset_ns - shot.frame.stamp_ns

    def _rig(self, frame: Frame, stamp_ns: int) -> Record:
        rig = {topics.optical_frame(view.name): view.base_from_camera for view in frame.views}
        return Record(stamp_ns, self.static, partial(fields.transforms, fields.BASE_FRAME, rig), frame)

    def _frame(self, frame: Frame, move_ns: int) -> Iterator[Record]:
        for stamp_ns, map_from_base in _poses(frame).items():
            pose = {fields.BASE_FRAME: map_from_base}
            yield Record(stamp_ns + move_ns, self.poses, partial(fields.transforms, fields.MAP_FRAME, pose), frame)
        for view in frame.views:
            stamp_ns = view.stamp_ns + move_ns
            yield Record(stamp_ns, self.infos[view.name], partial(fields.camera_info, view), frame)
            yield Record(stamp_ns, self.images[view.name], partial(self.image_fields, view), frame)
        if self.lidar and frame.lidar is not None:
            yield Record(frame.stamp_ns + move_ns, self.points, partial(_cloud, frame), frame)


def _time_line(frames: Sequence[Frame], hold_ns: int) -> tuple[list[_Shot], int]:
    """All frames at their offsets, scene after scene, and the offset at which a loop begins again."""
    shots: list[_Shot] = []
    begin_ns = 0
    for _, group in groupby(frames, key=lambda frame: frame.scene):
        scene = list(group)
        period_ns = _period_ns(scene)
        if len(scene) == 1:
            scene = scene * max(1, round(hold_ns / period_ns))
            offsets = [place * period_ns for place in range(len(scene))]
        else:
            offsets = [frame.stamp_ns - scene[0].stamp_ns for frame in scene]
        for frame, offset_ns in zip(scene, offsets, strict=True):
            shots.append(_Shot(frame, begin_ns + offset_ns, opens_scene=offset_ns == 0))
        begin_ns += offsets[-1] + period_ns
    return shots, begin_ns


def _skip(shots: list[_Shot], pass_ns: int, start_ns: int) -> tuple[list[_Shot], int]:
    """The time line without its first `start_ns`."""
    kept = [shot for shot in shots if shot.offset_ns >= start_ns]
    if not kept:
        raise ValueError(f"start is {start_ns / 1e9:g} s, but what there is to play lasts {pass_ns / 1e9:.1f} s")
    begin_ns = kept[0].offset_ns
    moved = [replace(shot, offset_ns=shot.offset_ns - begin_ns) for shot in kept]
    return [replace(moved[0], opens_scene=True), *moved[1:]], pass_ns - begin_ns


def _period_ns(scene: list[Frame]) -> int:
    stamps_ns = np.array([frame.stamp_ns for frame in scene], np.int64)
    spacing = np.diff(stamps_ns)
    if np.any(spacing <= 0):
        place = int(np.argmax(spacing <= 0))
        raise ValueError(
            f"frame {scene[place + 1].token} of {scene[0].scene} is stamped {stamps_ns[place + 1]} ns, not after "
            f"the frame before it ({stamps_ns[place]} ns); frames of a scene must be in order of time"
        )
    return int(np.median(spacing)) if len(spacing) else SINGLE_FRAME_PERIOD_NS


def open_drive(dataroot: str | Path, version: str, scenes: Sequence[str] = (), lidar: bool = True) -> Sequence[Frame]:
    """The frames of a nuScenes folder, all its scenes or those named; says at once which images are missing.

    Raises FileNotFoundError or ValueError that names what is missing (see `NuScenesSource`).
    """
    from mapkd_core.data.nuscenes import NuScenesSource, missing_images, scenes_with_images

    frames = NuScenesSource(dataroot, version, scenes=list(scenes) or None, lidar_sweeps=1 if lidar else 0)
    missing = [path for frame in frames for path in missing_images(frame)]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {sum(len(frame.views) for frame in frames)} camera images are missing, the first is "
            f"{missing[0]}; unpack the dataset's camera blobs, or choose another scene "
            f"({scenes_with_images(frames.frames)})"
        )
    return frames.frames


def _cloud(frame: Frame, stamp_ns: int) -> Fields:
    assert frame.lidar is not None
    return fields.point_cloud(frame.lidar(), stamp_ns)


def _poses(frame: Frame) -> dict[int, Matrix]:
    """Stamp -> ego pose of the frame and of its views; one pose for each stamp, because tf refuses repeated ones."""
    stamped = [(view.stamp_ns, view.map_from_base) for view in frame.views] + [(frame.stamp_ns, frame.map_from_base)]
    return {stamp_ns: pose for stamp_ns, pose in stamped if pose is not None}
