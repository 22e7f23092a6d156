"""Sets of camera images with their calibration from a bag, as student_node would form them, without ROS.

    with BagReader("drive.mcap") as bag:
        for one in CameraSets(bag).sets():
            print(one.stamp_ns, one.cameras)
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.bag_rig import guessed_rig
from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.bags.reader import BagMessage, BagReader, BagTopic
from mapkd_core.bags.recorded_images import ImageReader, RecordedImage
from mapkd_core.bags.sensor_fields import BASE_FRAME, TF_MESSAGE
from mapkd_core.cameras.calibration import CalibrationError, CameraModel, camera_model
from mapkd_core.cameras.camera_watch import CameraWatch
from mapkd_core.cameras.encodings import ImageError
from mapkd_core.cameras.mountings import Mountings
from mapkd_core.cameras.plausibility import Mounted, calibration_doubts
from mapkd_core.cameras.rig import CameraRig, RigCamera, anchor_of
from mapkd_core.cameras.stamp_check import StampCheck
from mapkd_core.cameras.straight_image import check_size
from mapkd_core.cameras.synchronizer import WINDOW_NS, CameraSet, Synchronizer
from mapkd_core.cameras.topics import CAMERA_INFO, image_type
from mapkd_core.cameras.transform_tree import TransformTree
from mapkd_core.schema import FileFault

_NOBODY = RigCamera("", "", "")
SILENT_S = 1.0
"""A camera that has sent nothing for so long, while others have, is left out until it returns."""


@dataclass(frozen=True, eq=False)
class CalibratedSet:
    """Images of one moment with all that a prediction needs; one entry a camera, in the order of `cameras`."""

    stamp_ns: int
    """The anchor camera's stamp."""
    log_ns: int
    """When the image that completed it was recorded."""
    cameras: tuple[str, ...]
    stamps_ns: tuple[int, ...]
    sources: tuple[memoryview | NDArray[np.uint8], ...]
    """A JPEG's or PNG's bytes, or (H, W, 3) RGB, as they came: with lens distortion."""
    models: tuple[CameraModel, ...]
    base_from_camera: NDArray[np.float64]
    """(N, 4, 4) of the axes of the images."""
    masks: tuple[NDArray[np.bool_] | None, ...]
    """(H, W) of the undistorted image, False where a camera sees its own vehicle; None where it does not."""

    def without(self, place: int) -> CalibratedSet:
        """The same but for one camera, given by its place."""
        kept = [k for k in range(len(self.cameras)) if k != place]
        lists = ("cameras", "stamps_ns", "sources", "models", "masks")
        changes: dict[str, Any] = {name: tuple(getattr(self, name)[k] for k in kept) for name in lists}
        return replace(self, base_from_camera=self.base_from_camera[kept], **changes)


class CameraSets:
    """Forms sets from a bag's messages, in order of time.

    `rig` says which topics are the cameras, by default it is guessed; `note` is told of that. Calibration and
    transforms that come later than the first images, or once before them, serve all. What cannot be used is counted in
    `faults`. Raises FileFault for a bag without cameras or without the topics that the rig names, ModuleNotFoundError
    for videos without PyAV.
    """

    def __init__(
        self,
        bag: BagReader,
        rig: CameraRig | None = None,
        note: Callable[[str], object] = print,
        base_frame: str = BASE_FRAME,
        window_ns: int = WINDOW_NS,
        anchor: str = "",
    ) -> None:
        self.bag, self.rig = bag, rig or guessed_rig(bag.topics, note)
        self.messages = PlainMessages()
        self.faults: Counter[str] = Counter()
        self.synchronizer: Synchronizer[RecordedImage] = Synchronizer(
            self.rig.names, anchor_of(anchor, self.rig), window_ns, depth=8
        )
        self._watch = CameraWatch(self.rig.names, SILENT_S)
        self._stamps = StampCheck()
        self._transforms = TransformTree()
        self.mountings = Mountings(self.rig, self._transforms, base_frame)
        self.models: dict[str, CameraModel] = {}
        """Each camera's calibration, as of the message that was read last."""
        self._masks: dict[str, NDArray[np.bool_] | None] = {}
        self._infos: dict[str, bytes] = {}
        self._bad_infos: dict[str, str] = {}
        self._images = {camera.image.lstrip("/"): camera for camera in self.rig.cameras}
        self._of_info: dict[str, list[RigCamera]] = {}
        for camera in self.rig.cameras:
            if camera.model is not None:
                self._calibrate(camera, camera.model)
            else:
                self._of_info.setdefault(camera.camera_info.lstrip("/"), []).append(camera)
        self._readers = {camera.name: ImageReader(camera.image_transport) for camera in self.rig.cameras}
        self.topics = self._topics()
        for topic in self.topics:
            self.messages.learn(topic)
        self._look_ahead()

    def sets(self) -> Iterator[CalibratedSet]:
        """The sets, each one as soon as it is complete. `not_formed` tells of those that did not come about."""
        last_ns = 0
        for message in self.bag.messages(self.topics):
            camera = self._camera(message.topic)
            if camera is None:
                self._learn(message)
                continue
            for stamp_ns, image in self._read_images(camera, message):
                camera_set = self._add(camera, stamp_ns, image, message.log_ns)
                if camera_set is not None:
                    yield from self._calibrated(camera_set, message.log_ns)
            last_ns = message.log_ns
        for camera_set in self.synchronizer.finish():
            yield from self._calibrated(camera_set, last_ns)

    @property
    def anchor_images(self) -> int:
        """Images of the anchor camera: no more sets can come about."""
        anchor = self.synchronizer.anchor
        return sum(topic.count for topic in self.topics if (self._camera(topic) or _NOBODY).name == anchor)

    def describe(self) -> list[str]:
        """A line for each camera with the topic of its images, and one for each calibration that cannot be right."""
        lines, mounted = [], {}
        for camera in self.rig.cameras:
            model = self.models.get(camera.name)
            words = [camera.image, f"{model.size[0]}x{model.size[1]}" if model else "no usable camera_info"]
            try:
                mounting = self.mountings.base_from_camera(camera.name)
            except (CalibrationError, KeyError) as error:
                words.append(str(error) if isinstance(error, CalibrationError) else "no image")
            else:
                if model:
                    mounted[camera.name] = Mounted(model, mounting, self.mountings.frame(camera.name))
            lines.append(f"{camera.name}: {', '.join(words)}")
        return [*lines, *map(str, calibration_doubts(mounted))]

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """(width, height) of each camera's images, as of the calibration that was read last; 16 : 9 without one."""
        return {name: self.models[name].size if name in self.models else (16, 9) for name in self.rig.names}

    def not_formed(self) -> Counter[str]:
        """Why sets did not come about, or images were not used, and how often."""
        found = Counter(self.faults)
        apart = f": more than {self.synchronizer.window_ns / 1e6:.0f} ms from the other cameras' nearest images"
        for reason, count in self.synchronizer.not_formed.items():
            found[f"no set: {reason}{apart if reason.startswith('skew') else ''}"] += count
        found.update({f"not used: {reason}": count for reason, count in self.synchronizer.ignored.items()})
        return found

    def _topics(self) -> list[BagTopic]:
        wanted = {camera.image.lstrip("/"): image_type(camera.image_transport) for camera in self.rig.cameras}
        wanted |= dict.fromkeys(self._of_info, CAMERA_INFO)
        have = {
            topic.name.lstrip("/") for topic in self.bag.topics
            if topic.count and wanted.get(topic.name.lstrip("/")) == topic.msg_type
        }  # fmt: skip
        lacking = [name for name in wanted if name not in have]
        if lacking:
            raise FileFault(
                f"{self.bag.path} holds no messages of {', '.join(f'{name} ({wanted[name]})' for name in lacking)}, "
                "which the rig names; correct its topics"
            )
        return [
            topic for topic in self.bag.topics
            if topic.encoding == "cdr"
            and (wanted.get(topic.name.lstrip("/")) == topic.msg_type or topic.msg_type == TF_MESSAGE)
        ]  # fmt: skip

    def _look_ahead(self) -> None:
        """Takes the first calibration of each camera and the first transforms, wherever in the bag they are."""
        images = [topic for topic in self.topics if self._camera(topic) is not None]
        for topic in images:
            camera, first = self._camera(topic), next(self.bag.messages([topic]), None)
            with suppress(_UnreadableError):
                if camera is not None and first is not None:
                    self.mountings.frames[camera.name] = camera.frame or self._read(first).header.frame_id
        for message in self.bag.messages([topic for topic in self.topics if topic not in images]):
            self._learn(message)
            if all(camera.name in self.models and self._is_mounted(camera.name) for camera in self.rig.cameras):
                return

    def _is_mounted(self, camera: str) -> bool:
        try:
            self.mountings.base_from_camera(camera)
        except (CalibrationError, KeyError):
            return False
        return True

    def _camera(self, topic: BagTopic) -> RigCamera | None:
        """The camera whose images come on a topic."""
        camera = self._images.get(topic.name.lstrip("/"))
        return camera if camera is not None and topic.msg_type == image_type(camera.image_transport) else None

    def _learn(self, message: BagMessage) -> None:
        """Takes a calibration or transforms."""
        name = message.topic.name.lstrip("/")
        try:
            if message.topic.msg_type == TF_MESSAGE:
                self._transforms.update(self._read(message).transforms)
                return
            if self._infos.get(name) == message.data[12:]:
                return  # the same but for its stamp, as nearly all are
            info = self._read(message)
            self._infos[name] = message.data[12:]
            for camera in self._of_info[name]:
                self._calibrate(camera, camera_model(info, camera.is_rectified(camera.image)))
        except CalibrationError as error:
            self.faults[f"{message.topic.name}: {error}"] += 1
            for camera in self._of_info.get(name, ()):
                self._bad_infos[camera.name] = f": {error}"
        except _UnreadableError as error:
            self.faults[str(error)] += 1

    def _calibrate(self, camera: RigCamera, model: CameraModel) -> None:
        self._masks[camera.name] = camera.visible(model)
        self.models[camera.name] = model

    def _read_images(self, camera: RigCamera, message: BagMessage) -> list[tuple[int, RecordedImage]]:
        try:
            image = self._read(message)
            self.mountings.frames[camera.name] = camera.frame or image.header.frame_id
            return self._readers[camera.name].read(image)
        except (ImageError, _UnreadableError) as error:
            self.faults[f"{camera.name}: {error}"] += 1
            return []

    def _add(
        self, camera: RigCamera, stamp_ns: int, image: RecordedImage, log_ns: int
    ) -> CameraSet[RecordedImage] | None:
        fault = self._stamps.fault(camera.name, stamp_ns, log_ns) or self._why_unfit(camera.name, image)
        if fault:
            self.faults[f"{camera.name}: {fault}"] += 1
        elif self._watch.see(camera.name, log_ns):
            self.synchronizer.expect(self._watch.expected)
        return None if fault else self.synchronizer.add(camera.name, stamp_ns, image)

    def _why_unfit(self, camera: str, image: RecordedImage) -> str:
        """Why no map can be made of an image: what its calibration or mounting lacks; empty if it can."""
        try:
            model = self.models[camera]
            check_size(image.size, model.size)
            self.mountings.base_from_image(camera, model)
        except KeyError:
            return f"no usable camera_info until then{self._bad_infos.get(camera, '')}"
        except (CalibrationError, ImageError) as error:
            return str(error)
        return ""

    def _calibrated(self, camera_set: CameraSet[RecordedImage], log_ns: int) -> Iterator[CalibratedSet]:
        """The set with its calibration, or nothing and a fault."""
        sources: list[memoryview | NDArray[np.uint8]] = []
        mountings = []
        for camera, image in zip(camera_set.cameras, camera_set.images, strict=True):
            try:
                mountings.append(self.mountings.base_from_image(camera, self.models[camera]))
                sources.append(image.source())
            except (CalibrationError, ImageError) as error:
                self.faults[f"{camera}: {error}"] += 1
                return
        yield CalibratedSet(
            camera_set.stamp_ns, log_ns, camera_set.cameras, camera_set.stamps_ns, tuple(sources),
            tuple(self.models[camera] for camera in camera_set.cameras), np.stack(mountings),
            tuple(self._masks[camera] for camera in camera_set.cameras),
        )  # fmt: skip

    def _read(self, message: BagMessage) -> Any:
        try:
            return self.messages.types.deserialize_cdr(message.data, message.topic.msg_type)
        except Exception as error:  # of struct, numpy, unicode: whatever bytes that are none make it run into
            raise _UnreadableError(
                f"{message.topic.name}: {len(message.data)} bytes that are no {message.topic.msg_type}"
            ) from error


def thinned(sets: Iterable[CalibratedSet], every_s: float) -> Iterator[CalibratedSet]:
    """The sets of which each is at least `every_s` seconds after the one before, or before it."""
    last_ns: int | None = None
    for one in sets:
        if last_ns is None or not 0 <= one.stamp_ns - last_ns < every_s * 1e9:
            last_ns = one.stamp_ns
            yield one


class _UnreadableError(ValueError):
    """Bytes that are no message of their type."""
