"""The newest images of one camera and its rhythm. No ROS inside: an image is any object, stamps are ns."""
from __future__ import annotations

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
