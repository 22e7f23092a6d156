"""A second node of one's own full name is noticed, one of another namespace is not."""
from __future__ import annotations

import time

import pytest

from mapkd_ros.node.twin_watch import PATIENCE, TwinWatch

pytestmark = pytest.mark.ros


def test_a_node_of_the_same_full_name_is_told_once_and_forgotten_when_it_goes(private_domain, monkeypatch):
    import rclpy

    contexts = [rclpy.Context() for _ in range(3)]
    for context in contexts:
        rclpy.init(context=context)
    names = (("mapper", "/car"), ("mapper", "/truck"), ("mapper", "/car"))
    nodes = [rclpy.create_node(n, namespace=s, context=c) for (n, s), c in zip(names[:2], contexts[:2], strict=True)]
    said: list[str] = []
    monkeypatch.setattr(nodes[0].get_logger(), "warning", said.append)
    watch = TwinWatch(nodes[0])

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
