"""When to log again what goes on to be wrong: with pauses that grow, so that a night's log stays readable."""
from __future__ import annotations

FIRST_PAUSE_NS = 5_000_000_000
LONGEST_PAUSE_NS = 60_000_000_000


class Reminder:
    """The pauses double from five seconds to a minute while the trouble stays the same."""

    def __init__(self) -> None:
        self._said_ns: int | None = None
        self._pause_ns = FIRST_PAUSE_NS

    def due(self, now_ns: int) -> bool:
        """True if it is time to say it (again)."""
        return self._said_ns is None or now_ns - self._said_ns >= self._pause_ns

    def said(self, now_ns: int, again: bool) -> None:
        """It has been said; `again` if the same was said before."""
        self._said_ns = now_ns
        self._pause_ns = min(2 * self._pause_ns, LONGEST_PAUSE_NS) if again else FIRST_PAUSE_NS
