"""Player -> DDS -> node -> DDS -> listener, each in its own process, on real images."""
from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapkd_core.types import CAMERAS, CLASSES

pytestmark = pytest.mark.ros

PATIENCE_S = 40.0
MAP, MARKERS, IMAGE = "/student_node/vector_map", "/student_node/markers", "/camera/cam_front/image_raw/compressed"
TOPICS = {
    MAP: "mapkd_ros/msg/VectorMap",
    MARKERS: "visualization_msgs/msg/MarkerArray",
    IMAGE: "sensor_msgs/msg/CompressedImage",
    "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
}


def stamp_ns(stamp: Any) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


def test_images_in_map_out(start_node: Any, listen: Any, dataroot: Path) -> None:
    student = start_node("student_node", device="cpu", threads=1)
    student.wait_for("waiting for 6 cameras", 60)
    start_node("nuscenes_player", dataroot=dataroot, scene="scene-0061", loop=True, wait_for_subscribers=30.0)

    def enough(heard: dict[str, list[Any]]) -> bool:
        maps = {stamp_ns(m.header.stamp) for m in heard[MAP]}
        seen = maps & {stamp_ns(m.header.stamp) for m in heard[IMAGE]} & {_time(m) for m in heard[MARKERS]}
        return len(seen) >= 2 and len(heard["/diagnostics"]) > 0

    heard = listen(TOPICS, enough, PATIENCE_S)
    assert heard[MAP] and heard[MARKERS], f"no map after {PATIENCE_S:g} s; the node says:\n{student.output}"

    # Output stamp = the anchor image's own stamp, in the vehicle frame.
    front_ns = {stamp_ns(message.header.stamp) for message in heard[IMAGE]}
    matched = [message for message in heard[MAP] if stamp_ns(message.header.stamp) in front_ns]
    assert len(matched) >= 2
    for message in matched:
        assert message.header.frame_id == "base_link"
        assert list(message.camera_names) == list(CAMERAS)
        stamps_ns = [stamp_ns(stamp) for stamp in message.source_stamps]
        assert stamps_ns[CAMERAS.index("CAM_FRONT")] == stamp_ns(message.header.stamp)
        assert len(set(stamps_ns)) == 6, "nuScenes' cameras fire one after another"
        assert stamp_ns(message.stamp_spread) == max(stamps_ns) - min(stamps_ns) > 10**7
        assert (message.x_min, message.x_max, message.y_min, message.y_max) == (-30, 30, -15, 15)
        assert message.cell_size == pytest.approx(0.15)
        assert message.model_name and message.model_version
        assert len(message.stage_names) == len(message.stage_latency_ms) >= 3
        assert all(ms >= 0 for ms in message.stage_latency_ms)

    elements = [element for message in matched for element in message.elements]
    assert elements, "a real street gave no map element at all"
    for element in elements:
        assert element.label_name == CLASSES[element.label - 1]
        assert 0 <= element.score <= 1
        xy = np.array([(point.x, point.y) for point in element.points])
        assert len(xy) >= 2 and np.all(np.abs(xy) <= [31, 16])
    for message in matched:
        ids = [element.id for element in message.elements]
        assert len(ids) == len(set(ids))

    # The same elements as markers, for eyes.
    markers = {_time(array): array.markers for array in heard[MARKERS] if _time(array)}
    both = [message for message in matched if stamp_ns(message.header.stamp) in markers]
    assert both
    for message in both:
        added = [m for m in markers[stamp_ns(message.header.stamp)] if m.action == m.ADD and m.type == m.LINE_STRIP]
        assert len(added) == len(message.elements)
        assert {m.header.frame_id for m in added} <= {"base_link"}
        assert {m.ns for m in added} == {element.label_name for element in message.elements}

    assert any("map" in status.name for array in heard["/diagnostics"] for status in array.status)
    assert student.stop(signal.SIGINT) == 0, student.output


def _time(array: Any) -> int:
    """Stamp of a MarkerArray in ns, from its first added marker; 0 for one without."""
    return next((stamp_ns(m.header.stamp) for m in array.markers if m.action == m.ADD), 0)


def test_missing_weights_end_the_node_with_a_reason(start_node: Any, tmp_path: Path) -> None:
    student = start_node("student_node", weights=tmp_path / "nowhere.safetensors")
    assert student.wait(60) == 2
    assert "nowhere" in student.output
