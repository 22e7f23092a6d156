"""VectorMaps that wait for the pose of their stamp: transforms may come a little later than they."""
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.ego_poses import FRAMES
from mapkd_core.cameras.timed_transforms import JUMP_NS, NoTransformError, TimedTransforms
from mapkd_core.data.polylines import Range
from mapkd_core.figures import without_figures
from mapkd_core.messages.vector_map import elements_of_message
from mapkd_core.types import MapElement

KEEP_S = 10.0
"""Transforms are kept so long."""
MOST = 100
"""Maps that wait at a time: after a pause the middleware hands over as many, perhaps before the first transform."""


@dataclass(frozen=True, eq=False)
class PlacedMap:
    """A set's elements with the pose of its stamp."""

    stamp_ns: int
    elements: tuple[MapElement, ...]
    view: Range
    map_from_base: NDArray[np.float64]
    model: tuple[str, str]
    """Name and version of the network."""


class WaitingMaps:
    """Gives each map its pose, in the order in which they came."""

    def __init__(self, fixed_frame: str, base_frame: str) -> None:
        self._wanted, self.base_frame = fixed_frame, base_frame
        self.frame = "" if fixed_frame == "auto" else fixed_frame
        """The map's frame; empty until transforms name one."""
        self.transforms = TimedTransforms(KEEP_S)
        self.lost: Counter[str] = Counter()
        """Maps that got no pose, by reason without its figures."""
        self.last_reason = ""
        """Why the newest map that got no pose has none."""
        self._last_kind = ""
        self._waiting: deque[tuple[int, tuple[MapElement, ...], Range, tuple[str, str]]] = deque()

    def add(self, message: Any) -> None:
        """Takes a VectorMap; one that cannot be used is counted."""
        frame = message.header.frame_id.lstrip("/")
        if frame != self.base_frame:
            self._lose(f"in the frame {frame!r}, not {self.base_frame!r}: set base_frame")
            return
        try:
            stamp_ns, elements, view = elements_of_message(message)
        except ValueError as error:
            self._lose(str(error))
            return
        if self._waiting and stamp_ns < self._waiting[-1][0] - JUMP_NS:
            for _ in range(len(self._waiting)):  # their poses will not come, or those of another run would
                self._waiting.popleft()
                self._lose("time jumped back before its pose had come")
        if len(self._waiting) == MOST:
            self._waiting.popleft()
            self._lose(self.last_reason or "no transform yet", self._last_kind)
        self._waiting.append((stamp_ns, elements, view, (message.model_name, message.model_version)))

    def placed(self) -> Iterator[PlacedMap]:
        """The maps whose poses are known by now."""
        if self._waiting and not self.frame:
            names = self.transforms.ancestors(self.base_frame)
            self.frame = next((name for name in FRAMES if name in names), "")
            if not self.frame:
                there = " <- ".join(names[::-1]) or "nothing"
                self._last_kind = ""
                self.last_reason = f"no frame map or odom above {self.base_frame} (it hangs on {there})"
                return
        while self._waiting:
            stamp_ns, elements, view, model = self._waiting[0]
            try:
                pose = self.transforms.at(self.frame, self.base_frame, stamp_ns)
            except NoTransformError as error:
                self.last_reason, self._last_kind = str(error), error.kind
                if error.later:
                    return
                self._waiting.popleft()
                self._lose(f"no pose at its stamp: {error}", f"no pose at its stamp: {error.kind}")
                continue
            self._waiting.popleft()
            yield PlacedMap(stamp_ns, elements, view, pose, model)

    def _lose(self, reason: str, kind: str = "") -> None:
        self.lost[kind or without_figures(reason)] += 1
        self.last_reason = reason
