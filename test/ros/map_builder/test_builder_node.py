"""map_builder over real DDS: a drive along a street, its local map, its markers, and the file it leaves."""
from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")
pytest.importorskip("rosbags", reason="the helpers write bags with rosbags")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from street_bags import map_message, pose_message
from street_drives import poses, roads_beside, seen, street
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import Marker, MarkerArray

from mapkd_core.geometry import apply, transform
from mapkd_core.mapping.street_map import StreetElement, StreetMap
from mapkd_ros import qos
from mapkd_ros.conversions import stamp_ns
from mapkd_ros.map_builder.builder_node import BuilderNode
from mapkd_ros.msg import VectorMap
from mapkd_ros.sensor_messages import message_class
from mapkd_ros.told_transition import failure_of

pytestmark = pytest.mark.ros
BEGIN_NS, PERIOD_NS = 1_700_000_000_000_000_000, 100_000_000


class Street:
    """A node in a thread of its own, and somebody who drives and listens."""

    def __init__(self, context: rclpy.Context, parameters: dict[str, Any]) -> None:
        given = [Parameter(name, value=value) for name, value in {"publish_rate": 20.0, **parameters}.items()]
        self.node = BuilderNode(context=context, parameter_overrides=given)
        self.peer = Node("peer", context=context)
        self.maps: list[VectorMap] = []
        self.markers: list[MarkerArray] = []
        self.status: list[Any] = []
        self.send_map = self.peer.create_publisher(VectorMap, "/student_node/vector_map", qos.profile(depth=50))
        self.send_tf = self.peer.create_publisher(TFMessage, "/tf", qos.profile(depth=50))
        self.peer.create_subscription(VectorMap, "/map_builder/local_map", self.maps.append, 50)
        self.peer.create_subscription(
            DiagnosticArray, "/diagnostics", lambda m: self.status.extend(m.status), qos.profile()
        )
        self.executors = [SingleThreadedExecutor(context=context) for _ in range(2)]
        for executor, node in zip(self.executors, (self.node, self.peer), strict=True):
            executor.add_node(node)
        self.threads = [threading.Thread(target=executor.spin, daemon=True) for executor in self.executors]
        for thread in self.threads:
            thread.start()

    def show(self) -> None:
        self.peer.create_subscription(MarkerArray, "/map_builder/map_markers", self.markers.append, 50)

    def wait(self, until: Callable[[], object], patience_s: float = 15.0) -> bool:
        end = time.monotonic() + patience_s
        while not until() and time.monotonic() < end:
            time.sleep(0.02)
        return bool(until())

    def met(self) -> None:
        assert self.wait(lambda: self.send_map.get_subscription_count() and self.send_tf.get_subscription_count())

    def drive(self, path: list[np.ndarray], first: int = 0, late_tf: bool = False) -> None:
        """Sends sets and poses; with `late_tf` each pose only after its map."""
        assert self.node.builder is not None
        for k, pose in enumerate(path, first):
            at_ns = BEGIN_NS + k * PERIOD_NS
            send = [(self.send_tf, pose_message(message_class, pose, at_ns, "odom")),
                    (self.send_map, map_message(message_class, seen(street(), pose), at_ns))]  # fmt: skip
            for publisher, message in reversed(send) if late_tf else send:
                publisher.publish(message)
                time.sleep(0.005)
            assert self.wait(lambda count=k + 1: self.node.builder.sets >= count), self.node.waiting.last_reason

    def shown(self, k: int) -> bool:
        """Whether the local map of a set has come."""
        return bool(self.maps) and stamp_ns(self.maps[-1].header.stamp) == BEGIN_NS + k * PERIOD_NS

    def close(self) -> None:
        for executor in self.executors:
            executor.shutdown()
        for thread in self.threads:
            thread.join(5)
        self.node.close()
        self.node.destroy_node()
        self.peer.destroy_node()


@pytest.fixture
def make(private_domain: int) -> Iterator[Callable[..., Street]]:
    context = rclpy.Context()
    rclpy.init(context=context)
    made: list[Street] = []

    def start(**parameters: Any) -> Street:
        made.append(Street(context, parameters))
        if made[-1].node.values["autostart"]:
            made[-1].node.start()
        return made[-1]

    yield start
    for one in made:
        one.close()
    rclpy.shutdown(context=context)


def test_a_street_grows_is_shown_and_saved(make: Callable[..., Street], tmp_path: Path) -> None:
    file = tmp_path / "street.streetmap"
    one = make(map_file=str(file), diagnostics_period=0.1)
    one.show()
    one.met()
    one.drive(poses()[:30])
    assert one.wait(lambda: one.shown(29))
    first = one.maps[-1]
    assert first.header.frame_id == "odom" and first.model_name == "student"
    lines = {e.id: e for e in first.elements if e.label_name != "ped_crossing"}
    assert len(lines) == 3 and (first.x_min, first.x_max) == (-22.0, 138.0)
    one.drive(poses()[30:], first=30)
    assert one.wait(lambda: one.shown(59))
    assert {e.id for e in one.maps[-1].elements if e.label_name != "ped_crossing"} == set(lines)
    assert one.wait(lambda: any("60 sets, 118 m driven" in status.message for status in one.status))
    assert one.wait(lambda: one.markers)
    assert one.markers[0].markers[0].action == Marker.DELETEALL
    blocks = {(m.ns, m.id) for array in one.markers for m in array.markers if m.action == Marker.ADD}
    assert len({ns for ns, _ in blocks}) == 3 and len(blocks) > 8
    one.node.trigger_deactivate()
    found = StreetMap.read(file)
    assert found.frame == "odom" and {e.id for e in found.elements} >= set(lines)
    assert len(found.of("divider")) == 1 and len(found.of("ped_crossing")) == 3


def test_maps_that_all_come_before_their_poses_wait_for_them(make: Callable[..., Street]) -> None:
    one = make()
    one.met()
    for k, pose in enumerate(poses()[:40]):  # as after a pause, of this node or of the transforms
        one.send_map.publish(map_message(message_class, seen(street(), pose), BEGIN_NS + k * PERIOD_NS))
        time.sleep(0.002)
    for k, pose in enumerate(poses()[:40]):
        one.send_tf.publish(pose_message(message_class, pose, BEGIN_NS + k * PERIOD_NS, "odom"))
        time.sleep(0.002)
    assert one.node.builder is not None
    assert one.wait(lambda: one.node.builder.sets == 40), (one.node.builder.sets, one.node.waiting.lost)


def test_a_display_that_comes_later_sees_the_whole_street(make: Callable[..., Street]) -> None:
    one = make(local_range=40.0)
    one.met()
    one.show()
    assert one.wait(lambda: one.node._marker_publisher.get_subscription_count() == 1)
    one.drive(poses(200))
    assert one.wait(lambda: one.markers and one.shown(99))
    late: list[MarkerArray] = []
    one.peer.create_subscription(MarkerArray, "/map_builder/map_markers", late.append, 50)
    assert one.wait(lambda: late)

    def reach(arrays: list[MarkerArray]) -> float:
        return max(p.x for a in arrays for m in a.markers for p in m.points) - min(
            p.x for a in arrays for m in a.markers for p in m.points
        )

    assert one.wait(lambda: reach(late) > 150)


def test_the_drivable_side_is_offered_where_it_is_asked_for(make: Callable[..., Street]) -> None:
    grids = pytest.importorskip("nav_msgs.msg", reason="needs nav_msgs: make setup")
    one = make(occupancy_grid=True)
    heard: list[Any] = []
    one.peer.create_subscription(grids.OccupancyGrid, "/map_builder/occupancy_grid", heard.append, 5)
    one.met()
    one.drive(poses()[:15])
    assert one.wait(lambda: heard and stamp_ns(heard[-1].header.stamp) == BEGIN_NS + 14 * PERIOD_NS)
    message = heard[-1]
    assert message.header.frame_id == "base_link" and (message.info.width, message.info.resolution) == (320, 0.25)
    cells = np.array(message.data).reshape(320, 320)
    assert cells[160, 160] == 0 and cells[180, 160] == 100 and cells[200, 160] == -1


def test_poses_may_come_after_the_maps(make: Callable[..., Street]) -> None:
    one = make()
    one.met()
    one.drive(poses()[:12], late_tf=True)
    assert one.node.builder.sets == 12 and not one.node.waiting.lost


def test_what_cannot_be_used_is_counted_and_said(make: Callable[..., Street]) -> None:
    one = make(diagnostics_period=0.1)
    one.met()
    one.send_map.publish(map_message(message_class, [], BEGIN_NS, "lidar"))
    assert one.wait(lambda: any("in the frame 'lidar', not 'base_link'" in s.message for s in one.status))
    one.send_map.publish(map_message(message_class, [], BEGIN_NS))
    one.send_tf.publish(pose_message(message_class, poses()[0], BEGIN_NS, "world"))
    assert one.wait(lambda: any("no frame map or odom above base_link" in s.message for s in one.status))
    one.drive(poses()[:3], first=0)
    assert one.node.builder.sets >= 3


def test_poses_of_best_effort_and_fixed_ones_that_are_not_latched_are_heard(make: Callable[..., Street]) -> None:
    one = make()
    one.peer.destroy_publisher(one.send_tf)
    one.send_tf = one.peer.create_publisher(TFMessage, "/tf", qos.profile("best_effort", depth=50))
    fixed = one.peer.create_publisher(TFMessage, "/tf_static", qos.profile(depth=5))
    one.met()
    assert one.wait(lambda: fixed.get_subscription_count())
    one.drive(poses()[:3])
    assert one.node.builder.sets == 3


def test_two_nodes_never_save_to_one_file(make: Callable[..., Street], tmp_path: Path) -> None:
    first = make(map_file=str(tmp_path / "street.streetmap"))
    with pytest.raises(ValueError, match="in use by"):
        make(map_file=str(tmp_path / "street.streetmap"))
    first.close()
    make(map_file=str(tmp_path / "street.streetmap"))


def test_a_manager_leads_it_and_a_map_is_gone_on_with(make: Callable[..., Street], tmp_path: Path) -> None:
    file = tmp_path / "street.streetmap"
    line = np.column_stack([np.arange(-40.0, 160.0), np.zeros(200), np.zeros(200)])
    StreetMap((StreetElement(77, "divider", line, 0.8, 30),), frame="odom").write(file)
    one = make(autostart=False, load=str(file), map_file=str(file))
    assert one.node.builder is None
    assert one.node.trigger_configure().name == "SUCCESS" and one.node.trigger_activate().name == "SUCCESS"
    one.met()
    one.drive(poses()[:20])
    assert one.wait(lambda: one.maps and any(e.id == 77 for e in one.maps[-1].elements))
    assert one.node.trigger_deactivate().name == "SUCCESS"
    saved = StreetMap.read(file)
    assert [e.id for e in saved.of("divider")] == [77] and saved.of("boundary")
    assert one.node.trigger_cleanup().name == "SUCCESS" and one.node.builder is None


def test_the_map_is_saved_while_driving(make: Callable[..., Street], tmp_path: Path) -> None:
    file = tmp_path / "street.streetmap"
    one = make(map_file=str(file), save_period=0.2, diagnostics_period=0.1)
    one.met()
    one.drive(poses()[:20])
    assert one.wait(lambda: file.exists() and StreetMap.read(file).metadata["sets"] == 20)
    assert one.wait(lambda: any(v.key == "saved_while_driving" and int(v.value) for s in one.status for v in s.values))


def test_a_map_of_others_is_gone_on_with_and_stays(make: Callable[..., Street], tmp_path: Path) -> None:
    pytest.importorskip("lanelet2", reason="Lanelet2 needs: pip install '.[maps]'")
    file, foreign = tmp_path / "hd.osm", '<osm version="0.6"><node id="1" lat="1.0" lon="3.0"/></osm>'
    file.write_text(foreign)
    (tmp_path / "map_projector_info.yaml").write_text("projector_type: MGRS\nmgrs_grid: 54SUE\n")
    one = make(map_file=str(file), save_period=0.2, fixed_frame="odom")
    one.met()
    one.drive(poses()[:20])
    assert one.wait((tmp_path / "hd.built" / "hd.periodic.streetmap").exists)
    assert one.node.trigger_deactivate().name == "SUCCESS"
    assert file.read_text() == foreign and 'generator="mapkd"' in (tmp_path / "hd.built" / "hd.osm").read_text()
    assert "MGRS" in (tmp_path / "map_projector_info.yaml").read_text()
    assert not (tmp_path / "hd.built" / "hd.periodic.streetmap").exists()


def test_a_drive_is_held_to_roads_and_tf_says_where_the_map_then_lies(
    make: Callable[..., Street], tmp_path: Path
) -> None:
    roads = roads_beside(tmp_path / "roads.geojson", beside_m=4.0)
    file = tmp_path / "street.geojson"  # on Earth, where the anchor's origin is
    one = make(anchor=str(roads), anchor_origin="48.1,11.5", start="0,1,0", map_file=str(file), diagnostics_period=0.1)
    told: list[TFMessage] = []
    one.peer.create_subscription(TFMessage, "/tf", told.append, 50)
    one.met()
    one.drive(poses()[:50])
    assert one.wait(lambda: one.shown(49))
    assert one.maps[-1].header.frame_id == "street_map"
    assert one.wait(lambda: any(t.child_frame_id == "street_map" and stamp_ns(t.header.stamp) == stamp_ns(
        one.maps[-1].header.stamp) for m in told for t in m.transforms))  # fmt: skip
    placed = [t for m in told for t in m.transforms if t.child_frame_id == "street_map"]
    assert {t.header.frame_id for t in placed} == {"odom"}
    assert placed[0].transform.translation.y == pytest.approx(-1.0), "odometry begins where `start` says"
    last = placed[-1].transform
    odom_from_map = transform(
        (last.translation.x, last.translation.y, last.translation.z),
        (last.rotation.w, last.rotation.x, last.rotation.y, last.rotation.z),
    )
    assert odom_from_map[1, 3] < -1.2, "it was moved towards the road"
    dividers = [e for e in one.maps[-1].elements if e.label_name == "divider"]
    there = apply(odom_from_map, np.array([[p.x, p.y, p.z] for e in dividers for p in e.points]))
    beside = there[np.abs(there[:, 0] - 98) < 12, 1]
    assert len(beside) and np.abs(beside).max() < 0.5, "by /tf the divider is under the vehicle, as in odometry's frame"
    assert one.wait(lambda: any(v.key == "places of the way held to a road" for s in one.status for v in s.values))
    one.node.trigger_deactivate()
    assert json.loads(file.read_text())["features"]


def test_an_anchor_that_is_none_is_refused_and_the_node_lives(make: Callable[..., Street], tmp_path: Path) -> None:
    one = make(autostart=False, anchor=str(tmp_path / "none.geojson"), anchor_origin="48.1,11.5")
    assert one.node.trigger_configure().name == "FAILURE"
    assert one.node.stage == "unconfigured" and "none.geojson" in str(failure_of(one.node))
    roads = roads_beside(tmp_path / "roads.geojson", 2.0)
    one.node.set_parameters([Parameter("anchor", value=str(roads))])
    assert one.node.trigger_configure().name == "SUCCESS" and one.node.trigger_activate().name == "SUCCESS"
    one.met()
    one.drive(poses()[:5])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"anchor": "/none.geojson", "anchor_origin": "48.1,11.5"}, "/none.geojson"),
        ({"anchor_origin": "48.1,11.5"}, "anchor_origin is '48.1,11.5'.*name its file of roads"),
        ({"start": "1,2,3"}, "start is '1,2,3'.*name its file of roads"),
        ({"anchor": "/none.geojson", "anchor_origin": "481,11"}, "'481,11' is not LATITUDE,LONGITUDE"),
        ({"anchor": "/none.geojson", "start": "1,2"}, "'1,2' is not X,Y,DEGREES"),
        ({"map_file": "a.osmx"}, "a.osmx"),
        ({"load": "/none.streetmap"}, "/none.streetmap does not exist"),
        ({"publish_rate": 0.0}, "publish_rate"),
        ({"least_share": 1.5}, "least_share"),
    ],
)
def test_what_cannot_be_is_refused_at_start(make: Callable[..., Street], parameters: dict, words: str) -> None:
    with pytest.raises((ValueError, OSError), match=words):
        make(**parameters)
