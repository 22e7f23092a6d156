"""Signed distances on a raster: to cells of the other kind everywhere, and to the outline itself near it.

Legend: n rows and columns, M segments.
"""
from __future__ import annotations

import math

import numpy as np

from mapkd_core.sim.kernel import exact_kernel

F = np.float32
I = np.int32  # noqa: E741
NEVER = I(30_000)
"""Rows to a cell of the other kind in a column that has none."""
UNSURE_M = F(1e-4)
"""A cell's centre that lies so close to the outline may be on either side of it by rounding."""


@exact_kernel
def _rows_to_other(inside, rows):
    """(n, n) how many rows away each column's nearest cell of the other kind is."""
    n = inside.shape[0]
    for x in range(n):
        rows[0, x] = NEVER
    for y in range(1, n):
        for x in range(n):
            rows[y, x] = min(rows[y - 1, x] + I(1), NEVER) if inside[y, x] == inside[y - 1, x] else I(1)
    for y in range(n - 2, -1, -1):
        for x in range(n):
            below = rows[y + 1, x] + I(1) if inside[y, x] == inside[y + 1, x] else I(1)
            rows[y, x] = min(rows[y, x], below)


@exact_kernel
def signed_cells(inside, cell_m, rows, places, starts, distance):
    """Distance (n, n) of every cell's centre to the nearest one of the other kind, in float32, negative inside.

    Exact; at most n cells. A row is cut into runs of one kind: nothing beyond a run's two neighbours can be nearer than
    they are. In a run, the lower envelope of parabolas over the columns. Source: Felzenszwalb and Huttenlocher,
    Distance Transforms of Sampled Functions (2012); the runs are ours. `rows` (n, n) int32, `places` and `starts`
    (n + 3) int32 are room to work in.
    """
    _rows_to_other(inside, rows)
    n = inside.shape[0]
    most = F(n)
    for y in range(n):
        first = 0
        while first < n:
            end = first + 1
            while end < n and inside[y, end] == inside[y, first]:
                end += 1
            _run(rows[y], first, end, places, starts)
            signed_m = F(-cell_m) if inside[y, first] else F(cell_m)
            _measured(rows[y], first, end, places, starts, signed_m, most, distance[y])
            first = end


@exact_kernel
def _run(rows, first, end, places, starts):
    """The envelope over columns `first - 1` to `end`: which column is nearest from `starts[k]` on."""
    n, count = len(rows), 0
    low, high = (first - 1 if first > 0 else first), (end if end < n else end - 1)
    for x in range(low, high + 1):
        own = rows[x] if first <= x < end else I(0)
        if own >= NEVER:
            continue
        square, start = np.int64(own) * own + np.int64(x) * x, 0
        while count:
            before = places[count - 1]
            up = rows[before] if first <= before < end else I(0)
            # The first column that is nearer to x than to the parabola before it.
            ahead = square - (np.int64(up) * up + np.int64(before) * before)
            start = ahead // (2 * (x - before)) + 1
            if start > starts[count - 1]:
                break
            count -= 1
            start = 0
        if count == 0 or start < end:
            places[count], starts[count] = x, max(start, 0) if count else 0
            count += 1
    places[count] = -1
    starts[count] = n + 1


@exact_kernel
def _measured(rows, first, end, places, starts, cell_m, most, distance):
    if places[0] < 0:
        for x in range(first, end):
            distance[x] = most * cell_m
        return
    k = 0
    for x in range(first, end):
        while places[k + 1] >= 0 and starts[k + 1] <= x:
            k += 1
        near = places[k]
        up = np.int64(rows[near]) if first <= near < end else 0
        distance[x] = min(F(math.sqrt(F(up * up + np.int64(x - near) * (x - near)))), most) * cell_m


@exact_kernel
def near_outline(start, along, axis, reach_m, cell_m, result):
    """Lowers `result` (n, n) to the distance of M segments wherever that is below `reach_m`.

    `start` and `along` (M, 2) are float32; `axis` (n,) the places of the cells' centres.
    """
    n = len(axis)
    for k in range(len(start)):
        x0, y0, dx, dy = start[k, 0], start[k, 1], along[k, 0], along[k, 1]
        square = max(dx * dx + dy * dy, F(1e-12))
        left = max(int((min(x0, x0 + dx) - reach_m - axis[0]) / cell_m) - 1, 0)
        right = min(int((max(x0, x0 + dx) + reach_m - axis[0]) / cell_m) + 2, n)
        low = max(int((min(y0, y0 + dy) - reach_m - axis[0]) / cell_m) - 1, 0)
        high = min(int((max(y0, y0 + dy) + reach_m - axis[0]) / cell_m) + 2, n)
        for row in range(low, high):
            y = axis[row] - y0
            for column in range(left, right):
                x = axis[column] - x0
                t = (x * dx + y * dy) / square
                t = min(max(t, F(0)), F(1))
                ax, ay = x - t * dx, y - t * dy
                away = F(math.sqrt(np.float64(ax) * np.float64(ax) + np.float64(ay) * np.float64(ay)))
                result[row, column] = min(result[row, column], away)


@exact_kernel
def crossings(rings, firsts, n, cell_m, counts, at):
    """Where the rows' center lines cross closed rings: `counts` (n,), and x of row r in `at[r]`, sorted.

    Ring k has the vertices `firsts[k]` to `firsts[k + 1]` of `rings`. Returns False if a row of `at` is too short.
    """
    half = n * cell_m / 2
    counts[:] = 0
    for k in range(len(firsts) - 1):
        for i in range(firsts[k], firsts[k + 1] - 1):
            x0, y0, x1, y1 = rings[i, 0], rings[i, 1], rings[i + 1, 0], rings[i + 1, 1]
            low, high = min(y0, y1), max(y0, y1)
            first = max(int((low + half) / cell_m) - 2, 0)
            last = min(int((high + half) / cell_m) + 2, n)
            for row in range(first, last):
                y = (row + 0.5) * cell_m - half
                if low <= y < high:
                    x = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
                    if counts[row] == at.shape[1]:
                        return False
                    j = counts[row]
                    while j > 0 and at[row, j - 1] > x:
                        at[row, j] = at[row, j - 1]
                        j -= 1
                    at[row, j] = x
                    counts[row] += 1
    return True


@exact_kernel
def sign_near(exact, reach_m, cell_m, counts, at, distance, unsure):
    """Puts `exact` (n, n) with its sign into `distance` where it is below `reach_m`: negative inside the rings.

    Returns how many cells are too close to the outline to be told; `unsure` (U, 2) takes rows and columns of U of them.
    """
    n, found = len(counts), 0
    half = n * cell_m / 2
    for row in range(n):
        k = 0
        for column in range(n):
            away = exact[row, column]
            if not away < reach_m:
                continue
            x = (column + 0.5) * cell_m - half
            while k < counts[row] and at[row, k] < x:
                k += 1
            distance[row, column] = -away if k % 2 else away
            if away < UNSURE_M:
                if found < len(unsure):
                    unsure[found, 0], unsure[found, 1] = row, column
                found += 1
    return found
