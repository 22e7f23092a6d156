import cv2
import numpy as np
import pytest
import shapely
from real_data import NUSCENES, expected_samples, needs_nuscenes, pose_of

from mapkd_core.data.labels import map_elements, resample_1m
from mapkd_core.data.nuscenes_map import load_vector_map
from mapkd_core.data.raster import direction_bins, rasterize
from mapkd_core.grid import GRID_60X30, GRID_120X60, BevGrid
from mapkd_core.types import CLASSES, MapElement


def restated(elements: list[MapElement], grid: BevGrid, clip: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HDMapNet's definitions read off one by one: semantic, instance, and (2, Y, X) direction. Slow on purpose."""
    patch = shapely.box(grid.x_range_m[0], grid.y_range_m[0], grid.x_range_m[1], grid.y_range_m[1])
    masks = {kind: np.zeros((3, *grid.shape), np.uint8) for kind in ("id", "near", "forward", "backward")}
    number = 0
    for c, label in enumerate(CLASSES):
        for element in elements:
            if element.label != label:
                continue
            number += 1
            inside = shapely.LineString(element.points_m[:, :2].astype(np.float64))
            inside = inside.intersection(patch) if clip else inside
            for part in shapely.get_parts(inside):
                cells = [(int(col), int(row)) for col, row in grid.cells_from_metres(np.asarray(part.coords))]
                cv2.polylines(masks["id"][c], [np.array(cells)], False, (number,), 5)
                cv2.polylines(masks["near"][c], [np.array(cells)], False, (1,), 9)
                for kind, way in (("forward", cells), ("backward", cells[::-1])):
                    for i in range(len(way) - 1):
                        (col, row), (next_col, next_row) = way[i], way[i + 1]
                        degrees = np.degrees(np.arctan2(next_row - row, next_col - col)) % 360
                        bin_ = int(degrees / 10 + 0.5) % 36 + 1
                        cv2.polylines(masks[kind][c], [np.array(way[i:])], False, (bin_,), 5)
    for kind in ("id", "forward", "backward"):
        for c in (2, 1):
            for earlier in range(c):
                masks[kind][earlier][masks["near"][c] > 0] = 0
    drawn = masks["id"] > 0
    semantic = np.concatenate([~drawn.any(0, keepdims=True), drawn])
    direction = np.stack([masks[kind].sum(0) for kind in ("forward", "backward")])
    return semantic, masks["id"].sum(0), direction


@needs_nuscenes
@pytest.mark.parametrize("crossings", ["edges", "polygon"])
def test_every_pixel_equals_the_definitions_on_every_real_pose(crossings):
    drawn = 0
    for i, sample in enumerate(expected_samples()[:: 1 if crossings == "edges" else 4]):
        grid = GRID_120X60 if i % 4 == 1 else GRID_60X30
        elements = map_elements(load_vector_map(NUSCENES, sample["location"]), pose_of(sample), grid, crossings)
        elements = resample_1m(elements)
        rasters = rasterize(elements, grid)
        # The reference has no rings on the grid's edge, which shapely's intersection would take apart.
        semantic, instance, direction = restated(elements, grid, clip=crossings == "edges")
        np.testing.assert_array_equal(rasters.instance, instance)
        np.testing.assert_array_equal(rasters.semantic, semantic)
        np.testing.assert_array_equal(rasters.direction, direction)
        drawn += semantic[1:].sum()
    assert drawn > 80_000


# Cells per class (divider, ped_crossing, boundary) and lines, from the definitions as `restated` reads them.
COUNTS = {
    "ca9a282c9e77460f8360f564131a8af5": ((5274, 0, 11062), 8),
    "3950bd41f74548429c0f7700ff3d8269": ((7177, 1106, 5852), 10),
}


@needs_nuscenes
@pytest.mark.parametrize("token", COUNTS)
def test_counts_on_the_two_keyframes(token):
    sample = next(s for s in expected_samples() if s["sample_token"] == token)
    elements = resample_1m(map_elements(load_vector_map(NUSCENES, sample["location"]), pose_of(sample), GRID_60X30))
    rasters = rasterize(elements, GRID_60X30)
    assert (tuple(rasters.semantic[1:].sum((1, 2)).tolist()), int(rasters.instance.max())) == COUNTS[token]
    assert rasters.semantic.sum() == GRID_60X30.rows * GRID_60X30.cols


def line(label: str, *points: tuple[float, float]) -> MapElement:
    return MapElement(label, np.array(points, np.float32))


def test_a_line_is_as_wide_as_opencv_draws_thickness_5_and_bins_follow_its_travel():
    rasters = rasterize([line("divider", (-30, 0.05), (30, 0.05))], GRID_60X30)  # row 100, along +x
    assert np.flatnonzero(rasters.semantic[1].any(1)).tolist() == [97, 98, 99, 100, 101, 102, 103]
    assert rasters.semantic[1, 100].all() and not rasters.semantic[0, 100].any()
    assert set(np.unique(rasters.direction[0])) == {0, 1} and set(np.unique(rasters.direction[1])) == {0, 19}
    left = rasterize([line("divider", (0, -15), (0, 15))], GRID_60X30)  # along +y
    assert set(np.unique(left.direction[0])) == {0, 10} and set(np.unique(left.direction[1])) == {0, 28}


def test_bins_are_centred_on_multiples_of_ten_degrees():
    degrees = np.array([0, 4, 6, 90, 180, 270, 354, 356])
    steps = np.round(1e6 * np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], -1)).astype(np.int64)
    assert direction_bins(steps).tolist() == [1, 1, 2, 10, 19, 28, 36, 1]


def test_later_classes_wipe_earlier_ones_in_a_wider_band():
    rasters = rasterize([line("divider", (-30, 0), (30, 0)), line("boundary", (0, -15), (0, 15))], GRID_60X30)
    row = rasters.semantic[:, 100]
    assert np.flatnonzero(row[3]).tolist() == list(range(197, 204))
    assert np.flatnonzero(row[1] == 0).tolist() == list(range(195, 206))
    assert row[0, [195, 196, 204, 205]].all()
    assert rasters.instance[100, 0] == 1 and rasters.instance[100, 200] == 2


def test_parts_of_a_line_that_leaves_the_grid_share_one_id():
    loop = line("boundary", (-20, 10), (-20, 20), (20, 20), (20, 10))
    rasters = rasterize([loop, line("boundary", (0, -10), (5, -10))], GRID_60X30)
    assert sorted(np.unique(rasters.instance)) == [0, 1, 2]
    assert (rasters.instance[180, [65, 67]] == 1).all() and (rasters.instance[180, [332, 334]] == 1).all()


def test_more_than_255_lines_keep_their_ids():
    lines = [line("divider", (x, -14), (x, 14)) for x in np.linspace(-118, 118, 280)]
    grid = BevGrid((-120, 120), (-15, 15), 0.15)
    ids = rasterize(lines, grid).instance[100]
    assert ids.max() == 280 and len(np.unique(ids)) == 281


def test_nothing_to_draw_is_all_background():
    rasters = rasterize([line("divider", (0, 0), (0.01, 0.01)), line("divider", (40, 0), (50, 0))], GRID_60X30)
    assert rasters.semantic[0].all() and not rasters.instance.any() and not rasters.direction.any()
    assert rasters.semantic.dtype == np.uint8 and rasters.instance.dtype == np.int16
    assert rasterize([], GRID_60X30, with_direction=False).direction is None
