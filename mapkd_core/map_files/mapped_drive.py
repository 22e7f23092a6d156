"""The street map of a bag: sets of elements predicted from its images, or recorded as VectorMap messages, and poses."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mapkd_core.bags.camera_sets import CalibratedSet
from mapkd_core.bags.ego_poses import EgoPoses
from mapkd_core.bags.plain_messages import PlainMessages
from mapkd_core.bags.reader import BagReader, BagTopic
from mapkd_core.cameras.calibration import Tables
from mapkd_core.cameras.timed_transforms import NoTransformError
from mapkd_core.data.polylines import Range
from mapkd_core.map_files.drive_maps import Predictor, predicted
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.road_anchor import RoadAnchor
from mapkd_core.messages.vector_map import VECTOR_MAP, elements_of_message
from mapkd_core.predictor import CameraError
from mapkd_core.types import MapElement


@dataclass(frozen=True, eq=False)
class SeenMap:
    """The elements of one moment in `base_link`, and the rectangle that was looked at."""

    stamp_ns: int
    elements: tuple[MapElement, ...]
    view: Range


@dataclass
class MappedDrive:
    """What came of a bag."""

    sets: int = 0
    """Sets that went into the map."""
    faults: Counter[str] = field(default_factory=Counter)
    """Sets that did not, by reason."""


def map_drive(
    builder: MapBuilder, seen: Iterable[SeenMap], poses: EgoPoses, drive: MappedDrive, anchor: RoadAnchor | None = None
) -> None:
    """Takes sets in order of time into a builder; `drive` is filled meanwhile, so that it is true after Ctrl-C too.

    With an `anchor` the poses are held to its roads first.
    """
    for one in seen:
        try:
            pose = poses.at(one.stamp_ns)
        except NoTransformError as error:
            drive.faults[f"no pose in {poses.frame}: {error.kind}"] += 1
            continue
        if anchor is not None:
            pose = anchor.corrected(pose)
        builder.add(one.elements, pose, one.stamp_ns, one.view)
        drive.sets += 1


def recorded_topics(bag: BagReader) -> list[BagTopic]:
    """Topics of a bag on which VectorMaps were recorded."""
    return [topic for topic in bag.topics if topic.msg_type == VECTOR_MAP and topic.count and topic.encoding == "cdr"]


def recorded_sets(bag: BagReader, topic: BagTopic, drive: MappedDrive, base_frame: str) -> Iterator[SeenMap]:
    """The VectorMaps of a topic. What is none, or in another frame, is counted in `drive`."""
    messages = PlainMessages()
    for message in bag.messages([topic]):
        try:
            content: Any = messages.types.deserialize_cdr(message.data, VECTOR_MAP)
        except Exception:  # of struct, numpy, unicode: whatever bytes that are none make it run into
            drive.faults[f"{topic.name}: bytes that are no VectorMap"] += 1
            continue
        if content.header.frame_id.lstrip("/") != base_frame:
            drive.faults[f"{topic.name}: in the frame {content.header.frame_id!r}, not {base_frame!r}"] += 1
            continue
        try:
            stamp_ns, elements, view = elements_of_message(content)
        except ValueError as error:
            drive.faults[f"{topic.name}: {error}"] += 1
            continue
        yield SeenMap(stamp_ns, elements, view)


def predicted_sets(sets: Iterable[CalibratedSet], predictor: Predictor, drive: MappedDrive) -> Iterator[SeenMap]:
    """What a network predicts on sets of images. Images that cannot be used are counted in `drive`."""
    tables: Tables = {}
    grid = predictor.card.grid
    view = Range(grid.x_range_m, grid.y_range_m)
    for one in sets:
        try:
            result = predicted(one, predictor, tables)
        except CameraError as error:
            drive.faults[f"{one.cameras[error.camera]}: {error.reason}"] += 1
            continue
        yield SeenMap(one.stamp_ns, tuple(result.elements), view)
