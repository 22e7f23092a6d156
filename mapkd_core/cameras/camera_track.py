"""The newest images of one camera and its rhythm. No ROS inside: an image is any object, stamps are ns."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Image = TypeVar("Image")


@dataclass
class CameraTrack(Generic[Image]):
    """The newest few images of one camera, oldest first."""

    images: dict[int, Image] = field(default_factory=dict)
    stamps: list[int] = field(default_factory=list)
    newest: int | None = None
    """Outlives the images, which are dropped once they cannot be used any more."""
    period: int | None = None
    heard: int | None = None
    """Newest stamp of all cameras when this one's last image came."""
    late_in_a_row: int = 0

    def near(self, stamp: int, window: int) -> list[int]:
        """Stamps within the window of this one."""
        return [s for s in self.stamps if abs(s - stamp) <= window]

    def drop(self, stamp: int) -> None:
        """Forgets an image."""
        self.stamps.remove(stamp)
        del self.images[stamp]

    def lost_one(self, stamp: int, now: int) -> bool:
        """True if an image is lacking around this stamp, judged by this camera's own rhythm; `now` is a stamp too."""
        if not self.stamps:
            return True
        before = max((s for s in self.stamps if s <= stamp), default=None)
        after = min((s for s in self.stamps if s > stamp), default=max(now, stamp))
        if before is None or self.period is None:
            return False
        return after - before > self.period * 3 // 2

    def behind(self, stamp: int, now: int) -> bool:
        """True if images go on to come but are older than this stamp: late in transport, or of another clock."""
        if self.newest is None or self.period is None or self.heard is None:
            return False
        return self.newest < stamp and now - self.heard <= 2 * self.period

    def learn(self, stamp: int) -> None:
        """Shrinks the period at once and lets it grow slowly, so that a lost image does not double it."""
        if self.newest is not None:
            interval = stamp - self.newest
            self.period = interval if self.period is None else min(interval, self.period * 5 // 4)
        self.newest = stamp


def tightest(near: Sequence[Sequence[int]], stamp: int) -> list[int] | None:
    """One stamp of each camera's ascending `near` so that newest minus oldest is smallest; None if a camera has none.

    One list must be [stamp]: the set's oldest image is then at or before it, and for each possible oldest one
    the earliest image not before it is the best that a camera can offer.
    """
    best: list[int] | None = None
    for low in sorted({s for stamps in near for s in stamps if s <= stamp}, reverse=True):
        picks = [next((s for s in stamps if s >= low), None) for stamps in near]
        known = [s for s in picks if s is not None]
        if len(known) == len(picks) and (best is None or spread_ns(known) < spread_ns(best)):
            best = known
    return best


def spread_ns(stamps: Sequence[int]) -> int:
    """From the oldest to the newest."""
    return max(stamps) - min(stamps)
