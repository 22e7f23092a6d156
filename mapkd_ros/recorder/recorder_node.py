"""Subscriptions of the recorder: each topic in the QoS that its publishers offer, and noted with it."""
from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mapkd_core.bags.qos import Profile, profile_by_name
from mapkd_ros import qos
from mapkd_ros.qos_events import subscription_events
from mapkd_ros.recorder.mcap_file import McapFile
from mapkd_ros.sensor_messages import message_class

if TYPE_CHECKING:
    from rclpy.node import Node

LOOK_S = 0.2
"""Seconds between two looks at who publishes."""
_DEPTH = 100
_HEARD = 64
"""So many messages of one subscription may come before another brings the same."""


class HeardBefore:
    """Knows messages that one subscription brings after another: what is latched is sent to each that begins."""

    def __init__(self) -> None:
        self._brought: dict[int, set[int]] = {}
        """Hash of a message -> the subscriptions that have brought it since it was last new."""

    def __call__(self, raw: bytes, subscription: int) -> bool:
        """Whether other subscriptions have brought this message, and this one not yet: sent again, it is new."""
        key = hash(raw)
        brought = self._brought.pop(key, set())
        before = bool(brought) and subscription not in brought
        self._brought[key] = {*(brought if before else ()), subscription}
        if len(self._brought) > _HEARD:
            del self._brought[next(iter(self._brought))]
        return before


@dataclass(eq=False)
class _Tap:
    """One topic that is recorded."""

    topic: str
    msg_type: str
    asked: Profile
    follows: bool = True
    """Whether the publishers decide the QoS; False where the user did."""
    subscription: Any = None
    kept: Any = None
    """A second subscription, of what some publishers have latched while others latch nothing."""
    heard_before: HeardBefore = field(default_factory=HeardBefore)
    begun: int = 0
    """Subscriptions so far; each has its number."""


class Recorder:
    """Writes what comes on topics (name -> type, relative to the node's namespace) to a file.

    A subscription that asks for more than a publisher offers hears nothing of it, so each asks for what all offer,
    unless the user overrides that, and where some have latched messages, for those too.
    `output_prefix` begins the names of topics that one node alone should publish; a second publisher is told of.
    """

    def __init__(self, node: Node, file: McapFile, topics: Mapping[str, str], output_prefix: str) -> None:
        self._node, self._file = node, file
        self._outputs = node.resolve_topic_name(output_prefix.rstrip("/")) + "/"
        self._told: set[str] = set()
        self._taps = []
        for name, msg_type in topics.items():
            topic = node.resolve_topic_name(name)
            tap = _Tap(topic, msg_type, replace(profile_by_name(topic), depth=_DEPTH))
            overrides = [qos.override(node, topic, "subscription", policy) for policy in ("reliability", "durability")]
            tap.follows = not any(overrides)
            self._subscribe(tap)
            self._taps.append(tap)
        self._timer = node.create_timer(LOOK_S, self._look)

    def declare_the_rest(self) -> None:
        """Notes the topics on which nothing came."""
        for tap in self._taps:
            self._declare(tap)

    def _subscribe(self, tap: _Tap) -> None:
        profile = qos.profile("reliable" if tap.asked.reliable else "best_effort", tap.asked.depth, tap.asked.latched)
        given = self._given(tap, profile)
        # What follows its publishers hears all of them in the end: rclpy's warning that it will not would be wrong.
        events = subscription_events() if tap.follows else None
        if tap.subscription is None:
            tap.subscription = qos.create_subscription(self._node, *given, raw=True, event_callbacks=events)
            return
        self._node.destroy_subscription(tap.subscription)
        # Without overrides: as parameters, they keep what the first subscription asked for.
        tap.subscription = self._node.create_subscription(*given, raw=True, event_callbacks=events)

    def _keep(self, tap: _Tap, wanted: bool) -> None:
        """Asks for what some publishers have latched, or no longer."""
        if wanted and tap.kept is None:
            profile = qos.profile(depth=tap.asked.depth, latched=True)
            given = self._given(tap, profile)
            tap.kept = self._node.create_subscription(*given, raw=True, event_callbacks=subscription_events())
        elif tap.kept is not None and not wanted:
            self._node.destroy_subscription(tap.kept)
            tap.kept = None

    def _given(self, tap: _Tap, profile: Any) -> tuple[Any, ...]:
        """What a further subscription of a topic is made of."""
        tap.begun += 1
        return message_class(tap.msg_type), tap.topic, partial(self._write, tap, tap.begun), profile

    def _write(self, tap: _Tap, subscription: int, raw: bytes) -> None:
        self._declare(tap)
        if (tap.kept is not None or tap.asked.latched) and tap.heard_before(raw, subscription):
            return
        self._file.write(tap.topic, raw, time.time_ns())

    def _declare(self, tap: _Tap) -> None:
        if not self._file.has_topic(tap.topic):
            self._file.add_topic(tap.topic, tap.msg_type, self._offered(tap) or None)

    def _offered(self, tap: _Tap) -> list[Profile]:
        """What the publishers of a topic offer now."""
        from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

        found = []
        for info in self._node.get_publishers_info_by_topic(tap.topic):
            offered = info.qos_profile
            usual = profile_by_name(tap.topic)
            found.append(
                Profile(
                    offered.depth or usual.depth,  # the middleware does not always tell
                    offered.reliability != ReliabilityPolicy.BEST_EFFORT,
                    offered.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                )
            )
        return found

    def _look(self) -> None:
        """Asks for less, or for what is kept, where the publishers that have come since offer that."""
        for tap in self._taps:
            offered = self._offered(tap)
            if not offered:
                continue
            reliable, latched = all(p.reliable for p in offered), all(p.latched for p in offered)
            if tap.follows and (reliable, latched) != (tap.asked.reliable, tap.asked.latched):
                depth = qos.override(self._node, tap.topic, "subscription", "depth")
                tap.asked = Profile(depth if isinstance(depth, int) else _DEPTH, reliable, latched)
                self._subscribe(tap)
            if tap.follows:
                self._keep(tap, any(p.latched and p.reliable for p in offered) and not latched)
            if len(offered) > 1 and tap.topic.startswith(self._outputs) and tap.topic not in self._told:
                self._told.add(tap.topic)
                self._node.get_logger().warning(
                    f"{len(offered)} publishers of {tap.topic}: the maps of several nodes, or of a bag that is played, "
                    "are recorded as one"
                )
