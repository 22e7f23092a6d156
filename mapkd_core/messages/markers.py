"""Map elements as RViz and Foxglove markers: one line per element, coloured by class, faint where the score is low."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mapkd_core.draw import CLASS_COLORS
from mapkd_core.messages.classes import MessageClasses, seconds_and_ns
from mapkd_core.types import MapElement

MARKER, MARKERS = "visualization_msgs/msg/Marker", "visualization_msgs/msg/MarkerArray"
LINE_WIDTH_M = 0.15
FAINTEST = 0.25
"""Alpha at score 0: still visible."""
PERIODS_SHOWN = 3.0
SHORTEST_LIFETIME_S = 0.5


class MarkerBook:
    """Turns each map into the markers that change the display from the previous map to this one.

    Elements keep their marker (namespace = class, id = element id); those that vanished are deleted at once. Should
    the node die, markers fade by themselves after three of the measured periods between maps, never in between.
    """

    def __init__(self, lifetime_s: float = 0.0) -> None:
        self._fixed_lifetime_s = lifetime_s
        self._shown: set[tuple[str, int]] = set()
        self._first = True
        self._last_ns: int | None = None
        self._period_s: float | None = None

    @property
    def lifetime_s(self) -> float:
        """Seconds that markers stay when no further map comes; 0 is for ever."""
        if self._fixed_lifetime_s > 0:
            return self._fixed_lifetime_s
        return 0.0 if self._period_s is None else max(SHORTEST_LIFETIME_S, PERIODS_SHOWN * self._period_s)

    def measure(self, now_ns: int) -> None:
        """Learns the period from the wall time at which maps are published: grows at once, shrinks slowly."""
        if self._last_ns is not None and now_ns > self._last_ns:
            period = (now_ns - self._last_ns) / 1e9
            self._period_s = period if self._period_s is None else max(period, 0.9 * self._period_s + 0.1 * period)
        self._last_ns = now_ns

    def array(
        self, classes: MessageClasses, header: Any, elements: Sequence[MapElement], ids: Sequence[int]
    ) -> Any:
        """The MarkerArray of one map; the very first clears what an earlier run left on the display."""
        Marker = classes(MARKER)
        markers = [Marker(header=header, action=Marker.DELETEALL)] if self._first else []
        present = {(element.label, key) for element, key in zip(elements, ids, strict=True)}
        for namespace, key in sorted(self._shown - present):
            markers.append(Marker(header=header, ns=namespace, id=key, action=Marker.DELETE))
        for element, key in zip(elements, ids, strict=True):
            markers.append(self._line(classes, header, element, key))
        self._first, self._shown = False, present
        return classes(MARKERS)(markers=markers)

    def _line(self, classes: MessageClasses, header: Any, element: MapElement, key: int) -> Any:
        Marker, point = classes(MARKER), classes("geometry_msgs/msg/Point")
        marker = Marker(header=header, ns=element.label, id=key, type=Marker.LINE_STRIP, action=Marker.ADD)
        marker.pose.orientation.w = 1.0
        marker.scale.x = LINE_WIDTH_M
        colour = marker.color
        colour.r, colour.g, colour.b = (channel / 255 for channel in CLASS_COLORS[element.label])
        colour.a = FAINTEST + (1.0 - FAINTEST) * min(max(float(element.score), 0.0), 1.0)
        life = seconds_and_ns(round(self.lifetime_s * 1e9))
        marker.lifetime.sec, marker.lifetime.nanosec = life["sec"], life["nanosec"]
        height = element.points_m.shape[1] == 3
        marker.points = [
            point(x=float(p[0]), y=float(p[1]), z=float(p[2]) if height else 0.0) for p in element.points_m
        ]
        return marker
