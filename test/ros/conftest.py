"""Fixtures of the ROS tests: a DDS domain of their own, and node processes that never outlive their test."""
from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from mapkd_ros import child_process
from mapkd_ros.child_process import ChildProcess, node_executable

# Read when messages are first imported, here and in the nodes: their fields refuse values of another type.
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"

StartNode = Callable[..., ChildProcess]


@cache
def why_no_ros() -> str:
    """Empty if nodes and messages can be used here, else the reason why not."""
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        return f"no ROS 2 in this shell ({error})"
    try:
        from rclpy.type_support import check_for_type_support

        from mapkd_ros.msg import VectorMap

        check_for_type_support(VectorMap)
    except Exception as error:  # ImportError if not built, rclpy's own class if install/ is not sourced
        return f"the messages of mapkd_ros are not built or not sourced ({type(error).__name__}: {error})"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("ros")]
    if marked and why_no_ros():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=why_no_ros()))


@pytest.fixture(scope="session", autouse=True)
def private_domain() -> Iterator[int]:
    """A ROS domain that no other test run on this machine uses; also for rclpy inside the test's own process."""
    for domain in range(1, 100):
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", 45800 + domain))
        except OSError:
            claim.close()
            continue
        break
    else:
        raise RuntimeError("all of the ROS domains 1..99 are taken by other test runs")
    before = dict(os.environ)
    os.environ.update(child_process.private_domain(domain))
    yield domain
    os.environ.clear()
    os.environ.update(before)
    claim.close()


@pytest.fixture
def start_node() -> Iterator[StartNode]:
    """start_node("student_node", device="cpu") runs an installed node with these parameters until the test ends."""
    started: list[ChildProcess] = []

    def start(executable: str, *arguments: str, **parameters: object) -> ChildProcess:
        words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={_yaml(value)}")]
        ros_arguments = ["--ros-args", *words] if words else []
        process = ChildProcess(executable, [node_executable(executable), *arguments, *ros_arguments])
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        process.stop()


Listen = Callable[..., dict[str, list[Any]]]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """listen({topic: type}, enough, patience_s) subscribes and spins until `enough(heard)` or patience ends."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node

    from mapkd_ros.sensor_messages import message_class

    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node("listener", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def run(
        topics: dict[str, str], enough: Callable[[dict[str, list[Any]]], bool], patience_s: float
    ) -> dict[str, list[Any]]:
        heard: dict[str, list[Any]] = {topic: [] for topic in topics}
        for topic, msg_type in topics.items():
            node.create_subscription(message_class(msg_type), topic, heard[topic].append, 20)
        until = time.monotonic() + patience_s
        while not enough(heard) and time.monotonic() < until:
            executor.spin_once(timeout_sec=0.1)
        return heard

    yield run
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
