"""Fixtures of the ROS tests: a DDS domain of their own, and node processes that never outlive their test."""
from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from mapkd_ros.child_process import ChildProcess, node_executable

StartNode = Callable[..., ChildProcess]


@cache
def why_no_ros() -> str:
    """Empty if nodes and messages can be used here, else the reason why not."""
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        return f"no ROS 2 in this shell ({error})"
    try:
        from mapkd_ros.msg import VectorMap
        from rclpy.type_support import check_for_type_support

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
    isolation = {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if os.environ.get("ROS_DISTRO") == "humble":  # does not know the discovery range yet
        isolation["ROS_LOCALHOST_ONLY"] = "1"
    before = dict(os.environ)
    os.environ.update(isolation)
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


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
