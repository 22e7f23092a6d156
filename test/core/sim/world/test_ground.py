import numpy as np
import pytest
import shapely

from mapkd_core.sim.world.ground import EDGE_CELL_M, edge_distance_m
from mapkd_core.sim.world.paint import LINE_WIDTH_M, PaintCanvas


def test_distance_to_the_edge_is_exact_near_it_and_signed():
    outer = [(-8.03, -3.01), (7.7, -4.2), (9.1, 3.3), (-7.2, 4.04)]
    road = shapely.Polygon(outer, [[(-1.5, -1.0), (2.1, -0.8), (1.0, 1.3)]])
    size = 128
    distance = edge_distance_m(road, size)
    centres = (np.arange(size) + 0.5) * EDGE_CELL_M - size * EDGE_CELL_M / 2
    x, y = np.meshgrid(centres, centres)
    points = shapely.points(x, y)
    exact = shapely.distance(road.boundary, points) * np.where(shapely.contains(road, points), -1, 1)
    near = np.abs(exact) < 1.4
    assert near.sum() > 1000
    np.testing.assert_allclose(distance[near], exact[near], atol=1e-4)
    assert (np.sign(distance) == np.sign(exact))[np.abs(exact) > 1e-3].all()
    assert np.abs(distance - exact).max() < 3 * EDGE_CELL_M


@pytest.mark.parametrize("angle", [0.0, 0.35, np.pi / 4])
def test_a_painted_strip_covers_its_area_about_its_middle(angle):
    canvas = PaintCanvas(256, 0.05)
    start = np.array([-2.013, -1.007])
    end = start + 3.0 * np.array([np.cos(angle), np.sin(angle)])
    canvas.strip(start, end, LINE_WIDTH_M)
    cover = canvas.layers()[0] / 255
    assert cover.sum() * 0.05**2 == pytest.approx(3.0 * LINE_WIDTH_M, rel=0.03)
    centres = (np.arange(256) + 0.5) * 0.05 - 6.4
    middle = np.array([(cover * centres).sum(), (cover * centres[:, None]).sum()]) / cover.sum()
    np.testing.assert_allclose(middle, (start + end) / 2, atol=0.003)
    assert not canvas.layers()[1].any()


def test_styles_of_paint():
    line = np.array([[-6.0, 0.0], [6.0, 0.0]])
    areas = {}
    for paint in ("solid", "dashed", "double", "none"):
        canvas = PaintCanvas(256, 0.05)
        canvas.line(line, paint, "yellow", 1.0, 0.0)
        areas[paint] = canvas.layers()[0].sum() / 255 * 0.05**2
        np.testing.assert_array_equal(*canvas.layers())
    assert areas["none"] == 0
    assert areas["solid"] == pytest.approx(12 * LINE_WIDTH_M, rel=0.04)
    assert areas["double"] == pytest.approx(24 * LINE_WIDTH_M, rel=0.04)
    assert areas["dashed"] == pytest.approx(6 * LINE_WIDTH_M, rel=0.05)  # dashes of 3 m, gaps of 6 m: two in 12 m


def test_zebra_bars_lie_along_the_traffic_and_within_the_polygon():
    canvas = PaintCanvas(256, 0.05)
    polygon = shapely.box(-1.5, -5.0, 1.5, 5.0)  # people walk along y, cars drive along x
    canvas.crossing(polygon, np.array([1.0, 0.0]), "zebra", 1.0)
    cover = canvas.layers()[0] > 128
    rows, cols = np.nonzero(cover)
    centres = (np.arange(256) + 0.5) * 0.05 - 6.4
    assert np.abs(centres[cols]).max() <= 1.5 and np.abs(centres[rows]).max() <= 5.0
    profile = cover[:, 128]  # across the bars, along the walking direction
    assert np.count_nonzero(np.diff(profile.astype(int)) == 1) == 10
    assert cover[:, 100:156].any(1).mean() < 0.5  # bars leave gaps


def test_cells_on_the_edge_itself_are_told_as_shapely_tells_them():
    square = shapely.box(-4.1, -4.1, 4.1, 4.1).difference(shapely.box(-1.1, -0.9, 1.1, 0.9))
    size = 64
    distance = edge_distance_m(square, size)
    centres = (np.arange(size) + 0.5) * EDGE_CELL_M - size * EDGE_CELL_M / 2
    x, y = np.meshgrid(centres, centres)
    on_edge = np.abs(distance) < 1e-4
    assert on_edge.sum() > 100, "the square runs through cells' centres"
    inside = shapely.contains_xy(square, x, y)
    assert (distance[~on_edge] < 0).tolist() == inside[~on_edge].tolist()
    assert not (distance[on_edge & ~inside] < 0).any()
