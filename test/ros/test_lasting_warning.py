"""What lasts is told: a second node of one's own full name, a second publisher of a camera, no clock."""
from __future__ import annotations

import time
from functools import partial
from types import SimpleNamespace

import pytest

from mapkd_ros.lasting_warning import PATIENCE, LastingWarning, mixed, no_clock, twin

pytestmark = pytest.mark.ros


@pytest.fixture
def node(private_domain):
    import rclpy
    from rclpy.parameter import Parameter

    context = rclpy.Context()
    rclpy.init(context=context)
    simulated = [Parameter("use_sim_time", value=True)]
    made = rclpy.create_node("alone", context=context, parameter_overrides=simulated)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


def test_only_what_lasts_is_told_and_as_long_as_it_does():
    said: list[str] = []
    found = iter(["odd"] * 2 + [""] + ["odd"] * 4 + [""])
    watch = LastingWarning(lambda: next(found), SimpleNamespace(warning=said.append), patience=3)
    told = []
    for _ in range(8):
        watch.tick()
        told.append(watch.warning)
    assert told == [""] * 5 + ["odd"] * 2 + [""] and said == ["odd"]


def test_simulated_time_without_a_clock_is_told_until_it_comes(node):
    from rclpy.clock import ClockType
    from rclpy.parameter import Parameter
    from rclpy.time import Time

    assert no_clock(node).startswith("use_sim_time is true, and /clock has no publisher")
    node.get_clock().set_ros_time_override(Time(seconds=1, clock_type=ClockType.ROS_TIME))
    assert no_clock(node) == ""
    node.set_parameters([Parameter("use_sim_time", value=False)])
    assert no_clock(node) == ""


def test_a_second_publisher_of_a_camera_is_told(node):
    from std_msgs.msg import Header

    first, second = (node.create_publisher(Header, "/front/image", 1) for _ in range(2))
    assert mixed(node, "/front/image").startswith("2 publishers of /front/image: what they send is taken for")
    node.destroy_publisher(second)
    assert first and mixed(node, "/front/image") == ""


def test_a_node_of_the_same_full_name_is_told_once_and_forgotten_when_it_goes(private_domain, monkeypatch):
    import rclpy

    contexts = [rclpy.Context() for _ in range(3)]
    for context in contexts:
        rclpy.init(context=context)
    names = (("mapper", "/car"), ("mapper", "/truck"), ("mapper", "/car"))
    nodes = [rclpy.create_node(n, namespace=s, context=c) for (n, s), c in zip(names[:2], contexts[:2], strict=True)]
    said: list[str] = []
    monkeypatch.setattr(nodes[0].get_logger(), "warning", said.append)
    watch = LastingWarning(partial(twin, nodes[0]), nodes[0].get_logger())

    def wait(count: int) -> None:
        until = time.monotonic() + 10
        while nodes[0].get_node_names_and_namespaces().count(names[0]) != count and time.monotonic() < until:
            time.sleep(0.02)
        for _ in range(PATIENCE + 2):
            watch.tick()

    wait(1)
    assert watch.warning == "" and said == []
    nodes.append(rclpy.create_node("mapper", namespace="/car", context=contexts[2]))
    wait(2)
    assert watch.warning.startswith("another node is called /car/mapper too") and said == [watch.warning]
    nodes.pop().destroy_node()
    wait(1)
    assert watch.warning == ""
    for node, context in zip(nodes, contexts, strict=False):
        node.destroy_node()
        rclpy.shutdown(context=context)
    rclpy.shutdown(context=contexts[2])
