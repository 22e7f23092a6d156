"""A grid of what is free and what is not as the message that costmaps read."""
from __future__ import annotations

import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.messages.classes import MessageClasses

OCCUPANCY_GRID = "nav_msgs/msg/OccupancyGrid"


def occupancy_grid(classes: MessageClasses, header: Any, cells: NDArray[np.int8], grid: BevGrid) -> Any:
    """The message of (Y, X) cells on a grid: 0 free, 100 not, -1 unknown; its origin is the grid's corner."""
    message = classes(OCCUPANCY_GRID)(header=header)
    message.info.map_load_time = header.stamp
    message.info.resolution = grid.cell_m
    message.info.width, message.info.height = grid.cols, grid.rows
    origin = message.info.origin
    origin.position.x, origin.position.y = grid.x_range_m[0], grid.y_range_m[0]
    origin.orientation.w = 1.0
    # rclpy takes an array.array as it is and checks anything else value by value.
    message.data = array.array("b", np.ascontiguousarray(cells, np.int8).tobytes())
    return message
