"""What a format cannot hold of a map, in words, with how often it came."""
from __future__ import annotations

from collections import Counter


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
    def lines(self) -> list[str]:
        """A line for each kind of loss, `12 x what`."""
        return [f"{count} x {what}" for what, count in self.counts.most_common()]
