"""Publishers and subscriptions whose QoS the user may override, topic by topic, through ROS's own `qos_overrides`."""
from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from mapkd_core.suggestion import did_you_mean
from mapkd_ros.parameters import Parameter

if TYPE_CHECKING:
    from rclpy.node import Node

PREFIX = "qos_overrides."
POLICIES = ("history", "depth", "reliability", "durability")
"""What may be overridden: qos_overrides.TOPIC.ENTITY.POLICY; TOPIC is its full name after remapping."""
DEEPEST = 10_000


def profile(reliability: str = "reliable", depth: int = 10, latched: bool = False) -> Any:
    """A QoSProfile that keeps the last `depth` messages; `reliability` is reliable or best_effort."""
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def check_overrides(node: Node) -> None:
    """Raises ValueError, fit to be shown to the user, for an override that makes no sense.

    rclpy's own errors are of five classes, some without the topic, and come when the topic is made.
    """
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, ReliabilityPolicy

    words = {"history": HistoryPolicy, "reliability": ReliabilityPolicy, "durability": DurabilityPolicy}
    for name, found in _overrides(node).items():
        policy = name.rpartition(".")[2]
        if name.startswith(PREFIX) and policy == "depth":
            Parameter(name, 1, "messages kept", range=(1, DEEPEST)).checked(found.value)
        elif name.startswith(PREFIX) and policy in words:
            choices = tuple(word.lower() for word in words[policy].__members__ if word != "UNKNOWN")
            Parameter(name, "", "a policy of ROS", choices=choices).checked(found.value)


def create_publisher(node: Node, msg_type: type, topic: str, qos: Any, **more: Any) -> Any:
    """A publisher with `qos` and the user's overrides, which `check_overrides` has checked."""
    return node.create_publisher(
        msg_type, topic, qos, qos_overriding_options=_options(()), **more
    )


def create_subscription(
    node: Node, msg_type: type, topic: str, callback: Callable, qos: Any, fixed: Collection[str] = (), **more: Any
) -> Any:
    """The same for a subscription; policies in `fixed` stay as `qos` has them."""
    options = _options(fixed)
    return node.create_subscription(msg_type, topic, callback, qos, qos_overriding_options=options, **more)


def override(node: Node, topic: str, entity: str, policy: str) -> object:
    """What the user gave for a policy of this topic's `publisher` or `subscription`; None where nothing."""
    found = _overrides(node).get(_name(node, topic, entity, policy))
    return None if found is None else found.value


def tell_unused_overrides(node: Node) -> None:
    """Logs the overrides of topics that the node does not have, with the nearest that it has.

    They are no error: one parameter file may serve several nodes.
    """
    known = [f"{PREFIX}{name}" for name in node.get_parameters_by_prefix(PREFIX.rstrip("."))]
    unused = [name for name in _overrides(node) if name.startswith(PREFIX) and not node.has_parameter(name)]
    if unused:
        texts = "; ".join(name + did_you_mean(name, known) for name in unused)
        node.get_logger().warning(f"this node has no topic for {texts}")


def _overrides(node: Node) -> dict[str, Any]:
    return getattr(node, "_parameter_overrides", {})


def _name(node: Node, topic: str, entity: str, policy: str) -> str:
    return f"{PREFIX}{node.resolve_topic_name(topic)}.{entity}.{policy}"


def _options(fixed: Collection[str]) -> Any:
    from rclpy.qos import QoSPolicyKind
    from rclpy.qos_overriding_options import QoSOverridingOptions

    return QoSOverridingOptions([QoSPolicyKind[policy.upper()] for policy in POLICIES if policy not in fixed])
