"""Where one can drive about the vehicle: between the boundaries, and only where it was seen."""
from __future__ import annotations

import numpy as np
from street_drives import built, poses, sets, street

from mapkd_core.drivable_side import BOUNDARY, FREE, UNKNOWN
from mapkd_core.geometry import transform, transform_from_yaw
from mapkd_core.mapping.builder import VIEW_60X30, MapBuilder
from mapkd_core.mapping.local_grid import LOCAL_GRID, local_grid


def test_the_street_is_free_as_far_as_it_was_seen_and_nothing_else() -> None:
    builder = built(MapBuilder(), sets(street(), poses()[:30]))
    pose = poses()[29] @ transform_from_yaw(0, 1.0, 0.2)
    cells = local_grid(builder.street_map().elements, pose, builder.path_m[-100:], VIEW_60X30)

    def at(x: float, y: float) -> int:
        """The cell at a place of the map."""
        local = np.linalg.inv(pose) @ [x, y, 0, 1]
        column, row = np.floor(LOCAL_GRID.cells_from_metres(local[:2])).astype(int)
        return int(cells[row, column])

    assert at(58, 2) == at(75, -3) == at(25, 3) == FREE
    assert at(58, 5) == BOUNDARY and at(58, 9) == UNKNOWN
    assert at(25, 4.2) == at(25, -4.2) == FREE  # all of the street behind the vehicle, not its own way alone
    assert at(95, 0) == UNKNOWN  # ahead of all that was seen


def test_a_vehicle_that_leans_has_the_same_grid() -> None:
    builder = built(MapBuilder(), sets(street(), poses()[:30]))
    level = poses()[29] @ transform_from_yaw(0, 1.0, 0.2)
    leaning = level @ transform([0, 0, 3.0], [np.cos(0.15), 0, np.sin(0.15), 0])
    grids = [local_grid(builder.street_map().elements, pose, builder.path_m, VIEW_60X30) for pose in (level, leaning)]
    assert np.array_equal(*grids)


def test_without_boundaries_nothing_is_known() -> None:
    assert (local_grid([], np.eye(4), [], VIEW_60X30) == UNKNOWN).all()
