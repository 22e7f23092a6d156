"""Maps as an MCAP file: the messages that student_node would have published, for Foxglove, players and planners."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from mapkd_core.artifact import ModelCard
from mapkd_core.bags.mcap_writer import McapWriter
from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.messages.classes import header_of
from mapkd_core.messages.element_ids import ElementIds
from mapkd_core.messages.markers import MARKERS, MarkerBook
from mapkd_core.messages.vector_map import VECTOR_MAP, vector_map
from mapkd_core.types import MapElement

NODE = "/student_node"
"""Topics lie where student_node publishes, so that layouts and planners find them."""
_PAUSE_NS = 2_000_000_000
"""After a longer pause, or a step back in time, nothing says which element is which."""


class MapRecording:
    """An MCAP file with /student_node/vector_map and /student_node/markers. Close it, or it has no index."""

    def __init__(self, path: Path, card: ModelCard, base_frame: str) -> None:
        self._card, self._frame = card, base_frame
        self._classes = PlainMessages()
        self._ids, self._book = ElementIds(), MarkerBook()
        self._writer = McapWriter(path)
        self._maps, self._markers = (
            self._writer.add_topic(f"{NODE}/{name}", kind, self._classes.definition(kind))
            for name, kind in (("vector_map", VECTOR_MAP), ("markers", MARKERS))
        )
        self._last_ns: int | None = None

    def __enter__(self) -> MapRecording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def add(
        self,
        stamp_ns: int,
        log_ns: int,
        cameras: Mapping[str, int],
        missing: Sequence[str],
        elements: Sequence[MapElement],
        stage_ms: Mapping[str, float],
    ) -> None:
        """Adds the messages of a map, recorded at `log_ns`; ages of cameras count from the newest image."""
        if self._last_ns is None or not 0 < stamp_ns - self._last_ns < _PAUSE_NS:
            self._ids.reset()
        self._last_ns = stamp_ns
        ids = self._ids.assign(elements)
        self._book.measure(log_ns)
        header = header_of(self._classes, stamp_ns, self._frame)
        newest_ns = max(cameras.values())
        message = vector_map(
            self._classes, header, elements, ids, self._card, cameras, stage_ms, newest_ns, missing
        )
        self._writer.write(self._maps, self._classes.serialized(message), log_ns)
        markers = self._book.array(self._classes, header, elements, ids)
        self._writer.write(self._markers, self._classes.serialized(markers), log_ns)
