"""What a format cannot hold of a map, in words, with how often it came."""
from __future__ import annotations

from collections import Counter

_MOST_LINES = 40


class Report:
    """Collects what is lost or changed in a conversion; `lines` tells it, the most frequent first."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, what: str, count: int = 1) -> None:
        """Notes that something is lost or changed, `count` times."""
        if count:
            self.counts[what] += count

    def take(self, other: Report) -> None:
        """Takes over what another report tells."""
        self.counts.update(other.counts)

    @property
    def told(self) -> str:
        """What of a file is no part of its map, to go on a sentence with; empty where nothing is."""
        return "".join(f"; not read: {line}" for line in self.lines)

    @property
    def lines(self) -> list[str]:
        """A line for each kind of loss, `12 x what`, of very many kinds for the most frequent."""
        found = [f"{count} x {what}" for what, count in self.counts.most_common()]
        if len(found) <= _MOST_LINES:
            return found
        rest = self.counts.most_common()[_MOST_LINES - 1 :]
        return [*found[: _MOST_LINES - 1], f"{sum(count for _, count in rest)} x what is of {len(rest)} other kinds"]
