"""Which messages reach the node when they were sent earlier, and what happens when time goes back; over real DDS."""
from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")

import rclpy
from camera_bench import camera_info, compressed
from node_bench import Predictor, setups
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo

from mapkd_core.types import CAMERAS
from mapkd_ros import qos
from mapkd_ros.msg import VectorMap
from mapkd_ros.node import stall
from mapkd_ros.node.mapping_node import MappingNode

pytestmark = pytest.mark.ros
SECOND_NS = 1_000_000_000


@pytest.fixture
def setup(private_domain):
    with setups() as make:
        yield make


def test_a_calibration_that_was_latched_before_the_node_began_is_used(setup):
    one = setup(always_run=True)
    bench = one.bench
    latched = qos.profile(depth=1, latched=True)
    for camera, volatile in bench.infos.items():
        bench.node.destroy_publisher(volatile)
        publisher = bench.node.create_publisher(CameraInfo, f"/camera/{camera.lower()}/camera_info", latched)
        publisher.publish(camera_info(camera))
    bench.send_mountings()
    assert bench.wait(lambda: all(one.mapping._inputs[camera].model for camera in CAMERAS))
    assert bench.wait(lambda: all(sender.get_subscription_count() for sender in bench.images.values()))
    bench.send_set()
    assert bench.wait(lambda: one.predictor.calls)


def test_a_map_can_be_kept_for_planners_that_come_later(setup):
    one = setup(always_run=True, latch_vector_map=True)
    bench = one.ready()
    stamp_ns = bench.send_set()
    assert bench.wait(lambda: bench.value("maps published") >= 1)
    profile = qos.profile(depth=1, latched=True)
    bench.outputs = [bench.node.create_subscription(VectorMap, "/student_node/vector_map", bench.maps.append, profile)]
    assert bench.wait(lambda: bench.mapped(stamp_ns))


def test_overrides_reach_the_topics_and_unknown_ones_are_told(setup):
    image = "/camera/cam_back/image_raw/compressed.subscription"
    one = setup(**{f"qos_overrides.{image}.reliability": "best_effort", f"qos_overrides.{image}.depth": 3})
    found = one.mapping._inputs["CAM_BACK"]._images.qos_profile
    assert (found.depth, found.reliability.name) == (3, "BEST_EFFORT")
    with pytest.raises(ValueError, match="'bad'; expected"):
        setup(**{"qos_overrides./tf.subscription.reliability": "bad"})


def test_a_bag_that_loops_under_simulated_time_goes_on(setup):
    one = setup(use_sim_time=True)
    bench = one.listened()
    clock = bench.node.create_publisher(Clock, "/clock", 1)
    assert bench.wait(clock.get_subscription_count)
    for step_ns in (SECOND_NS, SECOND_NS, -20 * SECOND_NS, SECOND_NS):
        now_ns = bench.stamp_ns + step_ns
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now_ns, SECOND_NS)
        clock.publish(message)
        assert bench.wait(lambda now_ns=now_ns: one.node.get_clock().now().nanoseconds == now_ns)
        stamp_ns = bench.send_set(step_ns=step_ns)
        assert bench.wait(lambda stamp_ns=stamp_ns: bench.mapped(stamp_ns))
    assert bench.wait(lambda: bench.value("image ignored: time jumped back CAM_FRONT") == 1)
    assert bench.wait(lambda: bench.values()["age when published, median [ms]"] == "0")
    assert bench.message.endswith("maps a second")


def test_images_without_a_stamp_make_no_map_and_are_told(setup, monkeypatch):
    monkeypatch.setattr(stall, "STALLED_NS", SECOND_NS // 10)
    bench = setup(always_run=True).bench
    assert bench.wait(lambda: all(sender.get_subscription_count() for sender in bench.images.values()))
    bench.send_calibration()
    bench.send_mountings()
    for _ in range(4):
        bench.send_set({camera: compressed(camera, 0) for camera in CAMERAS})
    assert bench.wait(lambda: bench.value("dropped: no stamp CAM_BACK") == 4)
    assert bench.wait(lambda: "all stamps are 0: let the driver" in bench.message)
    assert bench.value("sets formed") == 0


@pytest.mark.parametrize(("queue_size", "sets"), [(5, 3), (3, 0)])
def test_a_late_camera_is_waited_for_as_long_as_queue_size_says(setup, queue_size, sets):
    bench = setup(always_run=True, queue_size=queue_size).ready()
    before, stamps = bench.value("sets formed"), []
    for i in range(6):
        late = compressed("CAM_BACK", stamps[i - 3]) if i >= 3 else None
        stamps.append(bench.send_set({"CAM_BACK": late}))
    counts = "sets formed", "set not formed: late CAM_BACK"
    assert bench.wait(lambda: [bench.value(name) for name in counts][sets == 0] >= before + sets)
    assert bench.value("sets formed") == before + sets


def test_diagnostics_carry_the_namespace(private_domain, monkeypatch):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = MappingNode(lambda values: Predictor(), context=context, namespace="ego")
    sent: list = []
    monkeypatch.setattr(node._diagnostics, "publish", sent.append)
    node.start()
    node._publish_diagnostics()
    names = [status.name for status in sent[0].status]
    assert names == ["ego/student_node: map", *(f"ego/student_node: {camera}" for camera in CAMERAS)]
    node.close()
    node.destroy_node()
    rclpy.shutdown(context=context)
