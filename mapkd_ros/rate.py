"""How often something happens, and whether it has stopped."""
from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median_low

RATE_WINDOW_NS = 10_000_000_000
SILENCE_PERIODS = 5
LONGEST_SILENCE_NS = 3_000_000_000


class Rate:
    """How often something happened lately; times are nanoseconds of a clock that never goes back."""

    def __init__(self) -> None:
        self.count = 0
        self._times: deque[int] = deque(maxlen=128)

    def tick(self, now_ns: int) -> None:
        """It happened now."""
        self.count += 1
        self._times.append(now_ns)

    def hz(self, now_ns: int) -> float:
        """Events a second over the last ten seconds; 0 with fewer than two events."""
        recent = [t for t in self._times if now_ns - t <= RATE_WINDOW_NS]
        if len(recent) < 2 or recent[-1] == recent[0]:
            return 0.0
        return (len(recent) - 1) * 1e9 / (recent[-1] - recent[0])

    def stopped(self, now_ns: int) -> bool:
        """True if it never happened, or is long overdue: three seconds, or five of its periods if that is more."""
        if not self._times:
            return True
        # The median: a long pause before does not count, after which it would hardly ever be overdue.
        period = median_low(later - earlier for earlier, later in pairwise(self._times)) if len(self._times) > 1 else 0
        return now_ns - self._times[-1] > max(LONGEST_SILENCE_NS, SILENCE_PERIODS * period)
