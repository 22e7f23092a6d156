"""Counts what a node does and fails to do, and puts it into diagnostic messages."""
from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapkd_core.cameras.duration_text import duration_text
from mapkd_ros.rate import Rate

if TYPE_CHECKING:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
    from std_msgs.msg import Header

OK, WARN, ERROR = 0, 1, 2
LATENCIES_KEPT = 100
PLAUSIBLE_AGE_S = 3600.0
AHEAD_MS = 500.0


@dataclass(frozen=True)
class Snapshot:
    """What a node did so far; rates and latencies are those of the last seconds."""

    published: int
    published_hz: float
    quiet: bool
    """True if nothing was published lately."""
    dropped: Mapping[str, int]
    """Reason -> how many sets or images were given up for it."""
    last_dropped: str
    """The newest of these reasons; empty if there is none."""
    noted: Mapping[str, int]
    """Fault -> how many images had it and were used all the same."""
    latency_ms: Mapping[str, tuple[float, float]]
    """Stage -> (median, 95th percentile)."""
    age_ms: float | None
    """Median time from the anchor's stamp to publication; None if nothing was published."""


class Statistics:
    """Collects from the callbacks and the worker at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._dropped: Counter[str] = Counter()
        self._last_dropped = ""
        self._noted: Counter[str] = Counter()
        self._published = Rate()
        self._stages: deque[Mapping[str, float]] = deque(maxlen=LATENCIES_KEPT)
        self._ages: deque[float] = deque(maxlen=LATENCIES_KEPT)

    def drop(self, reason: str) -> int:
        """Counts one drop and returns how many there were for this reason."""
        with self._lock:
            self._dropped[reason] += 1
            self._last_dropped = reason
            return self._dropped[reason]

    def note(self, fault: str) -> int:
        """Counts one image that was used despite a fault and returns how many there were with this one."""
        with self._lock:
            self._noted[fault] += 1
            return self._noted[fault]

    def publish(self, now_ns: int, stage_ms: Mapping[str, float], age_ms: float | None) -> None:
        """Counts one published map, of unknown age where that is None."""
        with self._lock:
            self._published.tick(now_ns)
            self._stages.append(dict(stage_ms))
            if age_ms is not None:
                self._ages.append(age_ms)

    def snapshot(self, now_ns: int) -> Snapshot:
        """The state at this moment."""
        with self._lock:
            stages = list(self._stages[-1]) if self._stages else []
            columns = {stage: [row[stage] for row in self._stages if stage in row] for stage in stages}
            totals = [sum(row.values()) for row in self._stages]
            if totals:
                columns["total"] = totals
            return Snapshot(
                self._published.count,
                self._published.hz(now_ns),
                self._published.stopped(now_ns),
                dict(self._dropped),
                self._last_dropped,
                dict(self._noted),
                {stage: (float(np.median(ms)), float(np.percentile(ms, 95))) for stage, ms in columns.items()},
                float(np.median(self._ages)) if self._ages else None,
            )


def status(
    name: str, level: int, message: str, values: Mapping[str, object], hardware_id: str = ""
) -> DiagnosticStatus:
    """One DiagnosticStatus with its values as text."""
    from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(
        level=bytes([level]), name=name, message=message, hardware_id=hardware_id, values=pairs
    )


def clock_note(age_ms: float | None) -> str:
    """What is odd about the stamps of maps beside this node's clock, with the remedy; empty if nothing."""
    if age_ms is None or -AHEAD_MS < age_ms < 1e3 * PLAUSIBLE_AGE_S:
        return ""
    text = f"stamps are {duration_text(1e6 * age_ms)} {'behind' if age_ms > 0 else 'ahead of'} this node's clock"
    if age_ms > 0:
        return f"{text}: a recording? play it with --clock and set use_sim_time, or others cannot use the map"
    return f"{text}: set the clocks of cameras and computer by PTP or chrony"


def map_values(snapshot: Snapshot) -> dict[str, object]:
    """The snapshot as key -> text for a DiagnosticStatus."""
    values: dict[str, object] = {
        "maps published": snapshot.published,
        "rate [Hz]": f"{snapshot.published_hz:.2f}",
    }
    if snapshot.age_ms is not None:
        values["age when published, median [ms]"] = f"{snapshot.age_ms:.0f}"
    for stage, (median, p95) in snapshot.latency_ms.items():
        values[f"latency {stage}, median / p95 [ms]"] = f"{median:.1f} / {p95:.1f}"
    for reason, count in sorted(snapshot.dropped.items(), key=lambda item: -item[1]):
        values[f"dropped: {reason}"] = count
    for fault, count in sorted(snapshot.noted.items(), key=lambda item: -item[1]):
        values[f"image used: {fault}"] = count
    return values


def diagnostic_array(header: Header, statuses: Sequence[DiagnosticStatus]) -> DiagnosticArray:
    """The message for /diagnostics."""
    from diagnostic_msgs.msg import DiagnosticArray

    return DiagnosticArray(header=header, status=list(statuses))
