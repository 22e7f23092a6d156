"""Map elements as the message that planners read."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mapkd_core.data.polylines import Range
from mapkd_core.messages.classes import MessageClasses, seconds_and_ns
from mapkd_core.types import CLASS_IDS, CLASSES, MapElement

if TYPE_CHECKING:
    from mapkd_core.artifact import ModelCard

BEYOND_M = 1000.0
"""No line of a map reaches so far out of the rectangle that was looked at; none is read that does, or would take the
memory of a line of that length."""
VECTOR_MAP, MAP_ELEMENT = "mapkd_ros/msg/VectorMap", "mapkd_ros/msg/MapElement"


def vector_map(
    classes: MessageClasses,
    header: Any,
    elements: Sequence[MapElement],
    ids: Sequence[int],
    card: ModelCard,
    stamps_ns: Mapping[str, int],
    stage_ms: Mapping[str, float],
    now_ns: int,
    missing: Sequence[str] = (),
) -> Any:
    """The VectorMap message of one map, sent at `now_ns`, without the `missing` cameras.

    `stamps_ns` holds each camera's stamp, `stage_ms` each stage's duration.
    """
    time, duration = classes("builtin_interfaces/msg/Time"), classes("builtin_interfaces/msg/Duration")
    message = classes(VECTOR_MAP)(header=header, model_name=card.name, model_version=card.version)
    message.elements = element_messages(classes, elements, ids)
    message.x_min, message.x_max = card.grid.x_range_m
    message.y_min, message.y_max = card.grid.y_range_m
    message.cell_size = card.grid.cell_m
    message.camera_names = list(stamps_ns)
    message.source_stamps = [time(**seconds_and_ns(stamp)) for stamp in stamps_ns.values()]
    message.camera_ages = [(now_ns - stamp) / 1e9 for stamp in stamps_ns.values()]
    message.missing_cameras = list(missing)
    message.stamp_spread = duration(**seconds_and_ns(max(stamps_ns.values()) - min(stamps_ns.values())))
    message.stage_names = list(stage_ms)
    message.stage_latency_ms = [float(ms) for ms in stage_ms.values()]
    return message


def element_messages(classes: MessageClasses, elements: Sequence[MapElement], ids: Sequence[int]) -> list[Any]:
    """A MapElement message of each element."""
    point, element_class = classes("geometry_msgs/msg/Point32"), classes(MAP_ELEMENT)
    messages = []
    for element, key in zip(elements, ids, strict=True):
        xyz = np.zeros((len(element.points_m), 3))
        xyz[:, : element.points_m.shape[1]] = element.points_m
        messages.append(
            element_class(
                id=key,
                label=CLASS_IDS[element.label],
                label_name=element.label,
                score=float(element.score),
                closed=bool(element.closed),
                points=[point(x=x, y=y, z=z) for x, y, z in xyz.tolist()],
            )
        )
    return messages


def elements_of_message(message: Any) -> tuple[int, tuple[MapElement, ...], Range]:
    """Stamp in ns, elements (N, 3) and the rectangle that was looked at, of a VectorMap.

    Raises ValueError for a message that no node of ours sends.
    """
    stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
    x_m, y_m = (float(message.x_min), float(message.x_max)), (float(message.y_min), float(message.y_max))
    sides_m = np.diff([x_m, y_m])
    if not (np.isfinite([*x_m, *y_m]).all() and (0 < sides_m).all() and (sides_m <= 2 * BEYOND_M).all()):
        raise ValueError(f"a VectorMap of the rectangle {x_m} x {y_m} m; expected where was looked")
    low, high = Range(x_m, y_m).shrunk(-BEYOND_M).limits()
    elements = []
    for element in message.elements:
        if not 1 <= element.label <= len(CLASSES) or len(element.points) < 2:
            raise ValueError(f"a VectorMap with label {element.label} and {len(element.points)} vertices")
        points = np.array([(point.x, point.y, point.z) for point in element.points], np.float32)
        near = (low <= points[:, :2]) & (points[:, :2] <= high)
        if not (np.isfinite(points).all() and near.all()):
            raise ValueError("a VectorMap with vertices that are not finite, or far out of where was looked")
        score = float(np.clip(np.nan_to_num(element.score), 0, 1))
        elements.append(MapElement(CLASSES[element.label - 1], points, score, bool(element.closed)))
    return stamp_ns, tuple(elements), Range(x_m, y_m)
