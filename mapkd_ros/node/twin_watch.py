"""Notices a second node of the same full name: both then publish on the same topics, and ROS says nothing."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

PATIENCE = 5
"""Looks in a row: a node that was killed stays on the graph for a while."""


class TwinWatch:
    """Looks at the graph each time `tick` is called, and logs a twin once."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._seen = 0

    @property
    def warning(self) -> str:
        """What is to be told while a twin is there; else empty."""
        if self._seen < PATIENCE:
            return ""
        return (
            f"another node is called {self._node.get_fully_qualified_name()} too, and publishes on the same topics: "
            "end one of them, or give it another name or namespace (-r __node:=NAME, -r __ns:=/NAME)"
        )

    def tick(self) -> None:
        """Called every second."""
        name = (self._node.get_name(), self._node.get_namespace())
        self._seen = self._seen + 1 if self._node.get_node_names_and_namespaces().count(name) > 1 else 0
        if self._seen == PATIENCE:
            self._node.get_logger().warning(self.warning)
