"""Bags of a drive along the street of street_drives.py: VectorMaps and poses."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from camera_bags import BEGIN_NS, PLAIN, write
from street_drives import poses, seen, street

from mapkd_core.artifact import ModelCard
from mapkd_core.geometry import quaternion_from_rotation
from mapkd_core.grid import GRID_60X30
from mapkd_core.messages.classes import MessageClasses, header_of
from mapkd_core.messages.vector_map import vector_map
from mapkd_core.types import MapElement

CARD = ModelCard("student", "1.2.3", "student", {}, GRID_60X30, (32, 18))
PERIOD_NS = 100_000_000
MAPS = "/student_node/vector_map"


def map_message(
    classes: MessageClasses, elements: Sequence[MapElement], stamp_ns: int, frame: str = "base_link"
) -> Any:
    """The VectorMap of a set."""
    ids = range(1, len(elements) + 1)
    return vector_map(classes, header_of(classes, stamp_ns, frame), elements, ids, CARD, {"A": stamp_ns}, {}, stamp_ns)


def pose_message(classes: MessageClasses, pose: np.ndarray, stamp_ns: int, parent: str = "map") -> Any:
    """The transform of a vehicle."""
    w, x, y, z = quaternion_from_rotation(pose)
    placed = classes("geometry_msgs/msg/Transform")(
        translation=classes("geometry_msgs/msg/Vector3")(x=float(pose[0, 3]), y=float(pose[1, 3]), z=float(pose[2, 3])),
        rotation=classes("geometry_msgs/msg/Quaternion")(x=float(x), y=float(y), z=float(z), w=float(w)),
    )
    stamped = classes("geometry_msgs/msg/TransformStamped")(
        header=header_of(classes, stamp_ns, parent), child_frame_id="base_link", transform=placed
    )
    return classes("tf2_msgs/msg/TFMessage")(transforms=[stamped])


def street_bag(
    path: Path, path_m: Sequence[np.ndarray] | None = None, maps: str = MAPS, frame: str = "base_link",
    parent: str = "map", shift: np.ndarray | None = None,
) -> Path:  # fmt: skip
    """A bag of a drive; `shift` moves its poses, as another localization would."""
    messages = []
    for k, pose in enumerate(poses() if path_m is None else path_m):
        stamp_ns = BEGIN_NS + k * PERIOD_NS
        placed = pose if shift is None else shift @ pose
        messages.append((stamp_ns, "/tf", pose_message(PLAIN, placed, stamp_ns, parent)))
        messages.append((stamp_ns + 1, maps, map_message(PLAIN, seen(street(), pose), stamp_ns, frame)))
    return write(path, messages)
