"""One topic, publishers of both kinds: nothing that they say is missed, and no second subscription without need."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from mapkd_ros import qos
from mapkd_ros.latched_or_not import LatchedOrNot

pytestmark = pytest.mark.ros


class Bench:
    """One node that publishes and one that listens; `heard` is what came."""

    def __init__(self, context: Any) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.rclpy, self.context = rclpy, context
        self.sender = rclpy.create_node("sender", context=context)
        self.heard: list[str] = []
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.sender)

    def listen(self, latched: bool, overrides: dict[str, object] | None = None, **more: Any) -> LatchedOrNot:
        from rclpy.parameter import Parameter
        from std_msgs.msg import String

        given = [Parameter(qos.PREFIX + name, value=value) for name, value in (overrides or {}).items()]
        self.node = self.rclpy.create_node("listener", context=self.context, parameter_overrides=given)
        self.executor.add_node(self.node)
        self.one = LatchedOrNot(
            self.node, String, "topic", lambda message: self.heard.append(message.data), 10, latched, **more
        )
        return self.one

    def publisher(self, latched: bool) -> Any:
        from std_msgs.msg import String

        return self.sender.create_publisher(String, "topic", qos.profile(latched=latched))

    def wait(self, condition: Callable[[], object], timeout_s: float = 10.0) -> bool:
        until = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < until:
            self.executor.spin_once(timeout_sec=0.02)
            self.one.maintain()
        return bool(condition())

    @property
    def kinds(self) -> set[bool]:
        return {latched for latched, _ in self.one._subscriptions}

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.sender.destroy_node()


@pytest.fixture
def bench(private_domain: int) -> Any:
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    one = Bench(context)
    yield one
    one.close()
    rclpy.try_shutdown(context=context)


def say(publisher: Any, text: str) -> None:
    from std_msgs.msg import String

    publisher.publish(String(data=text))


@pytest.mark.parametrize("first", [False, True])
def test_what_was_latched_before_and_what_is_not_latched_both_come(bench: Bench, first: bool) -> None:
    latched = bench.publisher(latched=True)
    say(latched, "before")
    bench.listen(first)
    assert bench.wait(lambda: bench.heard)
    assert bench.heard == ["before"] and bench.kinds == {True}
    plain = bench.publisher(latched=False)
    assert bench.wait(lambda: bench.kinds == {True, False} and plain.get_subscription_count())
    say(plain, "after")
    assert bench.wait(lambda: bench.heard[-1] == "after")
    bench.sender.destroy_publisher(latched)
    assert bench.wait(lambda: bench.kinds == {False})


def test_the_users_word_on_durability_is_final(bench: Bench) -> None:
    told: list[Any] = []
    bench.listen(False, {"/topic.subscription.durability": "transient_local"}, unfit=told.append)
    bench.publisher(latched=False)
    assert bench.wait(lambda: told)
    assert bench.kinds == {False}


@pytest.mark.parametrize("latched", [False, True])
def test_a_publisher_of_best_effort_is_heard_beside_one_that_is_reliable(bench: Bench, latched: bool) -> None:
    from std_msgs.msg import String

    told: list[Any] = []
    reliable = bench.publisher(latched=True)
    say(reliable, "before")
    bench.listen(True, unfit=told.append)
    assert bench.wait(lambda: bench.heard == ["before"])
    other = bench.sender.create_publisher(String, "topic", qos.profile("best_effort", latched=latched))
    assert bench.wait(lambda: other.get_subscription_count())
    say(other, "after")
    assert bench.wait(lambda: bench.heard[-1] == "after") and told == []
    late = len(bench.heard)
    say(reliable, "again")
    assert bench.wait(lambda: bench.heard[late:].count("again"))


def test_only_what_cannot_be_mended_is_told(bench: Bench) -> None:
    from std_msgs.msg import String

    told: list[Any] = []
    bench.listen(True, {"/topic.subscription.reliability": "reliable"}, unfit=told.append)
    plain = bench.publisher(latched=False)
    assert bench.wait(lambda: plain.get_subscription_count()) and told == []
    bench.sender.create_publisher(String, "topic", qos.profile("best_effort", latched=True))
    assert bench.wait(lambda: told)
