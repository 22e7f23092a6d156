"""A program started beside this one: its output is collected, and its whole process group ends with either.

The demo, the benchmarks and the tests run nodes this way, as users do: separate processes that meet over DDS.
"""
from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

_GUARD = 'read end; kill -s KILL -- "-$1"'
"""For sh: its input ends when the process that writes to it has, even by SIGKILL."""
KILL_AFTER_S = 10.0
"""How long a program may take to end in good order before it is killed."""


class ChildProcess:
    """Starts `command` in its own process group; as a context manager it also ends it.

    A guard kills the group when this process is gone, however it went: a launch file's nodes would outlive it.
    Standard output and error are read together, line by line. Raises FileNotFoundError if there is no such program.
    """

    def __init__(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None):
        self.name = name
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            start_new_session=True,
        )
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id; the process group has the same."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """What it has written so far."""
        with self._changed:
            return "".join(self._lines)

    def tail(self, lines: int = 20) -> str:
        """The end of its output."""
        return "\n".join(self.output.splitlines()[-lines:])

    def wait_for(self, text: str, timeout_s: float = 30.0) -> None:
        """Returns once a line holds `text`; raises RuntimeError, with the output's end, if it ends or time runs out."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not any(text in line for line in self._lines):
                ended = self.returncode is not None and not self._reader.is_alive()
                if ended or time.monotonic() > deadline:
                    why = f"ended with code {self.returncode}" if ended else f"went on for {timeout_s:g} s"
                    raise RuntimeError(f"{self.name} {why} without saying {text!r}. Its last words:\n{self.tail()}")
                self._changed.wait(0.1)

    def wait(self, timeout_s: float) -> int:
        """Exit code once it has ended by itself; raises RuntimeError if it has not in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            late = f"{self.name} still runs after {timeout_s:g} s. Its last words:\n{self.tail()}"
            raise RuntimeError(late) from None
        self._reader.join(KILL_AFTER_S)
        return self._process.returncode

    def stop(self, number: int = signal.SIGINT) -> int:
        """Sends a signal, waits for the end, kills what is left of the process group; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILL_AFTER_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(KILL_AFTER_S)
        return self._process.returncode

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        self._guard.kill()  # all of the group has ended: its number may soon be another's
        self._guard.communicate()
        with self._changed:
            self._changed.notify_all()


def private_domain(domain: int) -> dict[str, str]:
    """Environment in which nodes hear only those of the same ROS domain on this machine."""
    variables = {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if os.environ.get("ROS_DISTRO") == "humble":  # does not know the discovery range yet
        variables["ROS_LOCALHOST_ONLY"] = "1"
    return variables


def node_executable(name: str) -> Path:
    """Path of an installed node of this package; raises FileNotFoundError, with the remedy, if there is none."""
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    remedy = "run colcon build, then source install/setup.bash"
    try:
        path = Path(get_package_prefix("mapkd_ros"), "lib", "mapkd_ros", name)
    except PackageNotFoundError as error:
        raise FileNotFoundError(f"the package mapkd_ros is not installed in this shell; {remedy}") from error
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; {remedy}")
    return path
