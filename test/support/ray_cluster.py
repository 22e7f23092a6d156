"""A Ray cluster of processes on this machine: a head, and nodes that come and go, each with its own `ray start`."""
from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
_LONGEST_S = 120.0
_STORE_BYTES = 80_000_000  # the least that Ray takes


def free_ports(count: int) -> list[int]:
    """Ports above those that Ray gives to its workers."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            port = trial.getsockname()[1]
        if port > 20000 and port not in found:
            found.append(port)
    return found


class Node:
    """One `ray start --block` and all its processes."""

    def __init__(self, name: str, folder: Path, words: list[str], python_path: str) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        environment = {
            **os.environ, "PYTHONPATH": python_path, "RAY_USAGE_STATS_ENABLED": "0", "MAPKD_TEST_NODE": name,
            "RAY_raylet_start_wait_time_s": str(int(_LONGEST_S)),
            "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": str(int(_LONGEST_S)),  # of a loaded machine
        }  # fmt: skip
        # Where these ports are left to it, a node of a loaded machine gives up after 15 s without its agent.
        agents = ("dashboard-agent-grpc", "dashboard-agent-listen", "metrics-export", "runtime-env-agent")
        ports = [f"--{agent}-port={port}" for agent, port in zip(agents, free_ports(len(agents)), strict=True)]
        command = [
            str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats",
            "--object-store-memory", str(_STORE_BYTES), *ports, *words,
        ]  # fmt: skip
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )

    def up(self) -> bool:
        until = time.monotonic() + _LONGEST_S
        while time.monotonic() < until and self.process.poll() is None:
            if "Ray runtime started" in self.log.read_text():
                return True
            time.sleep(0.1)
        return False

    def workers(self) -> list[psutil.Process]:
        """Processes in which units are done."""
        return [p for p in self._below() if any(word.startswith("ray::") for word in _words(p))]

    def kill(self) -> None:
        """Ends all at once, as when a machine loses its power."""
        for process in self._below():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.kill()
        self.process.wait()

    def _below(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


class RayCluster:
    """`address` is for --engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: list[Node] = []
        self.gcs, self.client = 0, 0

    @property
    def address(self) -> str:
        return f"ray://127.0.0.1:{self.client}"

    def start_head(self, cpus: int, python_path: str = str(ROOT)) -> Node:
        for _ in range(3):  # another process may take a port meanwhile, and a loaded machine may be too slow for Ray
            self.gcs, self.client = free_ports(2)
            words = ["--head", "--port", self.gcs, "--ray-client-server-port", self.client, "--include-dashboard=false"]
            # short: a socket's path below it has 107 characters at most
            node = self._started("head", [*words, "--temp-dir", self.folder / "ray"], cpus, python_path)
            if node is not None:
                return node
        pytest.fail("Ray's head does not start; its output is shown above")

    def add_node(self, name: str, cpus: int, python_path: str = str(ROOT)) -> Node:
        for _ in range(3):
            node = self._started(name, ["--address", f"127.0.0.1:{self.gcs}"], cpus, python_path)
            if node is not None:
                return node
        pytest.fail(f"Ray's node {name} does not start; its output is shown above")

    def _started(self, name: str, words: list[object], cpus: int, python_path: str) -> Node | None:
        node = Node(name, self.folder, [*map(str, words), "--num-cpus", str(cpus)], python_path)
        self.nodes.append(node)
        if node.up():
            return node
        print(node.log.read_text())
        node.kill()
        return None

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.kill()


@contextlib.contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster without nodes yet; all its processes and files are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    cluster = RayCluster(folder)
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
