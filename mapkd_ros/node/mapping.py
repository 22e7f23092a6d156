"""What an active node does between the cameras and the map. Callbacks collect and check; a worker computes."""
from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping as Values
from collections.abc import Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.utilities import get_rmw_implementation_identifier
from tf2_msgs.msg import TFMessage

from mapkd_core.cameras.calibration import CalibrationError
from mapkd_core.cameras.mountings import Mountings
from mapkd_core.cameras.rig import CameraRig, anchor_of
from mapkd_core.cameras.stamp_check import NO_STAMP
from mapkd_core.cameras.straight_image import check_size
from mapkd_core.cameras.synchronizer import CameraSet, Synchronizer
from mapkd_core.cameras.transform_tree import TransformTree
from mapkd_ros.conversions import ImageError
from mapkd_ros.latched_or_not import LatchedOrNot, transform_inputs
from mapkd_ros.node.calibration_check import CalibrationCheck
from mapkd_ros.node.camera_image import CameraImage
from mapkd_ros.node.camera_input import MAINTAIN_PERIOD_S, CameraInput
from mapkd_ros.node.diagnostics import Statistics
from mapkd_ros.node.drift_report import DriftReport
from mapkd_ros.node.mapping_job import MappingJob, Predictor, PreparedJob, complete_job, prepare_job
from mapkd_ros.node.outputs import MapOutputs
from mapkd_ros.node.report import InputReport, diagnostic_statuses, raw_transport_hint
from mapkd_ros.node.rig import camera_watch
from mapkd_ros.node.stall import Settings, StallWatch
from mapkd_ros.node.usable import UsableImages
from mapkd_ros.node.worker import LatestWorker, RateLimit

REPORT_PERIOD_S = 1.0
UNWANTED = "nobody subscribed to an output"


class _Incomplete(Exception):
    """A set whose calibration has not come yet."""


class Mapping:
    """The work of an active node: subscribes, synchronizes, predicts in a worker, publishes, reports, until `close`.

    Topics, timers and workers are its own; the predictor and the publishers are lent to it.
    """

    def __init__(
        self, node: Node, values: Values[str, Any], rig: CameraRig, predictor: Predictor, outputs: MapOutputs
    ) -> None:
        self._node, self._values, self._predictor, self._outputs = node, values, predictor, outputs
        self._log = node.get_logger()
        self._closed = False
        self._publishing = threading.Lock()
        cameras = tuple(rig.names[place] for place in predictor.camera_order(rig.names))
        self._synchronizer: Synchronizer[CameraImage] = Synchronizer(
            cameras, anchor_of(values["anchor"], rig), round(1e6 * values["window_ms"]), values["queue_size"]
        )
        self._watch = camera_watch(rig.names, values, all_needed=bool(predictor.own_cameras))
        self._stall = StallWatch(
            rig.names, Settings(self._synchronizer.anchor, self._synchronizer.window_ns, values["queue_size"])
        )
        self._statistics = Statistics()
        self._transforms = TransformTree()
        self._mountings = Mountings(rig, self._transforms, values["base_frame"])
        self._rate_limit = RateLimit()
        self._undistortion_tables: dict = {}
        self._blocked: CameraSet[CameraImage] | None = None
        self._blocked_by = ""
        self._inputs = {
            camera.name: CameraInput(
                node, camera, values["reliability"], self._on_image, self._on_calibration, self._fault
            )
            for camera in rig.cameras
        }
        self._transform_inputs = transform_inputs(node, self._on_transforms)
        self._drift = DriftReport()
        self._check = CalibrationCheck(
            self._inputs, self._mountings, self._transforms, self._drift.doubts, self._log
        )
        self._usable = UsableImages(self._inputs, self._mountings, predictor.card.input_size)
        self._report = InputReport(
            self._inputs, self._mountings, self._watch, self._stall, self._usable.reason, self._log
        )
        self._worker: LatestWorker[MappingJob] = LatestWorker(self._prepare, self._on_worker_error)
        self._network: LatestWorker[PreparedJob] | None = None
        if values["overlap"]:
            self._network = LatestWorker(self._complete, self._on_worker_error)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # reports go on when simulated time stands still
        self._timers = [
            node.create_timer(REPORT_PERIOD_S, self._tell, clock=steady),
            node.create_timer(MAINTAIN_PERIOD_S, self._maintain, clock=steady),
        ]
        self._announce(rig)

    def close(self) -> bool:
        """Ends subscriptions, timers and workers; False if the network is still at work on a map, which goes unsent."""
        if not self._closed:
            for timer in self._timers:
                self._node.destroy_timer(timer)
            for one in self._subscribed:
                one.close()
            with self._publishing:
                self._closed = True
        self._usable.close()
        ended = self._worker.stop()
        return ended if self._network is None else self._network.stop() and ended

    def _announce(self, rig: CameraRig) -> None:
        card, grid = self._predictor.card, self._predictor.card.grid
        transports = {camera.image_transport for camera in rig.cameras}
        self._log.info(
            f"{card.name} {card.version} on {self._predictor.device} ({self._predictor.engine}): "
            f"{grid.x_range_m[1] - grid.x_range_m[0]:g} x {grid.y_range_m[1] - grid.y_range_m[0]:g} m "
            f"at {grid.cell_m:g} m, classes {', '.join(card.classes)}; "
            f"waiting for {len(self._inputs)} cameras ({', '.join(sorted(transports))})"
        )
        if "raw" in transports:
            hint = raw_transport_hint(get_rmw_implementation_identifier(), os.environ)
            if hint:
                self._log.warning(hint)

    def _on_transforms(self, message: TFMessage, fixed: bool) -> None:
        try:
            self._transforms.update(message.transforms)
        except CalibrationError as error:
            self._fault("bad transform", str(error))
        self._on_calibration()

    def _on_calibration(self) -> None:
        """Images often come before the first camera_info: their set then goes on as soon as it can."""
        blocked, self._blocked = self._blocked, None
        if blocked is not None:
            self._on_set(blocked)

    def _on_image(self, camera: str, stamp_ns: int, image: CameraImage) -> None:
        now_ns = time.monotonic_ns()
        self._mountings.frames[camera] = image.frame_id
        self._stall.see(camera, stamp_ns, now_ns)
        usable = self._usable.usable(camera, stamp_ns, image, now_ns)
        if stamp_ns == 0:
            self._fault(f"no stamp {camera}", f"{camera}: {NO_STAMP}")
            return
        if usable and self._watch.see(camera, now_ns):
            self._report.tell_change(self._synchronizer.expected, self._watch.expected)
            self._synchronizer.expect(self._watch.expected)
        camera_set = self._synchronizer.add(camera, stamp_ns, image)
        if camera_set is None:
            return
        self._stall.formed(now_ns)
        if not self._wanted():
            self._statistics.drop(UNWANTED)
            return
        if self._blocked is not None:
            self._statistics.drop(self._blocked_by)
        self._blocked = None
        self._on_set(camera_set)

    def _wanted(self) -> bool:
        """False while nobody would see the result; the network then rests."""
        return self._values["always_run"] or self._outputs.wanted

    def _on_set(self, camera_set: CameraSet[CameraImage]) -> None:
        now_ns = time.monotonic_ns()
        try:
            job = self._job(camera_set, now_ns)
        except ImageError as error:
            self._fault(error.kind, str(error))
            return
        except _Incomplete as lack:
            self._blocked, self._blocked_by = camera_set, str(lack)
            return
        if not self._rate_limit.allows(now_ns, self._values["max_rate"]):
            self._statistics.drop("max_rate reached")
        elif self._worker.submit(job):
            self._statistics.drop("overtaken by a newer set while the network was busy")

    def _job(self, camera_set: CameraSet[CameraImage], now_ns: int) -> MappingJob:
        """The set with its calibration."""
        models, mountings, masks = [], [], []
        for camera, image in zip(camera_set.cameras, camera_set.images, strict=True):
            model = self._inputs[camera].model
            if model is None:
                raise _Incomplete(f"no camera_info {camera}")
            try:
                check_size(image.size, model.size)
                mountings.append(self._mountings.base_from_image(camera, model))
            except ImageError as error:
                raise ImageError(f"{error.kind} {camera}", f"{camera}: {error}") from error
            except CalibrationError as error:
                raise _Incomplete(f"no transform {camera}") from error
            models.append(model)
            masks.append(self._inputs[camera].visible)
        return MappingJob(camera_set, tuple(models), np.stack(mountings), now_ns, tuple(masks))

    def _prepare(self, job: MappingJob) -> None:
        """Runs in the worker."""
        try:
            prepared = prepare_job(job, self._predictor, self._undistortion_tables)
        except ImageError:
            self._usable.failed(job)
            raise
        for camera, text in prepared.faults:
            self._note(f"stray bytes {camera}", f"{camera}: used, but its decoder says: {text}")
        if self._network is None:
            self._complete(prepared)
            return
        self._network.submit(prepared)
        self._network.wait_until_taken()  # decoding further ahead would only make maps older

    def _complete(self, prepared: PreparedJob) -> None:
        """Runs in the same worker or, overlapped, in the network's own."""
        result = complete_job(prepared, self._predictor)
        with self._publishing:
            if self._closed:
                return
            stages_ms, age_ms = self._outputs.publish(prepared.job, result)
        now_ns = time.monotonic_ns()
        self._statistics.publish(now_ns, stages_ms, age_ms)
        self._drift.see(prepared.job, result, now_ns)

    def _on_worker_error(self, error: Exception) -> None:
        kind = error.kind if isinstance(error, ImageError) else f"prediction failed: {type(error).__name__}"
        self._fault(kind, f"{kind}: {error}" if kind not in str(error) else str(error))

    def _fault(self, kind: str, message: str) -> None:
        """Counts a set or image that was given up; says so once per kind."""
        if self._statistics.drop(kind) == 1:
            self._log.warning(f"{message} (counted as '{kind}' in /diagnostics; not logged again)")

    def _note(self, kind: str, message: str) -> None:
        """Counts a fault of an image that was used all the same; says so once per kind."""
        if self._statistics.note(kind) == 1:
            self._log.warning(f"{message} (counted as '{kind}' in /diagnostics; not logged again)")

    @property
    def _subscribed(self) -> list[CameraInput | LatchedOrNot]:
        return [*self._inputs.values(), *self._transform_inputs]

    def _maintain(self) -> None:
        """Subscriptions follow what publishers offer."""
        for one in self._subscribed:
            one.maintain()

    def _tell(self) -> None:
        self._report.tick()
        self._check.tell()

    def statuses(self, name: str, warnings: Sequence[str]) -> list[DiagnosticStatus]:
        """For /diagnostics, under the node's `name`; `warnings` are what the node itself has to tell."""
        now_ns = time.monotonic_ns()
        return diagnostic_statuses(
            name,
            self._statistics.snapshot(now_ns),
            self._synchronizer,
            self._report.lacks(now_ns),
            self._inputs,
            self._predictor,
            self._wanted(),
            self._watch,
            self._stall,
            self._check.doubts(),
            {camera: reason for camera in self._inputs if (reason := self._usable.reason(camera))},
            self._drift.values(),
            warnings,
            now_ns,
        )
