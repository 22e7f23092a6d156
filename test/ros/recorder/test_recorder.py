from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapkd_core.types import CAMERAS
from mapkd_ros.recorder import recorder


def test_all_inputs_and_outputs_of_the_node_are_recorded() -> None:
    compressed, raw = recorder.topics("compressed", "student_node"), recorder.topics("raw", "other")
    for camera in CAMERAS:
        assert compressed[f"camera/{camera.lower()}/image_raw/compressed"] == "sensor_msgs/msg/CompressedImage"
        assert raw[f"camera/{camera.lower()}/image_raw"] == "sensor_msgs/msg/Image"
        assert compressed[f"camera/{camera.lower()}/camera_info"] == "sensor_msgs/msg/CameraInfo"
    assert compressed["student_node/vector_map"] == "mapkd_ros/msg/VectorMap"
    assert raw["other/markers"] == "visualization_msgs/msg/MarkerArray"
    assert {"/tf", "/tf_static", "/diagnostics"} <= set(compressed)


def test_the_file_reads_back_with_schemas_of_its_own(root: Path, tmp_path: Path) -> None:
    """mcap_ros2 knows nothing but what the file itself says of its types, as Foxglove does."""
    from mcap_ros2.reader import read_ros2_messages

    types = recorder.typestore(root)
    vector_map, header = types.types["mapkd_ros/msg/VectorMap"], types.types["std_msgs/msg/Header"]
    time, duration = types.types["builtin_interfaces/msg/Time"], types.types["builtin_interfaces/msg/Duration"]
    point, element = types.types["geometry_msgs/msg/Point32"], types.types["mapkd_ros/msg/MapElement"]
    points = [point(1.0, 2.0, 0.0), point(3.0, 4.0, 0.0)]
    line = element(id=4, label=1, label_name="divider", score=0.5, closed=False, points=points)
    message = vector_map(
        header=header(time(5, 6), "base_link"), elements=[line], x_min=-30.0, x_max=30.0, y_min=-15.0, y_max=15.0,
        cell_size=0.15, model_name="m", model_version="1", camera_names=["CAM_FRONT"], source_stamps=[time(5, 6)],
        stamp_spread=duration(0, 7), stage_names=["network"], stage_latency_ms=np.array([1.5], np.float32),
    )  # fmt: skip
    path = tmp_path / "new" / "out.mcap"
    file = recorder.McapFile(path, root)
    file.add_topic("/student_node/vector_map", "mapkd_ros/msg/VectorMap")
    file.write("/student_node/vector_map", bytes(types.serialize_cdr(message, "mapkd_ros/msg/VectorMap")), 99)
    file.close()
    assert file.count == 1
    (found,) = read_ros2_messages(str(path))
    assert found.log_time_ns == 99
    assert found.ros_msg.elements[0].label_name == "divider"
    assert [p.x for p in found.ros_msg.elements[0].points] == [1, 3]
    assert found.ros_msg.stage_latency_ms[0] == 1.5
    assert found.schema.data.decode().count("LABEL_") == 4


@pytest.mark.ros
def test_without_a_file_it_refuses_to_start(start_node: Any) -> None:
    process = start_node("recorder")
    assert process.wait(30) == 2
    assert "output is empty" in process.output


@pytest.mark.ros
def test_a_recording_of_nothing_is_still_a_sound_file(start_node: Any, tmp_path: Path) -> None:
    from mcap.reader import make_reader

    process = start_node("recorder", output=tmp_path / "out.mcap")
    process.wait_for("recording", 30)
    assert process.stop(signal.SIGINT) == 0, process.output
    with (tmp_path / "out.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert len(summary.channels) == len(recorder.topics("compressed", "student_node"))
