"""Clipping against shapely's, which works one line at a time."""
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
