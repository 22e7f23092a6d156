"""The node itself: its life cycle, parameters and diagnostics; what it does while it is active is in mapping.py."""
from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState
from std_msgs.msg import Header

from mapkd_core.cameras.rig import CameraRig, anchor_of
from mapkd_core.heap import give_back
from mapkd_ros import qos, topics
from mapkd_ros.lasting_warning import LastingWarning, no_clock, twin
from mapkd_ros.node.diagnostics import ERROR, OK, status
from mapkd_ros.node.mapping import Mapping
from mapkd_ros.node.mapping_job import Predictor
from mapkd_ros.node.outputs import MapOutputs, output
from mapkd_ros.node.rig import camera_watch, rig_of
from mapkd_ros.node.student_parameters import PARAMETERS
from mapkd_ros.parameters import declare
from mapkd_ros.told_transition import ToldNode, failure_of, told

LOOK_PERIOD_S = 1.0


class MappingNode(ToldNode):
    """Publishes `~/markers`, `~/vector_map` and `~/semantic_bev` of the newest complete set of images while active.

    Configuring reads the parameters, loads the network and makes the publishers; activating subscribes; deactivating
    ends all work; cleaning up frees the network. `start` does the first two. `make_predictor` gets the parameters and
    returns the predictor. Raises ValueError, fit to be shown to the user, for parameters that cannot be.
    """

    def __init__(self, make_predictor: Callable[[Any], Predictor], **node_arguments: Any) -> None:
        super().__init__("student_node", **node_arguments)
        self._make_predictor = make_predictor
        qos.check_overrides(self)
        self.values = declare(self, PARAMETERS, self.why_fixed)
        self.mapping: Mapping | None = None
        self._rig: CameraRig | None = None
        self._predictor: Predictor | None = None
        self._outputs: MapOutputs | None = None
        self._unended: list[Mapping] = []
        self._warnings = [LastingWarning(partial(look, self), self.get_logger()) for look in (twin, no_clock)]
        self._diagnostics = output(self, DiagnosticArray, topics.DIAGNOSTICS)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)  # reports go on when simulated time stands still
        self._diagnostics_timer: Any = None
        self._report_regularly()
        for warning in self._warnings:
            self.create_timer(LOOK_PERIOD_S, warning.tick, clock=self._steady)

    def close(self) -> bool:
        """Lets the maps in hand finish and ends the workers; True if the node may now be destroyed."""
        self._stop()
        self._unended = [one for one in self._unended if not one.close()]
        return not self._unended

    @told("configure")
    def on_configure(self, state: LifecycleState) -> None:
        """Loads the network and makes the publishers."""
        defaults = {row.name: row.default for row in PARAMETERS}
        rig = rig_of(self.values, defaults, self.get_logger().warning)
        anchor_of(self.values["anchor"], rig)  # what cannot be is refused before the network is loaded
        camera_watch(rig.names, self.values)
        try:
            self._predictor = self._make_predictor(self.values)
            self._predictor.camera_order(rig.names)
            self._outputs = MapOutputs(self, self.values, self._predictor.card, rig.names)
        except Exception:
            self._free()
            raise
        self._rig = rig
        self._report_regularly()
        self.stage = "inactive"

    @told("activate")
    def on_activate(self, state: LifecycleState) -> None:
        """Subscribes; from now on maps come."""
        assert self._rig is not None and self._predictor is not None and self._outputs is not None
        self.mapping = Mapping(self, self.values, self._rig, self._predictor, self._outputs)
        qos.tell_unused_overrides(self)
        self.stage = "active"

    @told("deactivate")
    def on_deactivate(self, state: LifecycleState) -> None:
        """Ends all work; a map that the network is still at is never published."""
        self._stop()
        self.stage = "inactive"

    @told("clean up")
    def on_cleanup(self, state: LifecycleState) -> None:
        """Frees the network."""
        self._free()
        self.stage = "unconfigured"

    @told("shut down")
    def on_shutdown(self, state: LifecycleState) -> None:
        """Ends and frees everything."""
        self._free()
        self.stage = "finalized"

    @told("recover", forget=False)
    def on_error(self, state: LifecycleState) -> None:
        """Frees what there is; the node can be configured again."""
        self._free()
        self.stage = "unconfigured"

    def _stop(self) -> None:
        mapping, self.mapping = self.mapping, None
        if mapping is not None and not mapping.close():
            self._unended.append(mapping)

    def _free(self) -> None:
        self._stop()
        outputs, self._outputs = self._outputs, None
        for publisher in outputs.publishers if outputs else ():
            self.destroy_publisher(publisher)
        self._predictor = None
        self.stage = "unconfigured"
        gc.collect()  # the network's buffers hang together in circles
        give_back()

    def _report_regularly(self) -> None:
        if self._diagnostics_timer is not None:
            self.destroy_timer(self._diagnostics_timer)
            self._diagnostics_timer = None
        period_s = self.values["diagnostics_period"]
        if period_s > 0:
            self._diagnostics_timer = self.create_timer(period_s, self._publish_diagnostics, clock=self._steady)

    def _publish_diagnostics(self) -> None:
        name = self.get_fully_qualified_name().strip("/")
        statuses = [self._idle_status(name)]
        if self.mapping is not None:
            statuses = self.mapping.statuses(name, [one.warning for one in self._warnings if one.warning])
        header = Header(stamp=self.get_clock().now().to_msg())
        self._diagnostics.publish(DiagnosticArray(header=header, status=statuses))

    def _idle_status(self, name: str) -> DiagnosticStatus:
        failure = failure_of(self)
        if failure is not None:
            return status(f"{name}: map", ERROR, f"no map: the node is {self.stage}; {failure}", {})
        steps = "activate" if self.stage == "inactive" else "configure, then activate"
        return status(f"{name}: map", OK, f"no map: the node is {self.stage}; {steps} it (ros2 lifecycle set)", {})
