from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mapkd_core.types import CAMERAS
from mapkd_ros.recorder import mcap_file, recorder_parameters, recording

pytestmark = pytest.mark.ros

SIZE = (160, 90)
SECOND = 10**9
STAGGER_NS = 10**7


@pytest.fixture
def mcap(tmp_path: Path, root: Path) -> Path:
    """Three moments a second apart; from the third on, another rig. The second one's back image is missing."""
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
    from rclpy.serialization import serialize_message

    path = tmp_path / "out.mcap"
    file = mcap_file.McapFile(path, root)
    recorded = recorder_parameters.topics("compressed", "student_node")
    types = {"/" + name.lstrip("/"): kind for name, kind in recorded.items()}
    for topic, kind in types.items():
        file.add_topic(topic, kind)

    def write(topic: str, message: Any, stamp_ns: int) -> None:
        file.write(topic, serialize_message(message), stamp_ns)

    for moment in range(3):
        begin_ns = (100 + moment) * SECOND
        if moment != 1:
            # received late: what counts is the stamp
            write("/tf_static", rig(begin_ns, height_m=1.0 + moment), begin_ns + SECOND // 2)
        stamps_ns = [begin_ns + k * STAGGER_NS for k in range(len(CAMERAS))]
        for name, stamp_ns in zip(CAMERAS, stamps_ns, strict=True):
            prefix = f"/camera/{name.lower()}"
            write(f"{prefix}/camera_info", camera_info(name, stamp_ns, focal=80.0 + moment), stamp_ns)
            if (moment, name) != (1, "CAM_BACK"):
                write(f"{prefix}/image_raw/compressed", image(name, stamp_ns, 40 * moment), stamp_ns)
        write("/student_node/vector_map", vector_map(stamps_ns, moment), begin_ns + SECOND // 4)
        status = DiagnosticStatus(
            name="student_node: map",
            values=[KeyValue(key="sets formed", value=str(moment)), KeyValue(key="rate [Hz]", value="1.0")],
        )
        write("/diagnostics", DiagnosticArray(status=[status]), begin_ns)
    file.close()
    return path


def time(stamp_ns: int) -> Any:
    from builtin_interfaces.msg import Time

    return Time(sec=stamp_ns // SECOND, nanosec=stamp_ns % SECOND)


def header(stamp_ns: int, frame: str) -> Any:
    from std_msgs.msg import Header

    return Header(stamp=time(stamp_ns), frame_id=frame)


def rig(stamp_ns: int, height_m: float) -> Any:
    from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
    from tf2_msgs.msg import TFMessage

    looks_forward = Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5)
    placed = Transform(translation=Vector3(z=height_m), rotation=looks_forward)
    return TFMessage(
        transforms=[
            TransformStamped(header=header(stamp_ns, "base_link"), child_frame_id=name.lower(), transform=placed)
            for name in CAMERAS
        ]
    )


def camera_info(name: str, stamp_ns: int, focal: float) -> Any:
    from sensor_msgs.msg import CameraInfo

    k = [focal, 0.0, SIZE[0] / 2, 0.0, focal, SIZE[1] / 2, 0.0, 0.0, 1.0]
    return CameraInfo(header=header(stamp_ns, name.lower()), width=SIZE[0], height=SIZE[1], k=k)


def image(name: str, stamp_ns: int, gray: int) -> Any:
    from sensor_msgs.msg import CompressedImage

    _, data = cv2.imencode(".jpg", np.full((SIZE[1], SIZE[0], 3), 60 + gray, np.uint8))
    return CompressedImage(header=header(stamp_ns, name.lower()), format="jpeg", data=data.tobytes())


def vector_map(stamps_ns: list[int], moment: int) -> Any:
    from geometry_msgs.msg import Point32

    from mapkd_ros.msg import MapElement, VectorMap

    ahead = [Point32(x=4.0, y=0.0), Point32(x=28.0, y=0.0)]
    lines = [MapElement(label=1, label_name="divider", score=1.0, points=ahead) for _ in range(moment)]
    return VectorMap(
        header=header(stamps_ns[1], "base_link"), elements=lines, x_min=-30.0, x_max=30.0, y_min=-15.0, y_max=15.0,
        cell_size=0.15, model_name="m", camera_names=list(CAMERAS), source_stamps=[time(s) for s in stamps_ns],
        stage_names=["network", "vectorize"], stage_latency_ms=[10.0 * (moment + 1), 1.0],
    )  # fmt: skip


def test_maps_without_all_their_images_are_not_complete(mcap: Path) -> None:
    drive = recording.read(mcap)
    assert len(drive.maps) == 3
    assert [len(message.elements) for message in drive.complete_maps()] == [0, 2]


def test_each_map_is_drawn_with_the_rig_of_its_own_time(mcap: Path) -> None:
    drive = recording.read(mcap)
    heights = [drive.transforms_at((100 + k) * SECOND).lookup("base_link", "cam_front")[2, 3] for k in range(3)]
    assert heights == [1.0, 1.0, 3.0]
    focals = [drive.models["CAM_FRONT"][(100 + k) * SECOND + STAGGER_NS].intrinsics[0, 0] for k in range(3)]
    assert focals == [80.0, 81.0, 82.0]


def test_the_overview_shows_a_line_ahead_in_the_images_and_from_above(mcap: Path) -> None:
    drive = recording.read(mcap)
    empty, lined = (recording.overview(drive, message, "title") for message in drive.complete_maps())
    assert empty.shape == lined.shape

    def orange(image: np.ndarray) -> np.ndarray:
        r, g, b = (image[..., c].astype(int) for c in range(3))
        return (r - b > 120) & (r - g > 40)

    # every camera of this rig looks forward, so a line ahead shows in six images and once from above
    grown = orange(lined) & ~orange(empty)
    columns = np.flatnonzero(grown[44:].any(axis=0))
    assert len(np.flatnonzero(np.diff(columns) > 50)) == 3


def test_distinct_maps_are_of_different_images(mcap: Path) -> None:
    drive = recording.read(mcap)
    assert len(recording.distinct_maps(drive, 5)) == 2
    assert len(recording.distinct_maps(drive, 1)) == 1
    drive.images["CAM_FRONT_LEFT"] = dict.fromkeys(
        drive.images["CAM_FRONT_LEFT"], next(iter(drive.images["CAM_FRONT_LEFT"].values()))
    )
    (last,) = recording.distinct_maps(drive, 5)
    assert len(last.elements) == 2, "of an image that repeats, the last map counts"


def test_the_summary_counts_sets_stages_and_classes(mcap: Path) -> None:
    rows = dict(recording.summary(recording.read(mcap)))
    assert rows["maps published"] == "3"
    assert rows["sets formed"] == "2"
    assert rows["latency network, median / p95"] == "20.0 / 29.0 ms"
    assert rows["latency total, median / p95"] == "21.0 / 30.0 ms"
    assert rows["divider, all / per map"] == "3 / 1.0"
    assert rows["boundary, all / per map"] == "0 / 0.0"
    assert "rate [Hz]" not in rows


def test_a_recording_without_a_map_is_an_error(tmp_path: Path, root: Path) -> None:
    mcap_file.McapFile(tmp_path / "empty.mcap", root).close()
    with pytest.raises(ValueError, match="holds no vector map"):
        recording.read(tmp_path / "empty.mcap")
