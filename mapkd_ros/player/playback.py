"""Publishes a stream of messages at the pace at which they were recorded: the loop that data set and bag share."""
from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

CLOCK_TICK_S = 0.02
"""Wall time between two /clock messages while nothing else is due."""

LATE_S = 0.2
"""Falling behind by more than this moves the schedule, instead of sending a burst to catch up."""

SPARE_S = 0.05
"""With more wall time than this until something is due, a later message is made meanwhile: decoding takes less."""

AHEAD = 40
"""Messages made ahead at most: two frames of six images with all that goes along."""

STAMPS = ("original", "now")


@dataclass(frozen=True)
class Outlet:
    """A topic to publish on. `reliable` and `depth` are None where the player's parameters decide."""

    topic: str
    msg_type: str
    latched: bool = False
    reliable: bool | None = None
    depth: int | None = None


@dataclass(frozen=True, eq=False)
class Item:
    """A message that is due at a moment of the stream; made when asked for, its stamps moved by the ns given."""

    stamp_ns: int
    topic: str
    make: Callable[[int], Any]
    """What is to be added to its stamps, in ns -> message, or a serialized one's bytes; None if none is to be sent."""


class Stream(Protocol):
    """What can be played."""

    @property
    def outlets(self) -> Sequence[Outlet]:
        """The topics of the stream."""

    def items(self, loop: bool) -> Iterable[Item]:
        """In order of time; with `loop`, for ever, the stamps going on to increase."""

    def shortfall(self, published: Mapping[str, int]) -> str:
        """What was not published and why, given how many were of each topic; empty once all was."""


class Pace:
    """When things are due: ties the first stamp of a stream to the present and lets it run at `rate`.

    `wait(seconds)` sleeps up to that long and may come back sooner. With stamps `now`, messages are stamped with the
    wall clock's time at which they are due, else as recorded.
    """

    def __init__(
        self,
        rate: float,
        stamps: str = "original",
        wait: Callable[[float], None] = time.sleep,
        now_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ):
        self.rate, self.stamps = rate, stamps
        self.wait, self.now_ns = wait, now_ns
        self.wall_from_now_ns = wall_ns() - now_ns()
        self.first_stamp_ns: int | None = None
        self.begun_ns = 0
        self.behind_s = 0.0
        """By how much the schedule has been moved in all."""

    def due_ns(self, stamp_ns: int) -> int:
        """The moment (of `now_ns`) at which a stamp of the stream is due; the first one asked about is due at once."""
        if self.first_stamp_ns is None:
            self.first_stamp_ns, self.begun_ns = stamp_ns, self.now_ns()
        return self.begun_ns + round((stamp_ns - self.first_stamp_ns) / self.rate)

    def shift_ns(self, stamp_ns: int) -> int:
        """What is to be added to the stamps of a message due at `stamp_ns`."""
        return 0 if self.stamps == "original" else self.due_ns(stamp_ns) + self.wall_from_now_ns - stamp_ns

    def stream_ns(self) -> int:
        """The present as a stamp of the messages, for /clock."""
        assert self.first_stamp_ns is not None
        if self.stamps == "now":
            return self.now_ns() + self.wall_from_now_ns
        return self.first_stamp_ns + round((self.now_ns() - self.begun_ns) * self.rate)

    def until(self, stamp_ns: int, tick: Callable[[], bool], spare: Callable[[], bool] = lambda: False) -> bool:
        """Waits for a stamp to be due and calls `tick` meanwhile; False as soon as `tick` says so.

        Where there is time left, `spare` may use some of it; it says whether it did.
        """
        due_ns = self.due_ns(stamp_ns)
        while (left_s := (due_ns - self.now_ns()) / 1e9) > 0:
            if not tick():
                return False
            if left_s < SPARE_S or not spare():
                self.wait(min(left_s, CLOCK_TICK_S))
        if left_s < -LATE_S:
            self.begun_ns += round(-left_s * 1e9)
            self.behind_s -= left_s
        return True


def play(
    items: Iterable[Item],
    pace: Pace,
    publish: Callable[[str, Any], None],
    go_on: Callable[[], bool],
    clock: Callable[[int], None] | None = None,
) -> int:
    """Publishes items when they are due until they end or `go_on` says no; returns how many were published.

    Messages are made while nothing is due, so that reading and decoding an image does not delay it or the next one.
    `clock` gets the stream's time, never back, at every message and in between.
    """
    source = iter(items)
    ready: deque[tuple[Item, int, Any]] = deque()

    def make_next() -> bool:
        item = next(source, None) if len(ready) < AHEAD else None
        if item is None:
            return False
        pace.due_ns(item.stamp_ns)  # the first item starts the clock
        shift_ns = pace.shift_ns(item.stamp_ns)
        ready.append((item, item.stamp_ns + shift_ns, item.make(shift_ns)))
        return True

    def tick() -> bool:
        if clock is not None:
            clock(min(pace.stream_ns(), ready[0][1]))
        return go_on()

    count = 0
    while go_on() and (ready or make_next()):
        item, stamp_ns, message = ready[0]
        if not pace.until(item.stamp_ns, tick, make_next):
            break
        if clock is not None:
            clock(stamp_ns)
        publish(item.topic, message)
        ready.popleft()
        count += 1
    return count
