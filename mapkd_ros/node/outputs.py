"""What the node publishes of each map, and whether anybody is there to see it."""
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from mapkd_core.artifact import ModelCard
from mapkd_core.cameras.overlay import overlay
from mapkd_core.messages.classes import header_of
from mapkd_core.messages.element_ids import ElementIds
from mapkd_core.messages.markers import MarkerBook
from mapkd_core.messages.vector_map import vector_map
from mapkd_core.predictor import PredictedMap
from mapkd_core.types import MapElement
from mapkd_ros import qos, topics
from mapkd_ros.conversions import image_fields
from mapkd_ros.msg import VectorMap
from mapkd_ros.node.mapping_job import MappingJob
from mapkd_ros.node.occupancy import OccupancyOutput
from mapkd_ros.node.semantic_image import semantic_image
from mapkd_ros.qos_events import publisher_events, warning_of_unfit_subscriber
from mapkd_ros.sensor_messages import message_class

OVERLAY_WIDTH = 800
"""Pixels at most; a degree of pitch is still ten of them."""
ID_MEMORY_NS = 2_000_000_000
"""After a longer pause, or a step back in time, nothing says which element is which."""


class MapOutputs:
    """The publishers of maps. `publish` is called from the worker, always from the same one at a time."""

    def __init__(self, node: Node, values: Mapping[str, Any], card: ModelCard, cameras: tuple[str, ...]) -> None:
        self._node, self._values, self._card, self._cameras = node, values, card, cameras
        self._ids = ElementIds()
        self._book = MarkerBook(values["marker_lifetime"])
        self._last_stamp_ns: int | None = None
        self._markers = output(node, MarkerArray, topics.MARKERS)
        self._vector_map = output(node, VectorMap, topics.VECTOR_MAP, values["latch_vector_map"])
        self._semantic = output(node, Image, topics.SEMANTIC_BEV)
        self._overlays = {camera: output(node, Image, topics.overlay_topic(camera), events=False) for camera in cameras}
        self._tables: dict = {}
        self._occupancy: OccupancyOutput | None = None
        if values["occupancy_grid"]:
            grid_class = message_class(topics.OCCUPANCY_GRID.msg_type)
            self._occupancy = OccupancyOutput(output(node, grid_class, topics.OCCUPANCY_GRID), card.grid)
        self.maps = (self._markers, self._vector_map, self._semantic)
        grids = [self._occupancy.publisher] if self._occupancy else []
        self.publishers = (*self.maps, *grids, *self._overlays.values())

    @property
    def wanted(self) -> bool:
        """True if anybody subscribes to one of them."""
        return any(publisher.get_subscription_count() for publisher in self.publishers)

    def publish(self, job: MappingJob, result: PredictedMap) -> tuple[dict[str, float], float | None]:
        """Publishes one map; returns its stages in ms and its age in ms when it was sent, None without a clock."""
        start_ns = time.monotonic_ns()
        stamp_ns = job.camera_set.stamp_ns
        header = header_of(message_class, stamp_ns, self._values["base_frame"])
        elements = [e for e in result.elements if e.score >= self._values["score_threshold"]]
        if self._last_stamp_ns is None or not 0 < stamp_ns - self._last_stamp_ns < ID_MEMORY_NS:
            self._ids.reset()
        self._last_stamp_ns = stamp_ns
        ids = self._ids.assign(elements)
        self._book.measure(start_ns)
        self._markers.publish(self._book.array(message_class, header, elements, ids))
        if self._semantic.get_subscription_count():
            self._semantic.publish(semantic_image(header, result.semantic))
        stages = {**result.stage_ms, "messages": (time.monotonic_ns() - start_ns) / 1e6}
        stamps_ns = dict(zip(job.cameras, job.camera_set.stamps_ns, strict=True))
        missing = [camera for camera in self._cameras if camera not in stamps_ns]
        sent_ns = self._node.get_clock().now().nanoseconds
        self._vector_map.publish(
            vector_map(message_class, header, elements, ids, self._card, stamps_ns, stages, sent_ns, missing)
        )
        if self._occupancy:
            self._occupancy.publish(job, elements, header)
        self._publish_overlays(job, elements)
        return stages, (sent_ns - stamp_ns) / 1e6 if sent_ns else None

    def _publish_overlays(self, job: MappingJob, elements: Sequence[MapElement]) -> None:
        for place, camera in enumerate(job.cameras):
            if not self._overlays[camera].get_subscription_count():
                continue
            image, model = job.camera_set.images[place], job.models[place]
            drawn = overlay(
                image.source(), model, job.base_from_camera[place], elements, OVERLAY_WIDTH, self._tables
            )
            header = header_of(message_class, job.camera_set.stamps_ns[place], image.frame_id)
            self._overlays[camera].publish(Image(header=header, **image_fields(drawn)))


def output(node: Node, msg_type: type, topic: topics.Topic, latched: bool = False, events: bool = True) -> Any:
    """A publisher; with `events` it tells of subscribers which ask for more than it offers, at a little cost."""
    callbacks = publisher_events(warning_of_unfit_subscriber(node.get_logger(), topic.name) if events else None)
    profile = qos.profile(depth=1 if latched else topic.depth, latched=latched)
    return qos.create_publisher(node, msg_type, topic.name, profile, event_callbacks=callbacks)
