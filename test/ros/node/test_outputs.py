"""Overlays and grids over real DDS: only what somebody looks at is made, with the stamp and frame that it holds for."""
from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")

from camera_bench import SIZE, compressed, image
from node_bench import line, setups
from sensor_msgs.msg import Image

from mapkd_core.cameras.overlay import HORIZON_RGB
from mapkd_core.types import MapElement
from mapkd_ros.node import outputs
from mapkd_ros.topics import overlay_topic

pytestmark = pytest.mark.ros


@pytest.fixture
def setup(private_domain):
    with setups() as make:
        yield make


def test_an_overlay_is_drawn_for_those_who_look_and_counts_as_wanted(setup, monkeypatch):
    drawn: list = []
    real = outputs.overlay
    monkeypatch.setattr(outputs, "overlay", lambda *given: drawn.append(given) or real(*given))
    one = setup()
    bench = one.ready()
    one.predictor.elements = [line(2.0)]
    heard: list[Image] = []
    bench.outputs = [bench.node.create_subscription(Image, "/student_node/overlay/cam_back", heard.append, 5)]
    assert bench.wait(lambda: one.mapping._outputs.wanted)
    later = bench.stamp_ns + 110_000_000
    bench.send_set({"CAM_BACK": compressed("CAM_BACK", later)})
    assert bench.wait(lambda: heard)
    (message,) = heard
    assert (message.width, message.height, message.encoding) == (*SIZE, "rgb8")
    assert message.header.frame_id == "cam_back_optical"
    assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == later
    pixels = np.frombuffer(message.data, np.uint8).reshape(SIZE[1], SIZE[0], 3)
    assert np.abs(pixels[SIZE[1] // 2].astype(int) - HORIZON_RGB).max(1).min() < 90  # the bench's cameras are level
    assert np.abs(pixels.astype(int) - image()).max() > 100
    assert len(drawn) == 1 and len(drawn[0][3]) == 1


def test_the_drivable_side_is_published_where_it_was_asked_for_and_somebody_listens(setup):
    messages = pytest.importorskip("nav_msgs.msg", reason="needs nav_msgs: make setup")
    one = setup(occupancy_grid=True, base_frame="base_link")
    bench = one.ready()
    edge = np.array([[-25, 4], [25, 4]], np.float32)
    one.predictor.elements = [MapElement("boundary", edge), line(1.0)]
    heard: list = []
    kind = messages.OccupancyGrid
    bench.outputs = [bench.node.create_subscription(kind, "/student_node/occupancy_grid", heard.append, 5)]
    assert bench.wait(lambda: one.mapping._outputs.wanted)
    stamp_ns = bench.send_set()
    assert bench.wait(lambda: heard)
    (message,) = heard
    grid = one.predictor.card.grid
    assert message.header.frame_id == "base_link"
    assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == stamp_ns
    assert (message.info.width, message.info.height) == (grid.cols, grid.rows)
    assert message.info.resolution == pytest.approx(grid.cell_m)
    origin = message.info.origin
    assert (origin.position.x, origin.position.y) == (grid.x_range_m[0], grid.y_range_m[0])
    assert origin.orientation.w == 1
    cells = np.array(message.data, np.int8).reshape(message.info.height, message.info.width)

    def at(x: float, y: float) -> int:
        return int(cells[int((y - origin.position.y) / grid.cell_m), int((x - origin.position.x) / grid.cell_m)])

    assert [at(20, y) for y in (0, 4, 8)] == [0, 100, -1]
    assert at(-20, 0) == -1  # the bench's cameras all look ahead


def test_without_the_parameter_there_is_no_such_topic(setup):
    one = setup()
    bench = one.ready()
    names = dict(bench.node.get_publisher_names_and_types_by_node("student_node", "/"))
    assert "/student_node/vector_map" in names and "/student_node/occupancy_grid" not in names


@pytest.mark.parametrize(
    ("camera", "topic"),
    [("CAM_FRONT", "~/overlay/cam_front"), ("front-left.2", "~/overlay/front_left_2"), ("360", "~/overlay/_360")],
)
def test_any_name_of_a_camera_becomes_a_topic(camera, topic):
    assert overlay_topic(camera).name == topic
