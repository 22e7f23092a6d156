"""Tells what keeps sets out of the street map: no map comes, none gets a pose, or transforms that cannot be right."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from mapkd_core.figures import without_figures
from mapkd_ros.lasting_warning import LastingWarning
from mapkd_ros.map_builder.waiting_maps import WaitingMaps
from mapkd_ros.rate import LONGEST_SILENCE_NS, Rate
from mapkd_ros.reminder import Reminder


class InputWatch:
    """Hears of each map that comes (`came`) and that is placed (`placed`); `tick` logs, with growing pauses.

    `topic` is that of the maps, `publishers` counts who sends on it, `looks` find what is told once it lasts, each
    after so many ticks.
    """

    def __init__(
        self,
        waiting: WaitingMaps,
        topic: str,
        publishers: Callable[[str], int],
        logger: Any,
        looks: Sequence[tuple[Callable[[], str], int]] = (),
    ) -> None:
        self._lasting = [LastingWarning(look, logger, patience) for look, patience in looks]
        self.came, self.placed = Rate(), Rate()
        self.bad_transforms = 0
        self._waiting, self._topic, self._publishers, self._logger = waiting, topic, publishers, logger
        self._reminder = Reminder()
        self._told, self._contradicted = "", ""
        self._born_ns = time.monotonic_ns()

    def bad(self, count: int) -> None:
        """So many transforms of a message could not be used; the first is told."""
        if count and not self.bad_transforms:
            self._logger.warning(f"{self._waiting.transforms.fault} (counted as 'bad transforms' in /diagnostics)")
        self.bad_transforms += count

    def trouble(self, now_ns: int) -> str:
        """Why no set has come into the map lately; empty while sets do."""
        if not self.placed.stopped(now_ns):
            return ""
        if self.came.stopped(now_ns):
            if self.came.count:
                return f"no more maps on {self._topic} after {self.came.count}"
            return f"no map on {self._topic}: it has {'a' if self._publishers(self._topic) else 'no'} publisher"
        lately = "" if not self.placed.count else " any more"
        return f"no set comes into the map{lately}: {self._waiting.last_reason or 'no transform yet'}"

    def contradiction(self) -> str:
        """Several parents of a frame between the vehicle and the map's frame; empty where there are none."""
        found = self._waiting.transforms.parents(self._waiting.frame, self._waiting.base_frame)
        if found is None:
            return ""
        frame, parents = found
        return (
            f"frame {frame!r} has {len(parents)} parents, {', '.join(sorted(parents))}: the one below "
            f"{self._waiting.frame!r} is followed, while tf takes whichever came last; a frame may have one parent only"
        )

    def warnings(self, now_ns: int) -> list[str]:
        """All that is to be told now."""
        found = [self.trouble(now_ns), self.contradiction(), *(one.warning for one in self._lasting)]
        return [warning for warning in found if warning]

    def tick(self) -> None:
        """Called every second."""
        for one in self._lasting:
            one.tick()
        now_ns = time.monotonic_ns()
        contradiction = self.contradiction()
        if contradiction and contradiction != self._contradicted:
            self._logger.warning(contradiction)
            self._contradicted = contradiction
        trouble = self.trouble(now_ns)
        if not trouble:
            if self._told:
                self._logger.info("sets come into the map")
            self._told = ""
        elif now_ns - self._born_ns > LONGEST_SILENCE_NS and self._reminder.due(now_ns):
            kind = without_figures(trouble)
            self._logger.warning(trouble)
            self._reminder.said(now_ns, again=kind == self._told)
            self._told = kind
