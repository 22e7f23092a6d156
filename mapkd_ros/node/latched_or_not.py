"""A subscription that gets what publishers send from now on as well as what they have latched before."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mapkd_ros import qos
from mapkd_ros.node.qos_events import OnEvent, policy_name, subscription_events

if TYPE_CHECKING:
    from rclpy.node import Node


class LatchedOrNot:
    """Subscribes volatile, transient local or both, as the publishers of the topic offer it.

    A transient-local subscription gets nothing from a volatile publisher, and a volatile one misses what was sent
    before it began. `maintain` follows the publishers; until there are some, `latched` says which kind to begin with.
    An override of the topic's durability by the user is final. `unfit` hears of publishers that offer too little else.
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
        self._final = qos.override(node, topic, "subscription", "durability") is not None
        self._subscriptions: dict[bool, Any] = {}
        self._subscriptions[latched] = self._subscribe(latched)

    @property
    def topic(self) -> str:
        """Its full name, after remapping."""
        return str(next(iter(self._subscriptions.values())).topic_name)

    def maintain(self) -> None:
        """Called now and then, outside the callbacks of this topic."""
        from rclpy.qos import DurabilityPolicy

        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if self._final or not publishers:
            return
        wanted = {p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in publishers}
        for latched in wanted - set(self._subscriptions):
            self._subscriptions[latched] = self._subscribe(latched)
        for latched in set(self._subscriptions) - wanted:
            self._node.destroy_subscription(self._subscriptions.pop(latched))

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)

    def _subscribe(self, latched: bool) -> Any:
        fixed: tuple[str, ...] = ()
        if self._subscriptions:  # the overrides' parameters belong to the first one
            fixed = ("durability", "reliability") if latched else ("durability",)
        # Best effort is not sent again what was latched.
        wanted = qos.profile("reliable" if latched else self._reliability, self._depth, latched)
        events = subscription_events(self._on_unfit if self._unfit else None)
        return qos.create_subscription(
            self._node, self._msg_type, self._topic, self._callback, wanted, fixed, event_callbacks=events
        )

    def _on_unfit(self, event: Any) -> None:
        if self._unfit and (self._final or policy_name(event) != "durability"):
            self._unfit(event)
