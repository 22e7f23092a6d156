"""What map_builder says of itself in /diagnostics while it has a map."""
from __future__ import annotations

import time
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from mapkd_core.mapping.builder import MapBuilder
from mapkd_ros.map_builder.input_watch import InputWatch
from mapkd_ros.map_builder.periodic_save import PeriodicSave
from mapkd_ros.map_builder.waiting_maps import WaitingMaps


def builder_status(
    name: str,
    builder: MapBuilder,
    waiting: WaitingMaps,
    watch: InputWatch | None,
    anchored: Mapping[str, int],
    periodic: PeriodicSave | None,
) -> DiagnosticStatus:
    """WARN where sets do not come into the map, or it cannot be saved; `watch` is None while the node is not active."""
    facts = {
        "sets": builder.sets, "driven_m": round(builder.driven_m), "samples": len(builder.lines),
        "memory_mb": round(builder.memory_bytes / 1e6, 1), "frame": waiting.frame, **anchored,
        **{f"aligned {what}": count for what, count in builder.alignments.items()},
        **{f"lost: {reason}": count for reason, count in waiting.lost.most_common(5)},
    }  # fmt: skip
    told = [f"{builder.sets} sets, {builder.driven_m:.0f} m driven"]
    warnings = []
    if watch is not None:
        facts["bad transforms"] = watch.bad_transforms
        warnings += watch.warnings(time.monotonic_ns())
    if periodic is not None:
        facts["saved_while_driving"] = periodic.written
        facts |= {f"not saved: {reason}": count for reason, count in periodic.faults.most_common(3)}
        if periodic.failed:
            warnings.append(f"the map could not be saved: {periodic.failed}")
    return DiagnosticStatus(
        name=name,
        level=DiagnosticStatus.WARN if warnings else DiagnosticStatus.OK,
        message="; ".join(told + warnings),
        values=[KeyValue(key=key, value=str(value)) for key, value in facts.items()],
    )
