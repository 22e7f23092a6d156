"""Bags of simulated drives as a vehicle with four cameras of its own would record them."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from camera_bags import PLAIN, info, write
from street_bags import pose_message

from mapkd_core.geometry import quaternion_from_rotation, transform
from mapkd_core.messages.classes import header_of
from mapkd_core.sim.drive import SimDrive

NAMES = ("front", "left", "rear", "right")
SIZE = (256, 144)
OPTICAL = transform((0, 0, 0), (0.5, -0.5, 0.5, -0.5))
K = np.array([[120.0, 0, 127.5], [0, 120, 71.5], [0, 0, 1]])
POSE_NS = 40_000_000
"""Between poses, none of which has the stamp of an image."""
STAGGER_NS = 4_000_000
"""Between one camera's image and the next."""


def mountings() -> dict[str, np.ndarray]:
    """(4, 4) `base_from_camera` of each."""
    found = {}
    for place, name in enumerate(NAMES):
        half = np.pi / 4 * place
        xyz_m = 0.8 + 0.6 * np.cos(2 * half), 0.5 * np.sin(2 * half), 1.6
        found[name] = transform(xyz_m, (np.cos(half), 0, 0, np.sin(half))) @ OPTICAL
    return found


def four_camera_bag(
    path: Path, drive: SimDrive, moved: np.ndarray | None = None, clock_ns: int = 0, black: bool = False,
    odometry: bool = False,
) -> Path:  # fmt: skip
    """A bag with images, camera_info, mountings on /tf_static and poses in `map` on /tf.

    `moved` is the wrong place where a localization sees the vehicle, `clock_ns` what images' stamps are late; `black`
    images cost no rendering; with `odometry` poses come as Odometry in `odom`.
    """
    messages: list[tuple[int, str, Any]] = []
    static = [_stamped(0, "base_link", name, pose) for name, pose in mountings().items()]
    begin_ns = drive.stamp_ns(drive.time_s(0)) - 500_000_000
    messages.append((begin_ns, "/tf_static", PLAIN("tf2_msgs/msg/TFMessage")(transforms=static)))
    last_ns = drive.stamp_ns(drive.time_s(len(drive) - 1)) + 300_000_000
    for stamp_ns in range(begin_ns + 13_000_000, last_ns, POSE_NS):
        pose = drive.motion.pose((stamp_ns - drive.start_ns) / 1e9)
        pose = pose if moved is None else moved @ pose
        made = _odometry(stamp_ns, pose) if odometry else pose_message(PLAIN, pose, stamp_ns)
        messages.append((stamp_ns, "/odometry" if odometry else "/tf", made))
    for index in range(len(drive)):
        for place, (name, mounting) in enumerate(mountings().items()):
            time_s = drive.time_s(index) + place * STAGGER_NS / 1e9
            stamp_ns = drive.stamp_ns(time_s) + clock_ns
            pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8) if black else _seen(drive, time_s, mounting)
            topic = f"/car/{name}"
            messages.append((stamp_ns, f"{topic}/camera_info", info(stamp_ns, name, k=K.ravel(), size=SIZE)))
            messages.append((stamp_ns, f"{topic}/image_raw/compressed", _jpeg(stamp_ns, name, pixels)))
    return write(path, sorted(messages, key=lambda message: message[0]))


def _seen(drive: SimDrive, time_s: float, mounting: np.ndarray) -> np.ndarray:
    pose = drive.motion.pose(time_s)
    return drive.renderer.images(K[None], SIZE, (pose @ mounting)[None], [time_s], map_from_base=pose[None])[0]


def _jpeg(stamp_ns: int, frame: str, pixels: np.ndarray) -> Any:
    data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].reshape(-1)
    header = header_of(PLAIN, stamp_ns, frame)
    return PLAIN("sensor_msgs/msg/CompressedImage")(header=header, format="jpeg", data=data)


def _stamped(stamp_ns: int, parent: str, child: str, pose: np.ndarray) -> Any:
    w, x, y, z = map(float, quaternion_from_rotation(pose))
    placed = PLAIN("geometry_msgs/msg/Transform")(
        translation=PLAIN("geometry_msgs/msg/Vector3")(**dict(zip("xyz", map(float, pose[:3, 3]), strict=True))),
        rotation=PLAIN("geometry_msgs/msg/Quaternion")(x=x, y=y, z=z, w=w),
    )
    header = header_of(PLAIN, stamp_ns, parent)
    return PLAIN("geometry_msgs/msg/TransformStamped")(header=header, child_frame_id=child, transform=placed)


def _odometry(stamp_ns: int, pose: np.ndarray) -> Any:
    w, x, y, z = map(float, quaternion_from_rotation(pose))
    placed = PLAIN("geometry_msgs/msg/Pose")(
        position=PLAIN("geometry_msgs/msg/Point")(**dict(zip("xyz", map(float, pose[:3, 3]), strict=True))),
        orientation=PLAIN("geometry_msgs/msg/Quaternion")(x=x, y=y, z=z, w=w),
    )
    return PLAIN("nav_msgs/msg/Odometry")(
        header=header_of(PLAIN, stamp_ns, "odom"), child_frame_id="base_link",
        pose=PLAIN("geometry_msgs/msg/PoseWithCovariance")(pose=placed),
    )  # fmt: skip
