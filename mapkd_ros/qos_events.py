"""Which events of the middleware a topic listens to: as few as are needed, because each one costs time at every wait.

By default rclpy adds two events to each publisher and subscription. Before every wait its executor hands all of them
over one by one in Python; for the 14 subscriptions and 4 publishers of student_node that took more time than the
messages.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

OnEvent = Callable[[Any], None]


def subscription_events(incompatible_qos: OnEvent | None = None) -> Any:
    """No event but, if given, that of a publisher whose QoS does not fit."""
    try:
        from rclpy.event_handler import SubscriptionEventCallbacks
    except ImportError:  # Humble
        from rclpy.qos_event import SubscriptionEventCallbacks
    return SubscriptionEventCallbacks(incompatible_qos=incompatible_qos, use_default_callbacks=False)


def publisher_events(incompatible_qos: OnEvent | None = None) -> Any:
    """No event but, if given, that of a subscriber whose QoS does not fit."""
    try:
        from rclpy.event_handler import PublisherEventCallbacks
    except ImportError:  # Humble
        from rclpy.qos_event import PublisherEventCallbacks
    return PublisherEventCallbacks(incompatible_qos=incompatible_qos, use_default_callbacks=False)


def warning_of_unfit_publisher(logger: Any, topic: str) -> OnEvent:
    """Tells that a publisher's messages will not come."""
    return lambda event: logger.warning(
        f"a publisher of {topic} offers a QoS that does not fit ({policy_name(event)}): none of its messages will come"
    )


def warning_of_unfit_subscriber(logger: Any, topic: str) -> OnEvent:
    """Tells that a subscriber will not get messages."""
    return lambda event: logger.warning(
        f"a subscriber of {topic} asks for a QoS that is not offered ({policy_name(event)}): it will get no messages"
    )


def policy_name(event: Any) -> str:
    """The policy in which an event's publisher and subscription do not agree, in words."""
    from rclpy.qos import qos_policy_name_from_kind

    return str(qos_policy_name_from_kind(event.last_policy_kind)).lower().replace("_", " ")
