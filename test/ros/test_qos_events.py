"""Few events, and those that stay say what is wrong."""
from __future__ import annotations

import time
from typing import Any

import pytest

from mapkd_ros.qos_events import (
    publisher_events,
    subscription_events,
    warning_of_unfit_publisher,
    warning_of_unfit_subscriber,
)

pytestmark = pytest.mark.ros


class Logger:
    def __init__(self) -> None:
        self.said: list[str] = []

    def warning(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def spun(private_domain: int) -> Any:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("qos_events_test", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield node, executor
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def test_no_event_is_waited_for_unless_asked_for(spun: Any) -> None:
    from std_msgs.msg import String

    node, _ = spun
    before = len(list(node.waitables))
    node.create_subscription(String, "a", print, 1, event_callbacks=subscription_events())
    node.create_publisher(String, "b", 1, event_callbacks=publisher_events())
    assert len(list(node.waitables)) == before
    node.create_subscription(String, "c", print, 1, event_callbacks=subscription_events(print))
    node.create_publisher(String, "d", 1, event_callbacks=publisher_events(print))
    assert len(list(node.waitables)) == before + 2


def test_topics_whose_qos_does_not_fit_are_told(spun: Any) -> None:
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from std_msgs.msg import String

    node, executor = spun
    logger = Logger()
    weak = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    reports = warning_of_unfit_publisher(logger, "/tf"), warning_of_unfit_subscriber(logger, "~/markers")
    node.create_subscription(String, "/tf", print, 1, event_callbacks=subscription_events(reports[0]))
    node.create_publisher(String, "/tf", weak, event_callbacks=publisher_events())
    node.create_publisher(String, "markers", weak, event_callbacks=publisher_events(reports[1]))
    node.create_subscription(String, "markers", print, 1, event_callbacks=subscription_events())
    until = time.monotonic() + 10
    while len(logger.said) < 2 and time.monotonic() < until:
        executor.spin_once(timeout_sec=0.1)
    assert sorted(logger.said) == [
        "a publisher of /tf offers a QoS that does not fit (reliability): none of its messages will come",
        "a subscriber of ~/markers asks for a QoS that is not offered (reliability): it will get no messages",
    ]
