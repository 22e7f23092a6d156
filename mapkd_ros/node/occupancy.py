"""The drivable side of a map as `nav_msgs/OccupancyGrid`, for costmaps."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.ground_view import best_camera
from mapkd_core.drivable_side import drivable_side
from mapkd_core.grid import BevGrid
from mapkd_core.messages.occupancy_grid import occupancy_grid
from mapkd_core.types import MapElement
from mapkd_ros.sensor_messages import message_class

if TYPE_CHECKING:
    from mapkd_ros.node.mapping_job import MappingJob

HIGHEST_M = 1.5
"""A cell is seen where a camera sees its ground or what stands there up to this, as the networks look it up."""
COARSE = 4
"""What is seen is looked up for squares of so many cells."""


class OccupancyOutput:
    """Publishes the grid of each map while somebody subscribes."""

    def __init__(self, publisher: Any, grid: BevGrid) -> None:
        self.publisher = publisher
        self._grid = grid
        self._key: object = None
        self._seen: NDArray[np.bool_] = np.ones(grid.shape, bool)

    def publish(self, job: MappingJob, elements: Sequence[MapElement], header: Any) -> None:
        """The grid of one map with its header."""
        if self.publisher.get_subscription_count():
            cells = drivable_side(elements, self._grid, self._seen_by(job))
            self.publisher.publish(occupancy_grid(message_class, header, cells, self._grid))

    def _seen_by(self, job: MappingJob) -> NDArray[np.bool_]:
        """(Y, X): what these cameras see; computed once per calibration."""
        key = (job.cameras, job.models, job.base_from_camera.tobytes(), tuple(map(id, job.masks)))
        if key != self._key:
            centres = self._grid.cell_centres_m()[::COARSE, ::COARSE]
            flat = centres.reshape(-1, 2)
            seen = np.zeros(len(flat), bool)
            for height_m in (0.0, HIGHEST_M):
                seen |= best_camera(
                    np.column_stack([flat, np.full(len(flat), height_m)]),
                    [model.intrinsics for model in job.models],
                    list(job.base_from_camera),
                    [model.size for model in job.models],
                    job.masks,
                ) >= 0  # fmt: skip
            row, col = (np.arange(count) // COARSE for count in self._grid.shape)
            self._seen = seen.reshape(centres.shape[:2])[np.ix_(row, col)]
            self._key = key
        return self._seen
