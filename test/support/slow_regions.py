"""Where the lines of `hand_step` lie, found cell by cell."""
import numpy as np
from hand_step import GRID, LINES, cells_of, metres
from slow_math import block_max

from mapkd_core.types import CLASSES


def foreground(lines=LINES):
    """B 1 Y X."""
    mask = np.zeros((len(lines), 1, *GRID.shape))
    for sample, drawn in enumerate(lines):
        for _, vertices in drawn:
            for row, col in cells_of(vertices):
                mask[sample, 0, row, col] = 1
    return mask


def heat(lines=LINES, sigma_m=0.5):
    """B 3 Y X, a Gaussian of the distance in metres to the nearest cell of a class."""
    result = np.zeros((len(lines), 3, *GRID.shape))
    for sample, drawn in enumerate(lines):
        for channel, label in enumerate(CLASSES):
            cells = [cell for name, vertices in drawn if name == label for cell in cells_of(vertices)]
            for row in range(GRID.rows):
                for col in range(GRID.cols):
                    squares = [(row - r) ** 2 + (col - c) ** 2 for r, c in cells]
                    if squares:
                        result[sample, channel, row, col] = np.exp(-min(squares) * GRID.cell_m**2 / (2 * sigma_m**2))
    return result


def instances(size, lines=LINES):
    """B h w, number of the line drawn last in a cell of this size."""
    ids = np.zeros((len(lines), *GRID.shape))
    for sample, drawn in enumerate(lines):
        for number, (_, vertices) in enumerate(drawn, 1):
            for row, col in cells_of(vertices):
                ids[sample, row, col] = number
    return block_max(ids, size).astype(int)


def keypoints_m(vertices, count):
    """(count, 2) metres evenly along a line; around a ring count - 1 and their mean."""
    line = metres(vertices).astype(np.float64)
    closed = vertices[0] == vertices[-1]
    points = [_at(line, k / (count - 1)) for k in range(count - closed)]
    return np.array([*points, np.mean(points, 0)] if closed else points)


def _at(line, share):
    """The point at a share of a line's length."""
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    left = share * lengths.sum()
    for start, end, length in zip(line[:-1], line[1:], lengths, strict=True):
        if left <= length:
            return start + (end - start) * left / length
        left -= length
    return line[-1]
