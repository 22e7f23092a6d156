"""Map elements as the messages that other nodes read: VectorMap for planners, an image of the grid for people."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mapkd_core.draw import CLASS_COLORS
from mapkd_core.types import CLASS_IDS, CLASSES, MapElement
from mapkd_ros.conversions import image_fields, seconds_and_ns

if TYPE_CHECKING:
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from mapkd_core.artifact import ModelCard
    from mapkd_ros.msg import VectorMap

_BACKGROUND = (22, 24, 29)


def vector_map(
    header: Header,
    elements: Sequence[MapElement],
    ids: Sequence[int],
    card: ModelCard,
    stamps_ns: Mapping[str, int],
    stage_ms: Mapping[str, float],
    now_ns: int,
    missing: Sequence[str] = (),
) -> VectorMap:
    """The VectorMap message of one map, sent at `now_ns`, without the `missing` cameras.

    `stamps_ns` holds each camera's stamp, `stage_ms` each stage's duration.
    """
    from builtin_interfaces.msg import Duration, Time
    from geometry_msgs.msg import Point32

    from mapkd_ros import msg

    message = msg.VectorMap(header=header, model_name=card.name, model_version=card.version)
    for element, key in zip(elements, ids, strict=True):
        xyz = np.zeros((len(element.points_m), 3))
        xyz[:, : element.points_m.shape[1]] = element.points_m
        message.elements.append(
            msg.MapElement(
                id=key,
                label=CLASS_IDS[element.label],
                label_name=element.label,
                score=float(element.score),
                closed=bool(element.closed),
                points=[Point32(x=x, y=y, z=z) for x, y, z in xyz.tolist()],
            )
        )
    message.x_min, message.x_max = card.grid.x_range_m
    message.y_min, message.y_max = card.grid.y_range_m
    message.cell_size = card.grid.cell_m
    message.camera_names = list(stamps_ns)
    message.source_stamps = [Time(**seconds_and_ns(stamp)) for stamp in stamps_ns.values()]
    message.camera_ages = [(now_ns - stamp) / 1e9 for stamp in stamps_ns.values()]
    message.missing_cameras = list(missing)
    message.stamp_spread = Duration(**seconds_and_ns(max(stamps_ns.values()) - min(stamps_ns.values())))
    message.stage_names = list(stage_ms)
    message.stage_latency_ms = [float(ms) for ms in stage_ms.values()]
    return message


def semantic_rgb(semantic: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(X, Y, 3) RGB of class indices (Y, X) on the grid as a driver sees it: forward is up, left is left."""
    palette = np.array([_BACKGROUND, *(CLASS_COLORS[name] for name in CLASSES)], np.uint8)
    # Rows of the grid grow to the left and columns forward.
    return palette[semantic.T[::-1, ::-1]]


def semantic_image(header: Header, semantic: NDArray[np.uint8]) -> Image:
    """The same as an rgb8 Image message."""
    from sensor_msgs.msg import Image

    return Image(header=header, **image_fields(semantic_rgb(semantic)))
