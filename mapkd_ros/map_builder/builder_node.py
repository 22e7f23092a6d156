"""The node itself: its life cycle, subscriptions, what it publishes, and where it saves."""
from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from mapkd_core.files import FolderLock
from mapkd_core.map_formats.formats import MapName, map_name, read_map, write_map
from mapkd_core.map_formats.own_maps import own_place
from mapkd_core.map_formats.saving import check_target, rescued
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.local_grid import LOCAL_GRID, local_grid
from mapkd_core.mapping.seeding import builder_from
from mapkd_core.mapping.street_map import MapOrigin
from mapkd_core.mapping.tiles import Bounds
from mapkd_core.messages.classes import header_of
from mapkd_core.messages.occupancy_grid import occupancy_grid
from mapkd_core.messages.street import StreetMarkers, local_map_message
from mapkd_ros import qos, topics
from mapkd_ros.lasting_warning import MIXED_S, PATIENCE, mixed, twin
from mapkd_ros.latched_or_not import LatchedOrNot, transform_inputs
from mapkd_ros.map_builder.anchored_poses import STREET_FRAME, AnchoredPoses, check_unused
from mapkd_ros.map_builder.builder_parameters import PARAMETERS, options_of
from mapkd_ros.map_builder.builder_status import builder_status
from mapkd_ros.map_builder.input_watch import InputWatch
from mapkd_ros.map_builder.periodic_save import PeriodicSave
from mapkd_ros.map_builder.waiting_maps import MOST, PlacedMap, WaitingMaps
from mapkd_ros.msg import VectorMap
from mapkd_ros.parameters import declare
from mapkd_ros.sensor_messages import message_class
from mapkd_ros.told_transition import ToldNode, failure_of, told

WATCH_PERIOD_S = 1.0
MOST_PLACES = 120
"""Of the way, for the grid: its last 100 m, and some more."""


class BuilderNode(ToldNode):
    """Builds a street map of the VectorMaps on `student_node/vector_map` while active.

    Configuring reads parameters and the map to go on with; activating subscribes; deactivating saves. Raises
    ValueError, fit to be shown to the user, for parameters that cannot be.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("map_builder", **node_arguments)
        qos.check_overrides(self)
        self.values = declare(self, PARAMETERS, self.why_fixed)
        self.builder: MapBuilder | None = None
        self.waiting: WaitingMaps | None = None
        self._watch: InputWatch | None = None
        self._anchor: AnchoredPoses | None = None
        self._target: MapName | None = None
        self._periodic: PeriodicSave | None = None
        self._markers = StreetMarkers()
        self._last: PlacedMap | None = None
        self._displays = 0
        self._changed = False
        self._made: list[Any] = []
        self._transforms: list[LatchedOrNot] = []
        self._lock = ExitStack()
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        made = qos.create_publisher
        self._marker_publisher = made(self, MarkerArray, topics.MAP_MARKERS.name, qos.profile(depth=5))
        self._map_publisher = made(self, VectorMap, topics.LOCAL_MAP.name, qos.profile(depth=1, latched=True))
        self._grid_publisher: Any = None
        self._diagnostics = made(self, DiagnosticArray, topics.DIAGNOSTICS.name, qos.profile(depth=10))
        if self.values["diagnostics_period"] > 0:
            self.create_timer(self.values["diagnostics_period"], self._publish_diagnostics, clock=self._steady)
        self._offer_save()

    @told("configure")
    def on_configure(self, state: LifecycleState) -> None:
        """Reads the map to go on with."""
        options, frame, origin = options_of(self.values), self.values["fixed_frame"], None
        check_unused(self.values)
        self._free()
        if self.values["load"]:
            known, report = read_map(map_name(self.values["load"]))
            if frame not in ("auto", known.frame):
                raise ValueError(f"{self.values['load']} is in the frame {known.frame!r}, fixed_frame is {frame!r}")
            self.builder, frame = builder_from(known, options), known.frame
            origin = known.origin
            self.get_logger().info(f"goes on with {len(known.elements)} elements of {self.values['load']}{report.told}")
        else:
            self.builder = MapBuilder(options)
        if self.values["anchor"]:
            self._anchor = AnchoredPoses(self, self.values, origin)
            origin = self.builder.origin = self._anchor.origin
        self._target = self._periodic = None
        if self.values["map_file"]:
            self._choose_target(map_name(self.values["map_file"]), origin, self.builder.sets)
        if self.values["occupancy_grid"] and self._grid_publisher is None:
            kind = message_class(topics.MAP_GRID.msg_type)
            self._grid_publisher = qos.create_publisher(self, kind, topics.MAP_GRID.name, qos.profile(depth=1))
        self.waiting = WaitingMaps(frame, self.values["base_frame"])
        self._markers, self._last, self._displays, self._changed = StreetMarkers(), None, 0, False
        self.stage = "inactive"

    @told("activate")
    def on_activate(self, state: LifecycleState) -> None:
        """Subscribes; from now on the map grows."""
        assert self.builder is not None and self.waiting is not None
        self.builder.begin_drive()
        made = qos.create_subscription
        maps = made(self, VectorMap, topics.BUILDER_INPUT.name, self._on_map, qos.profile(depth=MOST))
        looks = ((partial(twin, self), PATIENCE), (partial(mixed, self, maps.topic_name, "node"), round(MIXED_S)))
        self._watch = InputWatch(self.waiting, maps.topic_name, self.count_publishers, self.get_logger(), looks)
        self._transforms = transform_inputs(self, self._on_tf)
        self._made = [
            maps,
            *(self.create_timer(WATCH_PERIOD_S, one.maintain, clock=self._steady) for one in self._transforms),
            self.create_timer(1.0 / self.values["publish_rate"], self._publish, clock=self._steady),
            self.create_timer(WATCH_PERIOD_S, self._watch.tick, clock=self._steady),
        ]  # fmt: skip
        if self._periodic is not None and self.values["save_period"] > 0:
            self._made.append(self.create_timer(self.values["save_period"], self._save_copy, clock=self._steady))
        qos.tell_unused_overrides(self)
        self.stage = "active"

    @told("deactivate")
    def on_deactivate(self, state: LifecycleState) -> None:
        """Stops, and saves the map."""
        self._stop()
        self.stage = "inactive"
        self.save()

    @told("clean up")
    def on_cleanup(self, state: LifecycleState) -> None:
        """Forgets the map."""
        self._free()

    @told("shut down")
    def on_shutdown(self, state: LifecycleState) -> None:
        """Saves the map, and ends."""
        self._stop()
        self.save()
        self._free()
        self.stage = "finalized"

    @told("recover", forget=False)
    def on_error(self, state: LifecycleState) -> None:
        """Stops; the node can be configured again."""
        self._free()

    def close(self) -> None:
        """Stops, and saves the map; where `map_file` cannot be written, elsewhere, and raises why it cannot."""
        self._stop()
        try:
            self.save()
        except Exception:
            assert self.builder is not None and self._target is not None
            if kept := rescued(self.builder.street_map(), self._target):
                self.get_logger().error(f"{self._target.file} could not be written; the map is kept in {kept}")
            raise
        finally:
            self._lock.close()

    def save(self) -> Path | None:
        """Writes the map to its place; None where there is no file, or nothing new. Raises OSError."""
        name, copies = self._target, self._periodic
        if name is None or copies is None or self.builder is None or not self._changed:
            return None
        copies.finish()
        found = self.builder.street_map()
        lost = write_map(found, name)
        self._changed = False
        copies.saved(self.builder.sets)
        told = f"{name.file}: {len(found.elements)} elements, {self.builder.driven_m:.0f} m driven"
        self.get_logger().info("; ".join([told, *(f"not held: {line}" for line in lost.lines)]))
        return name.file

    def _choose_target(self, name: MapName, origin: MapOrigin | None, sets: int) -> None:
        """Decides where the map is saved, now and not at the end of the drive. Raises ValueError, OSError."""
        target = own_place(name)
        check_target(target, origin)
        self._lock.enter_context(FolderLock(target.file.parent, f".{target.file.name}.lock"))
        if target != name:
            self.get_logger().warning(
                f"{name.file} was not written by this software, and stays as it is: the map is saved to {target.file}"
            )
        elif not self.values["load"] and name.file.is_file():
            self.get_logger().warning(f"{name.file} will be written over; load:={name.file} goes on with it instead")
        copies = PeriodicSave(target, sets, self.get_logger().error)
        for path in copies.left:
            self.get_logger().warning(f"{path} is the map of a run that did not end well: load:={path} goes on with it")
        self._target, self._periodic = target, copies

    def _save_copy(self) -> None:
        assert self._periodic is not None and self.builder is not None
        self._periodic.begin(self.builder)

    def _stop(self) -> None:
        for one in self._made:
            (self.destroy_timer if hasattr(one, "timer_period_ns") else self.destroy_subscription)(one)
        for transforms in self._transforms:
            transforms.close()
        self._made, self._transforms, self._watch = [], [], None
        if self._periodic is not None:
            self._periodic.finish()

    def _free(self) -> None:
        self._stop()
        if self._anchor is not None:
            self._anchor.close()
        self._lock.close()
        self.builder = self.waiting = self._anchor = None
        self.stage = "unconfigured"

    def _on_tf(self, message: TFMessage, fixed: bool) -> None:
        if self.waiting is None or self._watch is None:  # what was taken before the subscription ended
            return
        self._watch.bad(self.waiting.transforms.update(message.transforms, fixed))
        self._take()

    def _on_map(self, message: VectorMap) -> None:
        if self.waiting is None or self._watch is None:
            return
        self._watch.came.tick(time.monotonic_ns())
        self.waiting.add(message)
        self._take()

    def _take(self) -> None:
        assert self.waiting is not None and self.builder is not None and self._watch is not None
        for one in self.waiting.placed():
            self._watch.placed.tick(time.monotonic_ns())
            self.builder.frame = self.waiting.frame
            given = one.map_from_base
            pose = given if self._anchor is None else self._anchor.corrected(given)
            corrected = self.builder.add(one.elements, pose, one.stamp_ns, one.view)
            if self._anchor is not None:
                self._anchor.tell(self.waiting.frame, one.stamp_ns, given, corrected)
            self._last = PlacedMap(one.stamp_ns, one.elements, one.view, corrected, one.model)
            self._changed = True

    def _publish(self) -> None:
        """The map about the vehicle, to whoever is there."""
        last, builder = self._last, self.builder
        if last is None or builder is None:
            return
        displays = self._marker_publisher.get_subscription_count()
        x, y = last.map_from_base[:2, 3]
        reach = self.values["local_range"]
        bounds: Bounds = (x - reach, y - reach, x + reach, y + reach)
        elements = builder.local_map(bounds)
        frame = builder.frame if self._anchor is None else STREET_FRAME
        header = header_of(message_class, last.stamp_ns, frame)
        self._map_publisher.publish(
            local_map_message(message_class, header, elements, bounds, last.model, header.stamp)
        )
        if displays:
            everything = displays > self._displays
            self._marker_publisher.publish(self._markers.array(message_class, header, elements, bounds, everything))
        self._displays = displays
        if self._grid_publisher is not None and self._grid_publisher.get_subscription_count():
            cells = local_grid(elements, last.map_from_base, builder.path_m[-MOST_PLACES:], last.view)
            header = header_of(message_class, last.stamp_ns, self.values["base_frame"])
            self._grid_publisher.publish(occupancy_grid(message_class, header, cells, LOCAL_GRID))

    def _publish_diagnostics(self) -> None:
        name = self.get_fully_qualified_name().strip("/")
        header = Header(stamp=self.get_clock().now().to_msg())
        self._diagnostics.publish(DiagnosticArray(header=header, status=[self._status(f"{name}: street map")]))

    def _status(self, name: str) -> DiagnosticStatus:
        failure = failure_of(self)
        if failure is not None:
            return DiagnosticStatus(name=name, level=DiagnosticStatus.ERROR, message=f"{self.stage}: {failure}")
        if self.builder is None or self.waiting is None:
            return DiagnosticStatus(name=name, level=DiagnosticStatus.OK, message=f"no map: the node is {self.stage}")
        anchored = self._anchor.facts if self._anchor is not None else {}
        return builder_status(name, self.builder, self.waiting, self._watch, anchored, self._periodic)

    def _offer_save(self) -> None:
        """~/save, where std_srvs is installed; the wheels have none."""
        try:
            from std_srvs.srv import Trigger
        except ImportError:
            return

        def answered(request: Any, response: Any) -> Any:
            try:
                path = self.save()
                response.success = path is not None
                response.message = str(path or "nothing to save: no map_file, or nothing new")
            except (OSError, ValueError) as error:
                response.success, response.message = False, str(error)
            return response

        self.create_service(Trigger, "~/save", answered)
