"""What a recorded drive shows: each map with the images it was made of, and the figures of the whole run.

Reads the MCAP file of `recorder`; needs the same installed messages.
"""
from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.reader import BagReader
from mapkd_core.cameras.calibration import CameraModel, camera_model
from mapkd_core.cameras.topics import camera_of
from mapkd_core.cameras.transform_tree import TransformTree
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement
from mapkd_ros.conversions import rgb_from_image, stamp_ns

if TYPE_CHECKING:
    from geometry_msgs.msg import TransformStamped

    from mapkd_ros.msg import VectorMap

@dataclass(eq=False)
class Recording:
    """A recorded drive, in memory. Cameras have their names of CAMERAS, stamps are in ns."""

    maps: list[VectorMap] = field(default_factory=list)
    images: dict[str, dict[int, Any]] = field(default_factory=lambda: defaultdict(dict))
    """Camera -> stamp -> Image or CompressedImage."""
    models: dict[str, dict[int, CameraModel]] = field(default_factory=lambda: defaultdict(dict))
    """Camera -> stamp -> calibration."""
    rigs: dict[int, tuple[TransformStamped, ...]] = field(default_factory=dict)
    """Stamp -> the static transforms from then on: drives of several vehicles have several."""
    status: dict[str, str] = field(default_factory=dict)
    """The node's last values on /diagnostics."""

    def complete_maps(self) -> list[VectorMap]:
        """The maps of which all source images were recorded as well, with their calibration."""
        return [
            message
            for message in self.maps
            if all(stamp in self.images[name] and stamp in self.models[name] for name, stamp in sources(message))
        ]

    def transforms_at(self, stamp: int) -> TransformTree:
        """How the sensors were mounted at that time."""
        begun = [begin for begin in sorted(self.rigs) if begin <= stamp] or sorted(self.rigs)[:1]
        tree = TransformTree()
        for begin in begun:
            tree.update(self.rigs[begin])
        return tree


def read(path: Path) -> Recording:
    """Loads a recording of `recorder`, also one that was killed. Raises ValueError if it holds no map."""
    from rclpy.serialization import deserialize_message

    from mapkd_ros.sensor_messages import message_class

    recording = Recording()
    with BagReader(path) as bag:
        for topic, _, data, _ in bag.messages():
            message: Any = deserialize_message(data, message_class(topic.msg_type))
            _take(recording, topic.name, topic.msg_type.rpartition("/")[2], message)
        if bag.faults:
            raise ValueError(f"{path} is damaged: {bag.faults[0]}")
    if not recording.maps:
        raise ValueError(f"{path} holds no vector map: the node published none while it was recorded")
    return recording


def _take(recording: Recording, topic: str, kind: str, message: Any) -> None:
    camera = camera_of(topic)
    if kind == "VectorMap":
        recording.maps.append(message)
    elif kind == "CameraInfo":
        recording.models[camera][stamp_ns(message.header.stamp)] = camera_model(message)
    elif topic == "/tf_static":
        recording.rigs[stamp_ns(message.transforms[0].header.stamp)] = tuple(message.transforms)
    elif camera:
        recording.images[camera][stamp_ns(message.header.stamp)] = message
    elif kind == "DiagnosticArray":
        for status in message.status:
            if status.name.endswith(": map"):
                recording.status = {pair.key: pair.value for pair in status.values}


def sources(message: VectorMap) -> list[tuple[str, int]]:
    """(camera, stamp in ns) of the images that a map was made of."""
    return [(name, stamp_ns(t)) for name, t in zip(message.camera_names, message.source_stamps, strict=True)]


def elements_of(message: VectorMap) -> list[MapElement]:
    """The map elements in a message."""
    return [
        MapElement(
            element.label_name,
            np.array([(point.x, point.y, point.z) for point in element.points], np.float32),
            element.score,
            element.closed,
        )
        for element in message.elements
    ]


def overview(recording: Recording, message: VectorMap, title: str) -> NDArray[np.uint8]:
    """One map drawn onto the images it was made of and from above; (H, W, 3) RGB."""
    from mapkd_core import draw

    images, intrinsics, mountings = [], [], []
    for name, stamp in sources(message):
        image = recording.images[name][stamp]
        images.append(_rgb(image))
        intrinsics.append(recording.models[name][stamp].intrinsics)
        mountings.append(recording.transforms_at(stamp).lookup(message.header.frame_id, image.header.frame_id))
    grid = BevGrid((message.x_min, message.x_max), (message.y_min, message.y_max), round(message.cell_size, 6))
    return draw.overview(
        images, intrinsics, mountings, elements_of(message), grid, title=title, names=message.camera_names
    )


def distinct_maps(recording: Recording, limit: int) -> list[VectorMap]:
    """Up to `limit` complete maps of different images, evenly spread over the drive.

    A scene of a single keyframe repeats its images; its last map is taken.
    """
    by_image = {}
    for message in recording.complete_maps():
        name, stamp = sources(message)[0]
        by_image[bytes(recording.images[name][stamp].data)] = message
    maps = list(by_image.values())
    if len(maps) <= limit:
        return maps
    return [maps[round(place)] for place in (np.arange(limit) + 0.5) * len(maps) / limit - 0.5]


def summary(recording: Recording) -> list[tuple[str, str]]:
    """The figures of the run: sets formed and dropped, latency by stage, elements per class."""
    rows = [("maps published", str(len(recording.maps)))]
    rows += [(key, value) for key, value in recording.status.items() if _counts_sets(key)]
    stages: dict[str, list[float]] = defaultdict(list)
    for message in recording.maps:
        for stage, milliseconds in zip(message.stage_names, message.stage_latency_ms, strict=True):
            stages[stage].append(milliseconds)
        stages["total"].append(sum(message.stage_latency_ms))
    for stage in [*(name for name in stages if name != "total"), "total"]:
        median, p95 = np.percentile(stages[stage], (50, 95))
        rows.append((f"latency {stage}, median / p95", f"{median:.1f} / {p95:.1f} ms"))
    for label in CLASSES:
        counts = [sum(element.label_name == label for element in message.elements) for message in recording.maps]
        rows.append((f"{label}, all / per map", f"{sum(counts)} / {np.mean(counts):.1f}"))
    return rows


def _counts_sets(key: str) -> bool:
    return key == "sets formed" or key.startswith(("dropped: ", "set not formed: ", "image ignored: "))


def _rgb(image: Any) -> NDArray[np.uint8]:
    if hasattr(image, "step"):
        return rgb_from_image(image)
    from mapkd_core.data.images import decode

    return decode(memoryview(image.data))
