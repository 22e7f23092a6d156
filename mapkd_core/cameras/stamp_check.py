"""Whether the stamp of an image can be right, by itself and beside those of the other cameras. Ours."""
from __future__ import annotations

from collections import Counter
from itertools import permutations
from statistics import median_low

from mapkd_core.cameras.duration_text import duration_text

NO_STAMP = "header.stamp is 0: let the driver fill it with the time of exposure"
SAME_STAMP = "header.stamp stays the same: the driver must stamp every image anew"
MOST_REPEATS = 3
"""Fewer are an image that came several times, over two bridges: the synchronizer takes one."""
OTHER_CLOCK_NS = 10_000_000_000
"""No transport takes so long."""
RECENT_NS = 2_000_000_000
"""What came longer ago says nothing of the time now."""


class StampCheck:
    """Remembers the newest stamp and arrival of each camera, in ns; arrivals are of a clock that never goes back."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, int]] = {}
        self._repeats: Counter[str] = Counter()
        """Camera -> how often in a row its newest stamp has come again."""

    def fault(self, camera: str, stamp_ns: int, arrival_ns: int) -> str:
        """What is wrong with the stamp of an image that came now; empty if nothing is."""
        before_ns = self._newest.get(camera, (0, 0))[0]
        self._newest[camera] = stamp_ns, arrival_ns
        if stamp_ns == 0:
            return NO_STAMP
        self._repeats[camera] = self._repeats[camera] + 1 if stamp_ns == before_ns else 0
        if self._repeats[camera] >= MOST_REPEATS:
            return SAME_STAMP
        others = [
            stamp
            for other, (stamp, arrival) in self._newest.items()
            if other != camera and stamp != 0 and arrival_ns - arrival < RECENT_NS
        ]
        if any(abs(stamp_ns - other) <= OTHER_CLOCK_NS for other in others):
            return ""
        # Where the others do not agree either, nobody knows whose clock is right.
        agreed = [a for a, b in permutations(others, 2) if abs(a - b) <= OTHER_CLOCK_NS]
        return of_other_clock(median_low(agreed) - stamp_ns) if agreed else ""


def of_other_clock(lag_ns: float) -> str:
    """What it means that stamps are so far behind the others' (negative: ahead), and what to do."""
    side = "behind" if lag_ns > 0 else "ahead of"
    return (
        f"its stamps are {duration_text(lag_ns)} {side} the others': another clock; set the clocks by PTP or "
        "chrony, or let its driver stamp with ROS time"
    )
