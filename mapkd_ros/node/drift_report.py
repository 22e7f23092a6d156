"""Pitch errors of the cameras by the lines of the maps of a drive: collected from the worker, told in diagnostics."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.line_drift import LineDrift, PitchEstimate
from mapkd_core.cameras.plausibility import Doubt, Mounted
from mapkd_core.predictor import PredictedMap

if TYPE_CHECKING:
    from mapkd_ros.node.mapping_job import MappingJob

PERIOD_NS = 1_000_000_000
"""Between maps that are looked at: nearer ones show the same lines."""
LEAST_CHANGE = 0.1
"""Share of the lines' cells that must differ from the map before: else the vehicle stands."""


class DriftReport:
    """Looks at a map a second while the vehicle moves, and says which camera's pitch seems wrong."""

    def __init__(self) -> None:
        self._drift = LineDrift()
        self._last_ns: int | None = None
        self._last: NDArray[np.bool_] | None = None

    def see(self, job: MappingJob, result: PredictedMap, now_ns: int) -> None:
        """One map; called from the worker."""
        if self._last_ns is not None and now_ns - self._last_ns < PERIOD_NS:
            return
        lines = result.semantic > 0
        if self._last is not None and (lines != self._last).sum() < LEAST_CHANGE * max(1, lines.sum()):
            return
        self._last_ns, self._last = now_ns, lines
        mounted = map(Mounted, job.models, job.base_from_camera)
        self._drift.see(result.elements, dict(zip(job.cameras, mounted, strict=True)))

    def estimates(self) -> dict[str, PitchEstimate]:
        """Camera -> its pitch error, for those that look along the road and have seen enough."""
        return self._drift.estimates()

    def values(self) -> dict[str, str]:
        """Camera -> its estimate in words, for its diagnostics."""
        return {
            name: f"{one.error_deg:+.1f} +- {one.sigma_deg:.1f} ({one.maps} maps)"
            for name, one in self.estimates().items()
        }

    def doubts(self) -> list[Doubt]:
        """Cameras whose lines contradict their transforms by a degree or more."""
        return [
            Doubt(
                (name,),
                f"the map's lines {'spread' if one.error_deg > 0 else 'close in'} with distance, as if it looked "
                f"{abs(one.error_deg):.1f} +- {one.sigma_deg:.1f} degrees {'lower' if one.error_deg > 0 else 'higher'} "
                "than its transform says: look at its ~/overlay and correct its pitch",
            )
            for name, one in self.estimates().items()
            if one.doubtful
        ]
