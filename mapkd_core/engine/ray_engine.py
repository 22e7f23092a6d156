"""Units on the workers of a Ray cluster. This process drives it, and has to stay.

Each unit is a Ray task: Ray begins it again elsewhere when its worker or node is lost, and gives tasks that wait to
nodes that come later.
"""
from __future__ import annotations

import contextlib
import logging
import os
import pickle
import re
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mapkd_core.engine import ray_unit
from mapkd_core.engine.interface import ATTEMPTS, EngineFault, Result, Unit, UnitNeeds
from mapkd_core.engine.ray_worker import DIFFERS, FAILED, here
from mapkd_core.progress import notice

_AHEAD = 3
"""Units submitted for each that can run: a node that comes later finds some waiting."""
_ANSWER_S = 10.0
"""Seconds that a host has to take a connection."""
_LOOK_S = 2.0
"""Seconds between two looks at the size of the cluster."""
_PATIENCE_S = 30.0
"""Seconds without any room for a unit after which it is said what is missing."""


@contextlib.contextmanager
def ray_engine(address: str, needs: UnitNeeds) -> Iterator[RayEngine]:
    """Connects to the cluster that `EngineOptions.name` names; raises EngineFault where that fails."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nobody is told of what runs here
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning of several lines
    import ray

    place = address.removeprefix("ray://")
    words: dict[str, Any] = {"address": address}
    if place == "auto":
        words = {"address": "auto"}
    elif ":" not in place:  # local, local-4; a host has a port
        cpus = place.partition("-")[2]
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # of a busy machine
        words = {"address": "local", "include_dashboard": False, "num_cpus": int(cpus) if cpus else None}
    try:
        if ":" in place:  # else Ray tries for half a minute where nobody listens
            host, _, port = place.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
        ray.init(**words, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # OSError, RuntimeError, ValueError and gRPC's own, by the way it fails
        raise EngineFault(_why_not(address, error)) from None
    try:
        yield RayEngine(needs)
    finally:
        ray.shutdown()


def _why_not(address: str, error: Exception) -> str:
    words = " ".join(str(error).partition("Traceback")[0].split()) or str(error).rstrip().rpartition("\n")[2]
    if "ersion mismatch" in words or "different version" in words.lower():
        return f"{address}: the cluster runs another version of Ray or Python than this machine ({words[:300]})"
    if re.fullmatch(r"ray://local(-\d+)?", address):
        return f"Ray does not start on this machine ({words[:200]}); is it overloaded, or out of memory or /dev/shm?"
    start = "ray start --head --disable-usage-stats --ray-client-server-port=10001"
    return f"no Ray cluster answers at {address} ({words[:160]}); start one (`{start}`), or correct --engine"


class RayEngine:
    """The cluster that this process is connected to."""

    def __init__(self, needs: UnitNeeds) -> None:
        self.needs = needs

    @property
    def alone(self) -> bool:
        """As `Engine.alone`."""
        return False

    def workers(self) -> int:
        """How many units the nodes of now have room for, other people's work not counted."""
        import ray

        there = ray.cluster_resources()
        room = there.get("CPU", 0.0) / self.needs.cpus
        if self.needs.gpus:
            room = min(room, there.get("GPU", 0.0) / self.needs.gpus)
        return int(room)

    def map(self, job: Callable[[Unit], Result], units: Iterable[Unit]) -> Iterator[Result]:
        """As `Engine.map`."""
        import ray

        # A list hides the reference from Ray, which else would hand the job's bytes to every task anew.
        packed = [ray.put((here(), os.getcwd(), self.needs.cpus, pickle.dumps(job)))]
        name = uuid.uuid4().hex
        ray.cloudpickle.register_pickle_by_value(ray_unit)  # so that workers without this project can say so
        task = ray.remote(ray_unit.begin).options(
            num_cpus=self.needs.cpus, num_gpus=self.needs.gpus, max_retries=ATTEMPTS - 1, retry_exceptions=False,
            name=f"mapkd {type(job).__name__}",
        )  # fmt: skip
        waiting: deque[tuple[Unit, Any]] = deque()
        rest = iter(units)
        try:
            room, looked, empty_s = self.workers(), time.monotonic(), 0.0
            while True:
                while len(waiting) < _AHEAD * max(room, 1):
                    try:
                        unit = next(rest)
                    except StopIteration:
                        break
                    waiting.append((unit, task.remote(name, packed, pickle.dumps(unit))))
                if not waiting:
                    return
                ready, _ = ray.wait([waiting[0][1]], timeout=_LOOK_S)
                if time.monotonic() - looked >= _LOOK_S:
                    room, looked = self.workers(), time.monotonic()
                if ready:
                    unit, reference = waiting.popleft()
                    yield _result(unit, reference)
                elif not room:
                    empty_s = self._say_what_is_missing(empty_s)
        finally:
            for _, reference in waiting:
                with contextlib.suppress(Exception):  # the cluster may be gone, which is told already
                    ray.cancel(reference, force=True)

    def _say_what_is_missing(self, empty_s: float) -> float:
        if empty_s < _PATIENCE_S <= empty_s + _LOOK_S:
            notice(
                f"the cluster has no room for a unit of {self.needs.cpus} CPUs and {self.needs.gpus:g} GPUs; waiting "
                "for a node that has"
            )
        return empty_s + _LOOK_S


def _result(unit: Any, reference: Any) -> Any:
    import ray

    try:
        kind, value = ray.get(reference)
    except ray.exceptions.RayError as error:
        words = " ".join(str(error).split())
        lost = ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError
        if isinstance(error, lost):
            raise EngineFault(
                f"workers were lost {ATTEMPTS} times at a unit of work ({str(unit)[:80]}); are the nodes out of "
                "memory (give Ray fewer of their CPUs), or are the workers killed?"
            ) from None
        raise EngineFault(f"the cluster could not do a unit of work ({words[:300]})") from None
    except ConnectionError as error:
        raise EngineFault(f"the connection to the cluster is lost ({' '.join(str(error).split())[:160]})") from None
    if kind == DIFFERS:
        raise EngineFault(value)
    if kind == FAILED:
        raise value
    return value
