"""The node under a life-cycle manager: the services that nav2's calls, over real DDS."""
from __future__ import annotations

import gc
import time
import weakref

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_bench import Predictor, setups
from rclpy.parameter import Parameter

from mapkd_core.types import CAMERAS
from mapkd_ros.node.mapping_node import MappingNode

pytestmark = pytest.mark.ros


@pytest.fixture
def setup(private_domain):
    with setups() as make:
        yield make


class Manager:
    """Calls change_state and get_state as nav2's manager does."""

    def __init__(self, bench) -> None:
        self.bench = bench
        self.changes = bench.node.create_client(ChangeState, "/student_node/change_state")
        self.states = bench.node.create_client(GetState, "/student_node/get_state")
        assert bench.wait(lambda: self.changes.service_is_ready() and self.states.service_is_ready())

    def change(self, name: str) -> bool:
        number = getattr(Transition, f"TRANSITION_{name.upper()}")
        return self._call(self.changes, ChangeState.Request(transition=Transition(id=number))).success

    @property
    def state(self) -> str:
        return self._call(self.states, GetState.Request()).current_state.label

    def _call(self, client, request):
        future = client.call_async(request)
        assert self.bench.wait(future.done)
        return future.result()


def map_comes(bench) -> bool:
    senders = [*bench.images.values(), *bench.infos.values(), bench.tf_static]
    assert bench.wait(lambda: all(sender.get_subscription_count() for sender in senders))
    bench.send_calibration()
    bench.send_mountings()
    bench.maps.clear()
    for _ in range(3):
        bench.send_set()
        if bench.wait(lambda: bench.maps, 2.0):
            return True
    return False


def test_a_manager_leads_it_through_all_states(setup):
    one = setup(autostart=False)
    bench, manager = one.bench, Manager(one.bench)
    bench.listen()
    assert manager.state == "unconfigured"
    assert bench.wait(lambda: "configure, then activate it" in bench.message)
    assert not manager.change("activate") and manager.state == "unconfigured"
    assert manager.change("configure") and manager.state == "inactive"
    assert bench.node.count_subscribers("/camera/cam_back/camera_info") == 0
    assert manager.change("activate") and manager.state == "active"
    assert map_comes(bench)

    one.predictor.go_on.clear()  # the network is at a set when it is deactivated
    calls, maps = len(one.predictor.calls), len(bench.maps)
    bench.send_set()
    assert bench.wait(lambda: len(one.predictor.calls) > calls)
    mapping = one.mapping
    mapping._worker.stop = lambda: False  # and takes longer than anybody waits
    assert manager.change("deactivate") and manager.state == "inactive" and one.node.mapping is None
    one.predictor.go_on.set()
    assert bench.wait(lambda: not any(sender.get_subscription_count() for sender in bench.images.values()))
    del mapping._worker.stop
    assert not bench.wait(lambda: len(bench.maps) > maps, 0.3)
    assert "the node is inactive" in bench.message

    assert manager.change("activate") and map_comes(bench)
    assert manager.change("deactivate") and manager.change("cleanup") and manager.state == "unconfigured"
    assert bench.wait(lambda: bench.node.count_publishers("/student_node/vector_map") == 0)
    assert manager.change("configure") and manager.change("activate") and map_comes(bench)
    assert manager.change("active_shutdown") and manager.state == "finalized"


def test_cleaning_up_frees_the_network(setup):
    one = setup(autostart=False)
    made = []

    def make(values):
        predictor = Predictor()
        made.append(weakref.ref(predictor))
        return predictor

    one.node._make_predictor = make
    manager = Manager(one.bench)
    assert manager.change("configure") and manager.change("activate")
    assert made[0]() is not None
    assert manager.change("deactivate") and manager.change("cleanup")
    gc.collect()
    assert made[0]() is None


def test_what_goes_wrong_is_told_and_can_be_mended_while_it_runs(setup):
    one = setup(autostart=False, anchor="CAM_LEFT")
    bench, manager = one.bench, Manager(one.bench)
    assert not manager.change("configure") and manager.state == "unconfigured"
    told = "no map: the node is unconfigured; anchor is 'CAM_LEFT'; expected one of the cameras"
    assert bench.wait(lambda: bench.message.startswith(told))
    assert bench.status["student_node: map"].level == b"\x02"
    assert one.node.set_parameters([Parameter("anchor", value="CAM_BACK")])[0].successful
    assert manager.change("configure")
    refused = one.node.set_parameters([Parameter("anchor", value="CAM_FRONT")])[0]
    assert not refused.successful
    assert "anchor: it is read when the node is configured: deactivate and clean up /student_node" in refused.reason
    assert manager.change("activate") and one.mapping._synchronizer.anchor == "CAM_BACK"
    assert set(one.mapping._inputs) == set(CAMERAS)


def test_a_fault_of_the_package_is_told_and_leads_back_to_the_start(setup):
    one = setup(autostart=False)
    manager = Manager(one.bench)

    def fail(values):
        raise RuntimeError("out of memory")

    make, one.node._make_predictor = one.node._make_predictor, fail
    assert not manager.change("configure") and manager.state == "unconfigured"
    assert one.bench.wait(lambda: "out of memory" in one.bench.message)
    one.node._make_predictor = make
    assert manager.change("configure") and manager.state == "inactive"


def test_a_destroyed_node_leaves_the_graph(private_domain):
    context = rclpy.Context()
    rclpy.init(context=context)
    looker = rclpy.create_node("looker", context=context)
    node = MappingNode(lambda values: Predictor(), context=context)

    def seen() -> int:
        return looker.get_node_names_and_namespaces().count(("student_node", "/"))

    def wait(count: int) -> bool:
        until = time.monotonic() + 10
        while seen() != count and time.monotonic() < until:
            time.sleep(0.02)
        return seen() == count

    assert wait(1)
    node.destroy_node()
    assert wait(0)
    looker.destroy_node()
    rclpy.shutdown(context=context)
