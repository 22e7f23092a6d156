"""What is wrong for a moment while things start and end, and is told once it lasts: a second node of one name, or
publisher of one topic, and simulated time without a clock."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rclpy.node import Node

PATIENCE = 5
"""Looks in a row: a node that was killed stays on the graph for a while."""
MIXED_S = 25.0
"""A driver that was killed and started again has two publishers for twenty seconds."""


class LastingWarning:
    """Asks `look` what is wrong each time `tick` is called, and logs it once it was so `patience` times in a row."""

    def __init__(self, look: Callable[[], str], logger: Any, patience: int = PATIENCE) -> None:
        self._look, self._logger, self._patience = look, logger, patience
        self._seen = 0
        self.warning = ""
        """What is to be told while it lasts; else empty."""

    def tick(self) -> None:
        """Called regularly."""
        found = self._look()
        self._seen = self._seen + 1 if found else 0
        self.warning = found if self._seen >= self._patience else ""
        if self._seen == self._patience:
            self._logger.warning(found)


def twin(node: Node) -> str:
    """What to do about another node of the same full name: both publish on the same topics, and ROS says nothing."""
    name = (node.get_name(), node.get_namespace())
    if node.get_node_names_and_namespaces().count(name) < 2:
        return ""
    return (
        f"another node is called {node.get_fully_qualified_name()} too, and publishes on the same topics: "
        "end one of them, or give it another name or namespace (-r __node:=NAME, -r __ns:=/NAME)"
    )


def no_clock(node: Node) -> str:
    """What to do about simulated time that does not begin."""
    if not node.get_parameter("use_sim_time").value or node.get_clock().now().nanoseconds:
        return ""
    there = "has a publisher that sends nothing" if node.count_publishers("/clock") else "has no publisher"
    return (
        f"use_sim_time is true, and /clock {there}, so that the age of maps is unknown: play with a clock "
        "(ros2 bag play --clock, or clock:=true), or set use_sim_time to false"
    )


def mixed(node: Node, topic: str, sender: str = "camera") -> str:
    """What to do about several publishers of a topic on which one `sender` should be."""
    count = node.count_publishers(topic)
    if count < 2:
        return ""
    return (
        f"{count} publishers of {topic}: what they send is taken for that of one {sender}, as of a bag that is played "
        f"beside it; end the others (ros2 topic info -v {topic} names them)"
    )
