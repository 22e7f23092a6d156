"""QoS overrides of the user: taken for every policy, refused with the remedy, and never passed over in silence."""
from __future__ import annotations

from typing import Any

import pytest

from mapkd_ros import qos

pytestmark = pytest.mark.ros


@pytest.fixture
def make_node(private_domain: int) -> Any:
    """make_node({"a.subscription.depth": 3}) has these overrides."""
    import rclpy
    from rclpy.parameter import Parameter

    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def make(overrides: dict[str, object]) -> Any:
        given = [Parameter(qos.PREFIX + name, value=value) for name, value in overrides.items()]
        nodes.append(rclpy.create_node("qos_test", namespace="car", context=context, parameter_overrides=given))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown(context=context)


def subscribed(node: Any, fixed: tuple[str, ...] = ()) -> Any:
    from std_msgs.msg import String

    return qos.create_subscription(node, String, "a", print, qos.profile("reliable", 7), fixed).qos_profile


def test_every_policy_can_be_overridden(make_node: Any) -> None:
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, ReliabilityPolicy
    from std_msgs.msg import String

    plain = subscribed(make_node({}))
    assert (plain.depth, plain.reliability, plain.durability, plain.history) == (
        7, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, HistoryPolicy.KEEP_LAST
    )  # fmt: skip
    key = "/car/a.subscription."
    words = {"depth": 3, "reliability": "best_effort", "durability": "transient_local", "history": "keep_all"}
    node = make_node({key + name: word for name, word in words.items()})
    qos.check_overrides(node)
    found = subscribed(node)
    assert (found.reliability, found.durability, found.history) == (
        ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.TRANSIENT_LOCAL, HistoryPolicy.KEEP_ALL
    )  # fmt: skip
    assert node.get_parameter(qos.PREFIX + key + "depth").value == 3
    assert subscribed(node, fixed=("reliability", "history")).reliability == ReliabilityPolicy.RELIABLE
    sender = make_node({"/car/qos_test/b.publisher.durability": "transient_local"})
    made = qos.create_publisher(sender, String, "~/b", qos.profile())
    assert made.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL


@pytest.mark.parametrize(
    ("policy", "value", "words"),
    [
        ("reliability", "relible", "expected 'system_default' or 'reliable' or 'best_effort'"),
        ("durability", "unknown", "'transient_local'"),
        ("depth", 0, "expected 1 to 10000"),
        ("depth", "many", "of type int"),
        ("history", 5, "of type str"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(make_node: Any, policy: str, value: object, words: str) -> None:
    name = f"/car/a.subscription.{policy}"
    with pytest.raises(ValueError, match=f"qos_overrides.{name} is {value!r}") as caught:
        qos.check_overrides(make_node({name: value}))
    assert words in str(caught.value)


def test_an_override_of_no_topic_is_named_with_the_nearest(make_node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node = make_node({"/car/a.subscription.depth": 3})
    subscribed(node)
    said: list[str] = []
    monkeypatch.setattr(node.get_logger(), "warning", said.append)
    qos.tell_unused_overrides(node)
    assert said == []
    node = make_node({"/a.subscription.depth": 3, "/car/a.subscription.lifespan": 1})
    subscribed(node)
    monkeypatch.setattr(node.get_logger(), "warning", said.append)
    qos.tell_unused_overrides(node)
    (told,) = said
    assert "qos_overrides./a.subscription.depth, did you mean 'qos_overrides./car/a.subscription.depth'?" in told
    assert "qos_overrides./car/a.subscription.lifespan" in told
