"""Tells the user what the node receives, what it still waits for, and how it fares: log lines and diagnostics."""
from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mapkd_core.cameras.calibration import CalibrationError
from mapkd_core.cameras.camera_watch import CameraWatch
from mapkd_core.cameras.duration_text import duration_text
from mapkd_core.cameras.plausibility import Doubt
from mapkd_core.figures import without_figures
from mapkd_ros.node.diagnostics import ERROR, OK, WARN, Snapshot, clock_note, map_values, status
from mapkd_ros.node.stall import StallWatch
from mapkd_ros.reminder import Reminder

if TYPE_CHECKING:
    from diagnostic_msgs.msg import DiagnosticStatus

    from mapkd_core.cameras.mountings import Mountings
    from mapkd_core.cameras.synchronizer import Synchronizer
    from mapkd_ros.node.camera_input import CameraInput
    from mapkd_ros.node.mapping_job import Predictor

START_UP_NS = 3_000_000_000
LASTING = 5
"""So many reports in a row tell a late or slow camera from a moment's load."""
FAST_DDS_SETTINGS = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")


class InputReport:
    """Logs one line per camera when all inputs are there, or after three seconds; later what lacks, while it lacks.

    The pauses between such lines grow from five seconds to a minute while nothing changes.
    """

    def __init__(
        self,
        inputs: Mapping[str, CameraInput],
        mountings: Mountings,
        watch: CameraWatch,
        stall: StallWatch,
        why_unusable: Callable[[str], str],
        logger: Any,
    ) -> None:
        self._inputs = inputs
        self._mountings = mountings
        self._watch = watch
        self._stall = stall
        self._why_unusable = why_unusable
        self._logger = logger
        self._born_ns = time.monotonic_ns()
        self._reported = False
        self._reminder = Reminder()
        self._stall_reminder = Reminder()
        self._stalled = False
        self._noted: Counter[str] = Counter()
        """Camera -> in how many reports in a row it came late or rarely."""
        self._lacks: dict[str, str] = {}
        self._incomplete: tuple[str, ...] = ()
        """Cameras that have not been described yet, because they lacked something at the first report."""

    def lacks(self, now_ns: int) -> dict[str, str]:
        """Camera -> what it lacks, only for those that lack something."""
        result = {}
        for camera, camera_input in self._inputs.items():
            lack = camera_input.lack(now_ns)
            if not lack and self._mountings.known(camera):
                try:
                    self._mountings.base_from_camera(camera)
                except CalibrationError as error:
                    lack = str(error)
            if not lack and camera in self._watch.silent:
                reason = self._why_unusable(camera)
                lack = f"its images cannot be used: {reason}" if reason else "has fallen silent"
            if lack:
                result[camera] = lack
        return result

    def tick(self) -> None:
        """Called every second."""
        now_ns = time.monotonic_ns()
        lacks = self.lacks(now_ns)
        if not self._reported:
            if lacks and now_ns - self._born_ns < START_UP_NS:
                return
            self._reported = True
            found = {camera: lacks.get(camera) or source.describe(now_ns) for camera, source in self._inputs.items()}
            self._logger.info("inputs:" + _lines(found))
            self._incomplete = tuple(lacks)
            self._reminder.said(now_ns, again=False)
        elif lacks and self._reminder.due(now_ns):
            self._logger.warning(_missing_inputs(lacks, self._watch) + _lines(lacks))
            self._reminder.said(now_ns, again=_kinds(lacks) == _kinds(self._lacks))
        self._tell_complete(lacks, now_ns)
        self._lacks = lacks
        self._tell_stall(now_ns, complete=not lacks)
        self._tell_notes(now_ns)

    def _tell_complete(self, lacks: Mapping[str, str], now_ns: int) -> None:
        """Describes cameras that lacked something at the first report once they do not, whatever others lack."""
        found = {c: self._inputs[c].describe(now_ns) for c in self._incomplete if c not in lacks}
        self._incomplete = tuple(camera for camera in self._incomplete if camera in lacks)
        if self._lacks and not lacks:
            self._logger.info("all cameras, calibrations and transforms are there" + _lines(found))
        elif found:
            self._logger.info("now there:" + _lines(found))

    def tell_change(self, before: Collection[str], now: Collection[str]) -> None:
        """Maps are made of other cameras from now on, as some send nothing usable or send again."""
        gone, back = (", ".join(c for c in one if c not in other) for one, other in ((before, now), (now, before)))
        if gone:
            self._logger.warning(f"{gone}: no usable images; maps go on without until there are")
        if back:
            self._logger.info(f"{back}: images come again; maps use them")

    def _tell_stall(self, now_ns: int, complete: bool) -> None:
        stall = self._stall.reason(now_ns) if complete else ""
        if stall and self._stall_reminder.due(now_ns):
            silence = duration_text(self._stall.without_set_ns(now_ns))
            self._logger.warning(f"no set of images for {silence}, though every camera sends: {stall}")
            self._stall_reminder.said(now_ns, again=self._stalled)
        self._stalled = bool(stall)

    def _tell_notes(self, now_ns: int) -> None:
        """Says once of a camera that it makes maps late or rare; the diagnostics say it all the time."""
        notes = {} if self._stalled else self._stall.notes(now_ns)
        self._noted = Counter({camera: self._noted[camera] + 1 for camera in notes})
        for camera, count in self._noted.items():
            if count == LASTING:
                told = "; ".join(text.removeprefix(f"{camera} ") for text in notes[camera])
                self._logger.warning(f"{camera} {told} (not logged again while it lasts)")


def raw_transport_hint(rmw: str, environment: Mapping[str, str]) -> str:
    """Advice for raw images where the default settings of Fast DDS hold; empty where nothing needs to be said."""
    tuned = any(environment.get(name) for name in FAST_DDS_SETTINGS)
    if "fastrtps" not in rmw or tuned:
        return ""
    return (
        "raw images do not fit into the default shared memory of Fast DDS, and many get lost on a busy machine; "
        "use compressed ones, or launch publishers and this node with large_data:=true (docs/reference/node.md)"
    )


def _missing_inputs(lacks: Mapping[str, str], watch: CameraWatch) -> str:
    """What it means that these cameras lack something."""
    if all(camera in watch.left_out for camera in lacks):
        return f"maps are made of {len(watch.expected)} cameras, without these:"
    reason = f" ({watch.reason_to_wait})" if watch.reason_to_wait else ""
    return f"no map{reason}; these cameras lack something:"


def _kinds(lacks: Mapping[str, str]) -> dict[str, str]:
    """What lacks, without the figures, which change while it is the same."""
    return {camera: without_figures(lack) for camera, lack in lacks.items()}


def _lines(texts: Mapping[str, str]) -> str:
    return "".join(f"\n  {camera}: {text}" for camera, text in texts.items())


def diagnostic_statuses(
    name: str,
    snapshot: Snapshot,
    synchronizer: Synchronizer,
    lacks: Mapping[str, str],
    inputs: Mapping[str, CameraInput],
    predictor: Predictor,
    wanted: bool,
    watch: CameraWatch,
    stall: StallWatch,
    doubts: Sequence[Doubt],
    unusable: Mapping[str, str],
    pitch_errors: Mapping[str, str],
    warnings: Sequence[str],
    now_ns: int,
) -> list[DiagnosticStatus]:
    """The node's status, then one per camera."""
    card = predictor.card
    without = [camera for camera in lacks if camera in watch.left_out]
    told = "; ".join(f"{camera}: {lack}" for camera, lack in lacks.items())
    if len(without) < len(lacks):
        reason = f" ({watch.reason_to_wait})" if watch.reason_to_wait else ""
        level, message = ERROR, f"no map{reason}: {told}"
    elif not wanted:
        level, message = OK, "idle: nobody subscribes to an output"
    elif snapshot.quiet:
        reasons = {
            "no set of images": stall.reason(now_ns),
            "last dropped": snapshot.last_dropped,
            "last set not formed": synchronizer.last_reason,
        }
        known = [f"{what}: {reason}" for what, reason in reasons.items() if reason]
        level, message = WARN, "; ".join(["no map lately", *known])
    else:
        level, message = OK, f"{snapshot.published_hz:.1f} maps a second"
        note = clock_note(snapshot.age_ms)
        if note:  # a recording is no fault
            level, message = WARN if (snapshot.age_ms or 0) < 0 else OK, f"{message}; {note}"
    if without and level != ERROR:
        level, message = WARN, f"{message}, without {told}"
    told_too = [*(f"calibration: {doubt}" for doubt in doubts), *warnings]
    if told_too and level != ERROR:
        level, message = WARN, "; ".join([message, *told_too])
    values: dict[str, object] = {
        "device": predictor.device,
        "engine": predictor.engine,
        "model": f"{card.name} {card.version}",
        "sets formed": synchronizer.formed,
        **map_values(snapshot),
        **{f"set not formed: {reason}": count for reason, count in synchronizer.not_formed.most_common()},
        **{f"image ignored: {reason}": count for reason, count in synchronizer.ignored.most_common()},
    }
    if synchronizer.last_reason:
        values["last set not formed"] = synchronizer.last_reason
    statuses = [status(f"{name}: map", level, message, values, predictor.device)]
    notes = stall.notes(now_ns)
    for camera, reason in unusable.items():
        notes.setdefault(camera, []).append(f"its images cannot be used: {reason}")
    for camera, camera_input in inputs.items():
        if camera_input.mixed:
            notes.setdefault(camera, []).append(camera_input.mixed)
    for doubt in doubts:
        for camera in doubt.cameras:
            notes.setdefault(camera, []).append(doubt.text)
    for camera, camera_input in inputs.items():
        text = lacks.get(camera) or "; ".join([camera_input.describe(now_ns), *notes.get(camera, [])])
        camera_values = {
            "topic": camera_input.topic,
            "images": camera_input.rate.count,
            "rate [Hz]": f"{camera_input.rate.hz(now_ns):.2f}",
        }
        if camera in pitch_errors:
            camera_values["pitch error by the map's lines [deg]"] = pitch_errors[camera]
        out = camera in watch.left_out
        level = ERROR if camera in lacks and not out else WARN if camera in notes or out else OK
        statuses.append(status(f"{name}: {camera}", level, text, camera_values))
    return statuses
