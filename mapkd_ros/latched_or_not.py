"""A subscription that gets what publishers send from now on as well as what they have latched before."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from mapkd_ros import qos
from mapkd_ros.qos_events import OnEvent, policy_name, subscription_events, warning_of_unfit_publisher

if TYPE_CHECKING:
    from rclpy.node import Node


TRANSFORMS_KEPT = 100


def transform_inputs(node: Node, on_message: Callable[..., object]) -> list[LatchedOrNot]:
    """Subscriptions of /tf_static and /tf; `on_message(message, fixed=...)` gets what comes."""
    from tf2_msgs.msg import TFMessage

    return [
        LatchedOrNot(
            node, TFMessage, topic, partial(on_message, fixed=fixed), TRANSFORMS_KEPT, fixed,
            unfit=warning_of_unfit_publisher(node.get_logger(), topic),
        )
        for topic, fixed in (("/tf_static", True), ("/tf", False))
    ]  # fmt: skip


class LatchedOrNot:
    """Subscribes volatile, transient local or both, and best effort or reliable, as the topic's publishers offer it.

    A transient-local subscription gets nothing from a volatile publisher, a volatile one misses what was sent before it
    began, and a reliable one gets nothing from a publisher of best effort. `maintain` follows the publishers; until
    there are some, `latched` says which kind to begin with. An override by the user is final. Where `reliability` is
    best_effort, messages that are not latched are taken so from all. `unfit` hears of publishers that offer too little.
    """

    def __init__(
        self,
        node: Node,
        msg_type: type,
        topic: str,
        callback: Callable,
        depth: int,
        latched: bool,
        reliability: str = "reliable",
        unfit: OnEvent | None = None,
    ) -> None:
        self._node, self._msg_type, self._topic, self._callback = node, msg_type, topic, callback
        self._depth = depth
        self._reliability = reliability
        self._unfit = unfit
        self._final = {
            policy: said
            for policy in ("durability", "reliability")
            if (said := qos.override(node, topic, "subscription", policy)) is not None
        }
        self._subscriptions: dict[tuple[bool, str], Any] = {}
        self._subscribe((latched, "reliable" if latched else reliability))

    @property
    def topic(self) -> str:
        """Its full name, after remapping."""
        return str(next(iter(self._subscriptions.values())).topic_name)

    def maintain(self) -> None:
        """Called now and then, outside the callbacks of this topic."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if "durability" in self._final or not publishers:
            return
        wanted = {self._kind(publisher.qos_profile) for publisher in publishers}
        for kind in wanted - set(self._subscriptions):
            self._subscribe(kind)
        for kind in set(self._subscriptions) - wanted:
            self._node.destroy_subscription(self._subscriptions.pop(kind))

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)

    def _kind(self, offered: Any) -> tuple[bool, str]:
        """Whether what is latched is asked for, and the delivery, to get what a publisher offers."""
        from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

        latched = offered.durability == DurabilityPolicy.TRANSIENT_LOCAL
        # Best effort is not sent again what was latched.
        best_effort = offered.reliability == ReliabilityPolicy.BEST_EFFORT
        reliability = "best_effort" if best_effort else "reliable" if latched else self._reliability
        return latched, str(self._final.get("reliability", reliability))

    def _subscribe(self, kind: tuple[bool, str]) -> None:
        latched, reliability = kind
        # The overrides' parameters belong to the first one.
        fixed = [policy for policy in ("durability", "reliability") if policy not in self._final]
        self._subscriptions[kind] = qos.create_subscription(
            self._node,
            self._msg_type,
            self._topic,
            self._callback,
            qos.profile(reliability, self._depth, latched),
            fixed if self._subscriptions else (),
            event_callbacks=subscription_events(self._on_unfit if self._unfit else None),
        )

    def _on_unfit(self, event: Any) -> None:
        policy = policy_name(event)
        if self._unfit and (policy in self._final or policy not in ("durability", "reliability")):
            self._unfit(event)
