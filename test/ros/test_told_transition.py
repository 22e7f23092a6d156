"""What goes wrong in a life-cycle callback is logged, or raised by who triggered it, and the node's state is right."""
from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from rclpy.lifecycle import TransitionCallbackReturn

from mapkd_ros.told_transition import failure_of, told


class Stand:
    """A node as far as transitions know it; `fault` is what the next one raises."""

    def __init__(self) -> None:
        self.raises = False
        self.fault: Exception | None = None
        self.said: list[str] = []

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(error=self.said.append)

    @told("configure")
    def configure(self, state: object) -> None:
        if self.fault is not None:
            raise self.fault

    @told("recover", forget=False)
    def recover(self, state: object) -> None:
        pass


@pytest.mark.parametrize(
    ("fault", "outcome", "words"),
    [
        (ValueError("no weights\nat /x"), TransitionCallbackReturn.FAILURE, "cannot configure: no weights at /x"),
        (OSError("disk"), TransitionCallbackReturn.FAILURE, "cannot configure: disk"),
        (RuntimeError("no memory"), TransitionCallbackReturn.ERROR, "cannot configure: RuntimeError: no memory"),
    ],
)
def test_a_reason_is_logged_and_kept_until_the_next_try(fault, outcome, words):
    node = Stand()
    node.fault = fault
    assert node.configure(None) == outcome and failure_of(node) is fault
    assert node.said[0].startswith(words)
    assert ("Traceback" in node.said[0]) == (outcome == TransitionCallbackReturn.ERROR)
    assert node.recover(None) == TransitionCallbackReturn.SUCCESS and failure_of(node) is fault
    node.fault = None
    assert node.configure(None) == TransitionCallbackReturn.SUCCESS and failure_of(node) is None
    node.fault, node.raises = fault, True
    assert node.configure(None) == outcome and len(node.said) == 1 and failure_of(node) is fault
