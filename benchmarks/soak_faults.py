"""What goes wrong around student_node during a soak: each fault lasts some seconds, then all is as before."""
from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import camera_bench
import numpy as np
from tf2_msgs.msg import TFMessage

from mapkd_core.types import CAMERAS
from mapkd_ros.msg import VectorMap
from mapkd_ros.sensor_messages import message_class

SECOND_NS = 1_000_000_000


class Cameras:
    """Six cameras that send what the fault of the moment makes of their images."""

    def __init__(self, bench: camera_bench.CameraBench, seed: int) -> None:
        self.bench, self.random = bench, random.Random(seed)
        self.silent: set[str] = set()
        self.shift_ns: dict[str, int] = {}
        self.unstamped: set[str] = set()
        self.data: dict[str, Callable[[], bytes]] = {}
        self.info: dict[str, dict[str, Any]] = {}
        self.height_m = 1.5
        self.sent = dict.fromkeys(CAMERAS, 0)
        self.sets = 0
        self.others: list[Any] = []

    def send(self, stamp_ns: int) -> None:
        """One image and one camera_info of each camera."""
        self.sets += len(self.silent) < len(CAMERAS)
        for camera in CAMERAS:
            if camera in self.silent:
                continue
            stamp = 0 if camera in self.unstamped else stamp_ns + self.shift_ns.get(camera, 0)
            self.bench.infos[camera].publish(camera_bench.camera_info(camera, stamp, **self.info.get(camera, {})))
            data = self.data[camera]() if camera in self.data else None
            self.bench.images[camera].publish(camera_bench.compressed(camera, stamp, data))
            self.sent[camera] += 1
        self._come_and_go()

    def heal(self) -> None:
        """All is as it was at the beginning."""
        self.silent, self.unstamped = set(), set()
        self.shift_ns, self.data, self.info, self.height_m = {}, {}, {}, 1.5
        self._mount()
        for other in self.others:
            self.bench.node.destroy_subscription(other)
        self.others = []
        if not self.bench.outputs:
            self.listen()

    def listen(self) -> None:
        """Subscribes to what planners use."""
        create = self.bench.node.create_subscription
        self.bench.outputs = [create(VectorMap, "/student_node/vector_map", self.bench.maps.append, 20)]

    def deafen(self) -> None:
        for output in self.bench.outputs:
            self.bench.node.destroy_subscription(output)
        self.bench.outputs = []

    def crowd(self) -> None:
        self.others.append(None)

    def _come_and_go(self) -> None:
        """While a crowd is there: one more subscriber with each set, the oldest of eight leaves."""
        if not self.others:
            return
        kinds = {"markers": "visualization_msgs/msg/MarkerArray", "semantic_bev": "sensor_msgs/msg/Image",
                 "vector_map": "mapkd_ros/msg/VectorMap"}  # fmt: skip
        name = self.random.choice(list(kinds))
        create = self.bench.node.create_subscription
        self.others.append(create(message_class(kinds[name]), f"/student_node/{name}", lambda message: None, 5))
        while len(self.others) > 9:
            self.bench.node.destroy_subscription(self.others.pop(1))

    def _mount(self) -> None:
        transforms = [camera_bench.mounting(camera, self.height_m) for camera in CAMERAS]
        self.bench.tf_static.publish(TFMessage(transforms=transforms))

    def raise_cameras(self) -> None:
        self.height_m = 1.9
        self._mount()

    def jitter(self) -> None:
        """Distortion that differs with every set, as of a driver that calibrates itself."""
        self.info = _Jitter(self.random)


class _Jitter(dict):
    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance

    def get(self, camera: str, default: Any = None) -> dict[str, Any]:
        return {"d": [self.chance.uniform(-0.02, 0.02), 0.0, 0.0, 0.0, 0.0]}


def _cut() -> bytes:
    """A JPEG that was cut off after its header."""
    whole = camera_bench.jpeg()
    return whole[: len(whole) * 2 // 3]


def _noise() -> bytes:
    return np.random.default_rng(0).bytes(2000)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and of which camera the node then ignores images (not sets)."""

    name: str
    begin: Callable[[Cameras], Any]


def _shift(seconds: float, *cameras: str) -> Callable[[Cameras], Any]:
    return lambda c: c.shift_ns.update(dict.fromkeys(cameras or CAMERAS, int(seconds * SECOND_NS)))


FAULTS = (
    Fault("a camera stops", lambda c: c.silent.add("CAM_BACK")),
    Fault("three cameras stop", lambda c: c.silent.update(CAMERAS[3:])),
    Fault("a camera stops for a moment again and again", lambda c: c.silent.add("CAM_BACK_LEFT")),
    Fault("all stamps jump an hour ahead, then back", _shift(3600)),
    Fault("all stamps jump ten seconds back, then ahead", _shift(-10)),
    Fault("a camera's stamps jump ten seconds back", _shift(-10, "CAM_BACK_RIGHT")),
    Fault("a camera's stamps are half a second late", _shift(-0.5, "CAM_BACK")),
    Fault("a camera sends no stamps", lambda c: c.unstamped.add("CAM_FRONT_LEFT")),
    Fault("all calibrations change", lambda c: c.info.update({camera: {"focal": 90.0} for camera in CAMERAS})),
    Fault("distortion changes with every set", Cameras.jitter),
    Fault("a calibration becomes impossible", lambda c: c.info.update({"CAM_BACK": {"focal": 0.0}})),
    Fault("a calibration of another image size", lambda c: c.info.update({"CAM_BACK": {"width": 320, "height": 180}})),
    Fault("the mounting changes", Cameras.raise_cameras),
    Fault("a camera sends noise for images", lambda c: c.data.update({"CAM_BACK": _noise})),
    Fault("a camera sends images that are cut off", lambda c: c.data.update({"CAM_BACK_LEFT": _cut})),
    Fault("nobody subscribes", Cameras.deafen),
    Fault("subscribers come and go with every set", Cameras.crowd),
    Fault("the camera that gives the stamps stops", lambda c: c.silent.add("CAM_FRONT")),
    Fault("all cameras stop", lambda c: c.silent.update(CAMERAS)),
)
"""In the order in which they come, again and again."""

OF_IMAGES = ("no stamp ", "bad transform", "incompatible QoS", "camera_info ", "undecodable CAM_BACK")
"""How counters begin that count images or messages; all others count sets. Noise is refused before a set is formed,
an image that is cut off when its set is decoded."""
EXCEPT = ("undecodable CAM_BACK_LEFT", "undecodable CAM_BACK_RIGHT")
