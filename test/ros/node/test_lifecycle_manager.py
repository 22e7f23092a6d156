"""The calls of nav2_lifecycle_manager, in its order and without a bond. nav2 itself is in no wheel and was not run."""
from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")

from camera_bench import CameraBench
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_bench import Predictor, setups
from rclpy.parameter import Parameter

from mapkd_ros.node.mapping_node import MappingNode

pytestmark = pytest.mark.ros
REACHED = {
    Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
    Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN: State.PRIMARY_STATE_FINALIZED,
}
SERVICE_TIMEOUT_S = 5.0
"""nav2's default."""


class StandIn:
    """Leads the nodes of these names: of each call it asks for the state, and stops at the first that is another."""

    def __init__(self, bench: CameraBench, node_names: list[str]) -> None:
        self.bench = bench
        make = bench.node.create_client
        self.clients = {
            name: (make(ChangeState, f"{name}/change_state"), make(GetState, f"{name}/get_state"))
            for name in node_names
        }
        ready = [client.service_is_ready for pair in self.clients.values() for client in pair]
        assert bench.wait(lambda: all(is_ready() for is_ready in ready))

    def startup(self) -> bool:
        return self.all(Transition.TRANSITION_CONFIGURE) and self.all(Transition.TRANSITION_ACTIVATE)

    def pause(self) -> bool:
        return self.all(Transition.TRANSITION_DEACTIVATE, reverse=True)

    def resume(self) -> bool:
        return self.all(Transition.TRANSITION_ACTIVATE)

    def reset(self) -> bool:
        return self.pause() and self.all(Transition.TRANSITION_CLEANUP, reverse=True)

    def shutdown(self) -> bool:
        return self.reset() and self.all(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, reverse=True)

    def all(self, transition: int, reverse: bool = False) -> bool:
        names = list(self.clients)[::-1] if reverse else list(self.clients)
        return all(self.one(name, transition) for name in names)

    def one(self, name: str, transition: int) -> bool:
        change, get = self.clients[name]
        if not self._call(change, ChangeState.Request(transition=Transition(id=transition))).success:
            return False
        return self._call(get, GetState.Request()).current_state.id == REACHED[transition]

    def _call(self, client, request):
        future = client.call_async(request)
        assert self.bench.wait(future.done, SERVICE_TIMEOUT_S), "no answer within nav2's time"
        return future.result()


def sends_maps(bench: CameraBench) -> bool:
    senders = [*bench.images.values(), *bench.infos.values(), bench.tf_static]
    assert bench.wait(lambda: all(sender.get_subscription_count() for sender in senders))
    bench.send_calibration()
    bench.send_mountings()
    bench.maps.clear()
    for _ in range(4):
        bench.taken = None
        bench.send_set()
        if bench.wait(lambda: bench.maps, 2.0):
            return True
    return False


@pytest.fixture
def led(private_domain):
    """A manager of two nodes, and the bench around the first."""
    with setups() as make:
        one = make(autostart=False)
        second = MappingNode(
            lambda values: Predictor(), context=one.bench.node.context, namespace="second",
            parameter_overrides=[Parameter("autostart", value=False)],
        )  # fmt: skip
        one.executor.add_node(second)
        one.bench.listen()
        yield StandIn(one.bench, ["/second/student_node", "/student_node"]), one.bench, second
        one.executor.remove_node(second)
        second.close()
        second.destroy_node()


def test_startup_pause_resume_reset_and_shutdown(led):
    manager, bench, _ = led
    for _ in range(2):
        assert manager.startup() and sends_maps(bench)
        assert manager.pause()
        assert bench.wait(lambda: not any(sender.get_subscription_count() for sender in bench.images.values()))
        assert manager.resume() and sends_maps(bench)
        assert manager.reset()
        assert bench.wait(lambda: bench.node.count_publishers("/student_node/vector_map") == 0)
    assert manager.startup() and manager.shutdown()
    assert bench.wait(lambda: "the node is finalized" in bench.message)
    assert not manager.startup()


def test_a_node_that_cannot_be_configured_stops_the_startup_and_is_led_up_when_mended(led):
    manager, bench, second = led
    second.set_parameters([Parameter("rig", value="/nowhere/rig.yaml")])
    assert not manager.startup()
    assert bench.wait(lambda: "second/student_node: map" in bench.status)
    assert "/nowhere/rig.yaml" in bench.status["second/student_node: map"].message
    assert "the node is unconfigured" in bench.message  # its turn had not come
    second.set_parameters([Parameter("rig", value="")])
    assert manager.startup() and sends_maps(bench)
