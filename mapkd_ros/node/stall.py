"""Why no set of images comes about although all cameras send: measured from stamps and times of arrival.

No ROS inside. The times of arrival are of one clock of this machine, the stamps of whatever clocks the drivers have.
"""
from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.duration_text import duration_text
from mapkd_core.cameras.stamp_check import OTHER_CLOCK_NS, of_other_clock

KEPT = 512
"""Images a camera of which stamp and arrival are remembered: ten seconds at 50 Hz."""
RECENT_NS = 10_000_000_000
FEWEST = 3
"""So many images tell a habit from an accident."""
SMALLEST_LAG_NS, NOTED_LAG_NS = 20_000_000, 150_000_000
"""Arrivals differ by less on a busy machine; what a user should know even though maps come."""
SHORTEST_NS = 1_000_000
STALLED_NS = 5_000_000_000
SLOW = 2.5
"""A camera with fewer images than the median by this factor limits the maps."""


@dataclass(frozen=True)
class Settings:
    """The node's parameters that decide whether images meet."""

    anchor: str
    window_ns: int
    queue_size: int


@dataclass(frozen=True)
class _Seen:
    """What came from one camera lately; ns, oldest first."""

    stamps: NDArray[np.int64]
    arrivals: NDArray[np.int64]

    @property
    def lag_ns(self) -> float:
        """Median of arrival minus stamp: means something only beside another camera's."""
        return float(np.median(self.arrivals - self.stamps))

    @property
    def period_ns(self) -> float:
        return float(np.median(np.diff(self.arrivals))) if len(self.arrivals) > 1 else math.inf


class StallWatch:
    """Remembers the newest stamps and arrivals of each camera and explains why they make no set."""

    def __init__(self, cameras: Sequence[str], settings: Settings) -> None:
        self._seen: dict[str, deque[tuple[int, int]]] = {camera: deque(maxlen=KEPT) for camera in cameras}
        self._settings = settings
        self._formed_ns: int | None = None
        self._first_ns: int | None = None

    def see(self, camera: str, stamp_ns: int, arrival_ns: int) -> None:
        """An image has come."""
        self._seen[camera].append((stamp_ns, arrival_ns))
        self._first_ns = arrival_ns if self._first_ns is None else self._first_ns

    def formed(self, now_ns: int) -> None:
        """A set has come about."""
        self._formed_ns = now_ns

    def without_set_ns(self, now_ns: int) -> int:
        """How long images have come without a set; 0 before the first image."""
        begun_ns = self._first_ns if self._formed_ns is None else self._formed_ns
        return 0 if begun_ns is None else now_ns - begun_ns

    def lags_ns(self, now_ns: int) -> dict[str, float]:
        """Camera -> how long after the others its images arrive, by the stamps; negative for ahead of them."""
        sound = {camera: seen for camera, seen in self._recent(now_ns).items() if not _stamp_fault(seen)}
        if len(sound) < 2:
            return {}
        lags = {camera: seen.lag_ns for camera, seen in sound.items()}
        usual_ns = float(np.median(list(lags.values()))) if len(lags) > 2 else min(lags.values())
        return {camera: lag_ns - usual_ns for camera, lag_ns in lags.items()}

    def reason(self, now_ns: int) -> str:
        """Why images make no set though they come; empty while they do, or have not had the time."""
        if self.without_set_ns(now_ns) < STALLED_NS:
            return ""
        recent = self._recent(now_ns)
        faults = {camera: _stamp_fault(seen) for camera, seen in recent.items()}
        lags_ns = self.lags_ns(now_ns)
        clocks = [f"{camera}: {of_other_clock(ns)}" for camera, ns in lags_ns.items() if abs(ns) > OTHER_CLOCK_NS]
        facts = (
            _told_once(faults)
            or clocks
            or _late(recent, lags_ns, self._settings)
            or _apart(recent, lags_ns, self._settings)
            or list(_slow(recent).values())
        )
        return "; ".join(facts) or "stamps and times of arrival give no reason"

    def notes(self, now_ns: int) -> dict[str, list[str]]:
        """Camera -> what makes maps late or rare although they come about."""
        recent = self._recent(now_ns)
        found = {camera: [text] for camera, text in _slow(recent).items()}
        for camera, lag_ns in self.lags_ns(now_ns).items():
            if NOTED_LAG_NS < lag_ns <= OTHER_CLOCK_NS:
                text = f"arrives {duration_text(lag_ns)} after the others: maps are that old"
                found.setdefault(camera, []).append(text)
        return found

    def _recent(self, now_ns: int) -> dict[str, _Seen]:
        found = {}
        for camera, pairs in self._seen.items():
            kept = [(stamp, arrival) for stamp, arrival in pairs if now_ns - arrival <= RECENT_NS]
            if len(kept) >= FEWEST:
                stamps, arrivals = np.array(kept, np.int64).T
                found[camera] = _Seen(stamps, arrivals)
        return found


def _stamp_fault(seen: _Seen) -> str:
    """What is wrong with one camera's stamps by themselves."""
    if not seen.stamps.any():
        return "all stamps are 0: let the driver fill header.stamp with the time of exposure"
    different = len(np.unique(seen.stamps))
    if different == 1:
        return f"the stamp stays at {seen.stamps[0] / 1e9:.3f} s while images go on: the driver must renew header.stamp"
    if different <= len(seen.stamps) // 2:
        return (
            f"only {different} of the last {len(seen.stamps)} stamps differ: the driver must stamp every image anew"
        )
    return ""


def _told_once(faults: Mapping[str, str]) -> list[str]:
    """One line a fault, with all the cameras that have it."""
    cameras: dict[str, list[str]] = {}
    for camera, fault in faults.items():
        if fault:
            cameras.setdefault(fault, []).append(camera)
    return [f"{', '.join(names)}: {fault}" for fault, names in cameras.items()]


def _late(recent: Mapping[str, _Seen], lags_ns: Mapping[str, float], settings: Settings) -> list[str]:
    """Cameras that arrive so late that the others' images of the same moment are forgotten by then."""
    told = []
    for camera, lag_ns in sorted(lags_ns.items(), key=lambda item: -item[1]):
        fastest_ns = min(recent[other].period_ns for other in lags_ns if other != camera)
        needed = math.ceil(lag_ns / max(fastest_ns, SHORTEST_NS)) + 2
        if lag_ns > SMALLEST_LAG_NS and needed > settings.queue_size:
            told.append(
                f"{camera} arrives {duration_text(lag_ns)} after the others, and only {settings.queue_size} images of "
                f"each camera are kept: set queue_size to {needed}, or find out why it is late (link, clock)"
            )
    return told


def _apart(recent: Mapping[str, _Seen], lags_ns: Mapping[str, float], settings: Settings) -> list[str]:
    """Cameras whose images are taken at, or stamped with, other moments than the anchor's."""
    anchor = recent.get(settings.anchor)
    if anchor is None:
        return []
    told = []
    for camera, seen in recent.items():
        apart_ns = _nearest_ns(seen.stamps, anchor.stamps)
        if camera == settings.anchor or apart_ns <= settings.window_ns / 2:
            continue
        lag_ns = lags_ns.get(camera, 0.0) - lags_ns.get(settings.anchor, 0.0)
        text = f"{camera}: its images are {duration_text(apart_ns)} away from {settings.anchor}'s by their stamps"
        if abs(lag_ns) > SMALLEST_LAG_NS and _nearest_ns(seen.stamps + round(lag_ns), anchor.stamps) < apart_ns / 2:
            side = "behind" if lag_ns > 0 else "ahead"
            told.append(f"{text}, though they arrive together: its clock is {duration_text(lag_ns)} {side}; set it")
        elif apart_ns > settings.window_ns:
            wanted_ms = math.ceil(apart_ns / 1e6 / 10) * 10
            told.append(f"{text}: trigger the cameras together, or set window_ms to {wanted_ms}")
    if told or len(recent) < 2:
        return told
    sparsest = min(recent.values(), key=lambda seen: len(seen.stamps))
    spread_ns = float(np.median([_spread_ns(stamp, recent) for stamp in sparsest.stamps]))
    if spread_ns <= settings.window_ns:
        return []
    wanted_ms = math.ceil(spread_ns / 1e6 / 10) * 10
    return [
        f"images of one moment are {duration_text(spread_ns)} apart by their stamps, window_ms is "
        f"{settings.window_ns / 1e6:g}: trigger the cameras together, or set window_ms to {wanted_ms}"
    ]


def _slow(recent: Mapping[str, _Seen]) -> dict[str, str]:
    """Cameras that send much less often than the others."""
    rates = {camera: 1e9 / max(seen.period_ns, SHORTEST_NS) for camera, seen in recent.items()}
    usual = float(np.median(list(rates.values()))) if rates else 0.0
    return {
        camera: f"{camera} sends {rate:.1f} images a second, the others {usual:.1f}: a map needs one of every camera"
        for camera, rate in rates.items()
        if usual > SLOW * rate
    }


def _nearest_ns(stamps: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Median distance of the sparser stamps to the nearest of the denser ones."""
    few, many = (stamps, others) if len(stamps) <= len(others) else (others, stamps)
    return float(np.median(np.abs(few[:, None] - many[None]).min(1)))


def _spread_ns(stamp: int, recent: Mapping[str, _Seen]) -> int:
    """Newest minus oldest of the stamps that are nearest to this one."""
    nearest = [int(seen.stamps[np.abs(seen.stamps - stamp).argmin()]) for seen in recent.values()]
    return max(nearest) - min(nearest)
