"""The bird's-eye-view grid: the only place where metres become cells and cells become metres."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.schema import number, numbers, record

MOST_CELLS = 10_000
"""Of one side of a grid: 1 km at 0.1 m. A larger one is a slip, and takes all memory."""
MOST_CELLS_IN_ALL = 1 << 22
"""A square kilometre at half a metre; 240 m x 60 m at 0.15 m is a sixth of it."""


@dataclass(frozen=True)
class BevGrid:
    """A rectangle of the ground around the vehicle, cut into square cells.

    Coordinates are `base_link` (x forward, y left, metres). A raster on the grid has shape (rows, cols):
    the column grows with x (forward), the row grows with y (left), and cell (0, 0) has its corner at
    (x_min, y_min)::

        row
         ^  y, left
         |
         |   [car] -> x, forward
         +-------------------> col

    (a raster shown as an image with row 0 on top therefore has left at the bottom; `draw.py` flips it).
    Continuous cell coordinates (col, row) count from that corner, so cell i covers [i, i + 1).

    Raises ValueError for an empty range or one that is not a whole number of cells.
    """

    x_range_m: tuple[float, float] = (-30.0, 30.0)
    """Rear and front edge."""
    y_range_m: tuple[float, float] = (-15.0, 15.0)
    """Right and left edge."""
    cell_m: float = 0.15
    """Edge length of a cell."""

    def __post_init__(self) -> None:
        if not (np.isfinite([*self.x_range_m, *self.y_range_m]).all() and 0 < self.cell_m < np.inf):
            raise ValueError(
                f"grid {self.x_range_m} x {self.y_range_m} m with cells of {self.cell_m} m; expected finite ranges and "
                "a cell above 0"
            )
        for name, (low, high) in (("x_range_m", self.x_range_m), ("y_range_m", self.y_range_m)):
            cells = (high - low) / self.cell_m
            if cells > MOST_CELLS:
                raise ValueError(f"{name} ({low}, {high}) is {cells:g} cells of {self.cell_m} m; at most {MOST_CELLS}")
            if cells < 1 or abs(cells - round(cells)) > 1e-6:
                raise ValueError(
                    f"{name} ({low}, {high}) is {cells:g} cells of {self.cell_m} m; "
                    "choose a range that is a positive whole number of cells"
                )
        if self.rows * self.cols > MOST_CELLS_IN_ALL:
            raise ValueError(
                f"grid {self.x_range_m} x {self.y_range_m} m has {self.rows} x {self.cols} cells of {self.cell_m} m; "
                f"at most {MOST_CELLS_IN_ALL} in all: choose larger cells"
            )

    @property
    def cols(self) -> int:
        """Number of cells along x."""
        return round((self.x_range_m[1] - self.x_range_m[0]) / self.cell_m)

    @property
    def rows(self) -> int:
        """Number of cells along y."""
        return round((self.y_range_m[1] - self.y_range_m[0]) / self.cell_m)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols): the shape of a raster on this grid."""
        return self.rows, self.cols

    def cells_from_metres(self, points_m: NDArray[np.floating]) -> NDArray[np.floating]:
        """Continuous (col, row) of `base_link` points (..., 2+) in metres -> (..., 2)."""
        origin = np.array([self.x_range_m[0], self.y_range_m[0]])
        return (np.asarray(points_m)[..., :2] - origin) / self.cell_m

    def metres_from_cells(self, cells: NDArray[np.floating]) -> NDArray[np.floating]:
        """`base_link` (x, y) in metres of continuous (col, row) cells (..., 2); add 0.5 for a cell's centre."""
        origin = np.array([self.x_range_m[0], self.y_range_m[0]])
        return np.asarray(cells)[..., :2] * self.cell_m + origin

    def cell_centres_m(self) -> NDArray[np.float64]:
        """(x, y) of every cell's centre, (rows, cols, 2), metres in `base_link`."""
        col, row = np.meshgrid(np.arange(self.cols) + 0.5, np.arange(self.rows) + 0.5)
        return np.asarray(self.metres_from_cells(np.stack([col, row], -1)), np.float64)

    def contains(self, points_m: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which points (..., 2+) lie on the grid."""
        cells = self.cells_from_metres(points_m)
        return np.all((cells >= 0) & (cells < [self.cols, self.rows]), axis=-1)

    def scaled(self, factor: float) -> BevGrid:
        """The same rectangle with cells `factor` times as large."""
        return BevGrid(self.x_range_m, self.y_range_m, self.cell_m * factor)

    def as_dict(self) -> dict[str, object]:
        """Plain values for a JSON card or YAML."""
        return {"x_range_m": list(self.x_range_m), "y_range_m": list(self.y_range_m), "cell_m": self.cell_m}

    @classmethod
    def from_dict(cls, values: dict) -> BevGrid:
        """The inverse of `as_dict`."""
        x, y = values["x_range_m"], values["y_range_m"]
        return cls((float(x[0]), float(x[1])), (float(y[0]), float(y[1])), float(values["cell_m"]))


GRID = record({"x_range_m": numbers(2), "y_range_m": numbers(2), "cell_m": number(1e-3, 100)})
"""Schema of `BevGrid.as_dict`."""
LINE_THICKNESS = 5
"""Thickness that OpenCV is given for every line of a label raster (HDMapNet, arXiv 2107.06307), whatever the grid."""
LINE_CELLS = LINE_THICKNESS + 2
"""Cells across a line that OpenCV covers at this thickness, where the line runs along a row or a column."""
OVERLAP_THICKNESS = LINE_THICKNESS + 4
"""In a label raster a class wipes the earlier ones this wide along its lines: two cells more on each side."""
BOUNDARY_INSET_M = 0.2
"""Boundaries end this far inside the grid, so that the grid's own edge never becomes one (HDMapNet)."""

GRID_60X30 = BevGrid()
GRID_60X30_COARSE = BevGrid(cell_m=0.3)
GRID_100X50 = BevGrid((-50.0, 50.0), (-25.0, 25.0), 0.25)
GRID_120X60 = BevGrid((-60.0, 60.0), (-30.0, 30.0), 0.3)
GRID_240X60 = BevGrid((-120.0, 120.0), (-30.0, 30.0), 0.3)
