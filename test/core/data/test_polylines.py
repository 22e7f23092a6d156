"""Clipping against shapely's, which works one line at a time."""
from itertools import pairwise

import numpy as np
import pytest
import shapely

from mapkd_core.data.polylines import PolylineIndex, Range, clip_polylines, without_repeats
from mapkd_core.geometry import flattened, transform

WINDOW = Range((-30.0, 30.0), (-15.0, 15.0))


def random_lines(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Wandering lines with jumps of all sizes; every third is a ring."""
    lines = []
    for k in range(count):
        steps = rng.normal(0, 4, (rng.integers(1, 90), 2))
        line = rng.uniform(-40, 40, 2) + np.cumsum(steps, 0)
        line = np.concatenate([[line[0] - 1], line])
        lines.append(np.concatenate([line, line[:1]]) if k % 3 == 0 and len(line) > 3 else line)
    return lines


def liang_barsky(line: np.ndarray, window: Range) -> list[np.ndarray]:
    """Liang and Barsky's clipping, segment by segment; parts that meet at a vertex of the line are one."""
    low, high = window.limits()
    parts: list[list[np.ndarray]] = []
    going_on = False
    for start, end in pairwise(line):
        enter, leave = 0.0, 1.0
        for axis in (0, 1):
            step = end[axis] - start[axis]
            if step == 0:
                enter = enter if low[axis] <= start[axis] <= high[axis] else np.inf
                continue
            bounds = sorted(((low[axis] - start[axis]) / step, (high[axis] - start[axis]) / step))
            enter, leave = max(enter, bounds[0]), min(leave, bounds[1])
        if enter >= leave:
            going_on = False
            continue
        if not (going_on and enter == 0):
            parts.append([start + enter * (end - start)])
        parts[-1].append(end if leave == 1 else start + leave * (end - start))
        going_on = leave == 1
    ring, found = np.array_equal(line[0], line[-1]), [np.array(part) for part in parts]
    if ring and len(found) > 1 and np.array_equal(found[0][0], line[0]) and np.array_equal(found[-1][-1], line[0]):
        found[0] = np.concatenate([found.pop(), found[0][1:]])
    return found


def test_every_vertex_equals_liang_and_barskys():
    lines = random_lines(np.random.default_rng(2), 400)
    lines += [np.array([[-50, -60], [-20, 0], [50, 7], [20, 40], [-50, -60.0]]) * scale for scale in (0.3, 0.7, 1, 9)]
    for pieces in (clip_polylines(lines, WINDOW), PolylineIndex(lines).clipped(WINDOW)):
        for number, line in enumerate(lines):
            mine, expected = [p.points_m for p in pieces if p.line == number], liang_barsky(line, WINDOW)
            assert [len(points) for points in mine] == [len(points) for points in expected]
            for points, others in zip(mine, expected, strict=True):
                np.testing.assert_allclose(points, others, rtol=2e-14, atol=1e-12)


def test_vertices_and_segments_on_the_edge_count_as_inside():
    """Lines between multiples of the window's size, so that nearly all of them touch an edge or a corner."""
    rng, box = np.random.default_rng(3), shapely.box(-30, -15, 30, 15)
    for _ in range(400):
        line = without_repeats(rng.integers(-2, 3, (rng.integers(3, 8), 2)) * np.array([15.0, 7.5]) * 2)
        if len(line) < 2:
            continue
        pieces = [p.points_m for p in clip_polylines([line], WINDOW)]
        inside = [seg.intersection(box).length for seg in map(shapely.LineString, pairwise(line))]
        assert sum(shapely.LineString(p).length for p in pieces) == pytest.approx(sum(inside), abs=1e-9), line
        assert all(np.abs(p).max(0)[0] <= 30 and np.abs(p).max(0)[1] <= 15 for p in pieces)
        assert all(len(p) == len(without_repeats(p.round(9))) >= 2 for p in pieces)


def test_a_vertex_that_is_not_finite_is_refused():
    line = np.array([[0, 0], [np.nan, 3], [5, 5.0]])
    with pytest.raises(ValueError, match=r"the vertex \(nan, 3\); expected finite metres"):
        clip_polylines([line], WINDOW)
    with pytest.raises(ValueError, match="nan"):
        PolylineIndex([line])


def test_clipped_lengths_and_places_equal_shapelys():
    rng = np.random.default_rng(0)
    lines = random_lines(rng, 200)
    pieces = PolylineIndex(lines).clipped(WINDOW)
    box = shapely.box(-30, -15, 30, 15)
    for number, line in enumerate(lines):
        expected = shapely.LineString(line).intersection(box)
        mine = [shapely.LineString(p.points_m) for p in pieces if p.line == number]
        assert sum(m.length for m in mine) == pytest.approx(expected.length, abs=1e-9)
        if mine:
            assert shapely.hausdorff_distance(shapely.MultiLineString(mine), expected) < 1e-9
    assert sum(p.closed for p in pieces) > 0


def test_a_pose_moves_the_window_and_the_result_into_its_flat_frame():
    rng = np.random.default_rng(1)
    lines = [line * 10 for line in random_lines(rng, 60)]
    pose = transform((50, -80, 3), (0.8, 0.01, -0.02, 0.6))
    flat = flattened(pose)
    pieces = PolylineIndex(lines).clipped(WINDOW, pose)
    moved = [(line - flat[:2, 3]) @ flat[:2, :2] for line in lines]
    expected = clip_polylines(moved, WINDOW)
    assert len(pieces) == len(expected) > 5
    for piece, other in zip(pieces, expected, strict=True):
        assert piece.line == other.line
        np.testing.assert_allclose(piece.points_m, other.points_m, atol=1e-9)


def test_direction_is_kept_and_vertices_inside_are_not_touched():
    line = np.array([[-50, 0], [-10, 0], [0, 5], [10, 0], [50, 0]], float)
    (piece,) = clip_polylines([line], WINDOW)
    np.testing.assert_array_equal(piece.points_m, [[-30, 0], [-10, 0], [0, 5], [10, 0], [30, 0]])
    (back,) = clip_polylines([line[::-1]], WINDOW)
    np.testing.assert_array_equal(back.points_m, piece.points_m[::-1])


def test_a_ring_that_leaves_is_one_piece_over_its_first_vertex():
    ring = np.array([[0, 0], [10, 0], [10, 20], [0, 20], [0, 0]], float)
    (piece,) = clip_polylines([ring], WINDOW)
    np.testing.assert_array_equal(piece.points_m, [[0, 15], [0, 0], [10, 0], [10, 15]])
    assert not piece.closed
    (whole,) = clip_polylines([ring * 0.5], WINDOW)
    assert whole.closed and len(whole.points_m) == 5


def test_lines_on_the_edge_are_kept_and_touching_points_are_not():
    on_edge = np.array([[-40, 15], [40, 15]], float)
    (piece,) = clip_polylines([on_edge], WINDOW)
    np.testing.assert_array_equal(piece.points_m, [[-30, 15], [30, 15]])
    assert clip_polylines([np.array([[-40, 5], [-30, 0], [-40, -5.0]])], WINDOW) == []
    assert clip_polylines([on_edge + [0, 1]], WINDOW) == []


def test_nothing_in_nothing_out():
    assert clip_polylines([], WINDOW) == [] and PolylineIndex([]).clipped(WINDOW) == []
    assert PolylineIndex([np.zeros((1, 2)), np.zeros((5, 2))]).clipped(WINDOW) == []
    assert without_repeats(np.array([[0, 0], [0, 0], [1, 0], [1, 0], [0, 0.0]])).tolist() == [[0, 0], [1, 0], [0, 0]]


def test_a_piece_tells_of_which_line_it_is_a_part():
    lines = [np.array([[0.0, 0]]), np.array([[-9.0, 1], [9, 1]]), np.zeros((0, 2)), np.array([[-9.0, 2], [9, 2]])]
    pieces = clip_polylines(lines, Range((-5.0, 5.0), (-5.0, 5.0)))
    assert [(piece.line, piece.points_m[0].tolist()) for piece in pieces] == [(1, [-5, 1]), (3, [-5, 2])]
