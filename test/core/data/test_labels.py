import numpy as np
import pytest
import shapely
from real_data import NUSCENES, expected_samples, needs_nuscenes, pose_of
from shapely.geometry import LineString, Polygon

from mapkd_core.data.labels import (
    elements_of,
    grid_range,
    local_map,
    map_elements,
    on_grid,
    resample_1m,
    uncut_elements,
)
from mapkd_core.data.nuscenes_map import load_vector_map
from mapkd_core.geometry import apply, flattened, transform_from_yaw
from mapkd_core.grid import GRID_60X30, GRID_240X60
from mapkd_core.types import CLASSES, MapElement
from mapkd_core.vector_map import MapLine, VectorMap


@needs_nuscenes
def test_every_line_equals_the_reference_to_a_millimetre():
    compared = dict.fromkeys(CLASSES, 0)
    for sample in expected_samples():
        elements = map_elements(load_vector_map(NUSCENES, sample["location"]), pose_of(sample), GRID_60X30)
        for label in CLASSES:
            if not sample["complete"][label]:
                continue
            mine = [LineString(e.points_m) for e in elements if e.label == label]
            theirs = [LineString(v["vertices"]) for v in sample["vectors"] if v["type"] == label]
            assert len(mine) == len(theirs), (sample["sample_token"], label)
            compared[label] += len(mine)
            for lines, others in ((mine, theirs), (theirs, mine)):
                for line in lines:
                    assert min(shapely.hausdorff_distance(line, other, densify=0.05) for other in others) < 1e-3
    assert compared == {"divider": 382, "ped_crossing": 146, "boundary": 126}


@needs_nuscenes
def test_resampled_vertices_equal_the_references():
    """The reference's own vertices, rounded to a millimetre; rings that lie inside start anywhere."""
    compared = 0
    for sample in expected_samples():
        elements = map_elements(load_vector_map(NUSCENES, sample["location"]), pose_of(sample), GRID_60X30)
        for label in ("divider", "ped_crossing", "boundary"):
            if not sample["complete"][label]:
                continue
            mine = resample_1m([e for e in elements if e.label == label and not e.closed])
            theirs = [np.array(v["pts"]) for v in sample["vectors"] if v["type"] == label and len(v["pts"]) > 1]
            for element in mine:
                alike = [t for t in theirs if len(t) == len(element.points_m)]
                assert min(np.abs(t - element.points_m).max() for t in alike) < 2e-3
                compared += 1
    assert compared > 550


@needs_nuscenes
def test_completeness_is_known_where_the_map_is_partial():
    for sample in expected_samples():
        vector_map = load_vector_map(NUSCENES, sample["location"])
        known = local_map(vector_map, pose_of(sample), grid_range(GRID_60X30)).known
        assert {label: label in known for label in CLASSES} == sample["complete"]


def square(x: float, y: float, side: float) -> Polygon:
    return shapely.box(x, y, x + side, y + side)


TOWN = VectorMap(
    name="town",
    lines=(MapLine(np.array([[-100, 0], [100, 0.0]])), MapLine(np.array([[0, -9], [0, 9.0]]), layer="stop_line")),
    crossings=(Polygon([(2, -4), (5, -4), (5, 4), (2, 4)]),),
    road_segments=(Polygon([(-100, -8), (100, -8), (100, 8), (-100, 8)], [square(10, 2, 3).exterior.coords]),),
    lanes=(shapely.box(-20, 0, -10, 12),),
)


def test_classes_holes_and_unions_of_an_invented_town():
    elements = map_elements(TOWN, np.eye(4), GRID_60X30)
    assert [e.label for e in elements] == ["divider", "ped_crossing", "ped_crossing"] + ["boundary"] * 3
    divider, *edges = elements[:3]
    np.testing.assert_array_equal(divider.points_m, [[-30, 0], [30, 0]])
    assert sorted(tuple(e.points_m[:, 0]) for e in edges) == [(2, 2), (5, 5)]
    island = next(e for e in elements[3:] if e.closed)
    assert np.abs(island.points_m).max(0).tolist() == [13, 5]
    upper = next(e for e in elements[3:] if not e.closed and e.points_m[:, 1].max() > 0)
    assert upper.points_m[:, 1].max() == 12 and np.abs(upper.points_m[:, 0]).max() == np.float32(29.8)


def test_the_road_lies_on_the_right_of_every_boundary():
    pose = transform_from_yaw(4, 1, 0.7)
    for element in map_elements(TOWN, pose, GRID_60X30):
        if element.label == "boundary":
            start, end = element.points_m[:2].astype(float)
            x, y = (end - start) / np.hypot(*(end - start))
            right = (start + end) / 2 + 0.05 * np.array([y, -x])
            assert TOWN.road_area.contains(shapely.Point(apply(pose, [*right, 0])[:2]))


def test_elements_stand_in_the_flattened_frame_of_any_pose():
    pose = transform_from_yaw(-7, 2, 2.5, z_m=9.0)
    pose[:3, :3] = pose[:3, :3] @ np.array([[0.995, 0, 0.0998], [0, 1, 0], [-0.0998, 0, 0.995]])  # nose down
    divider = map_elements(TOWN, pose, GRID_60X30)[0]
    in_map = apply(flattened(pose), np.c_[divider.points_m, np.zeros(len(divider.points_m))])
    np.testing.assert_allclose(in_map[:, 1], 0, atol=1e-5)


def test_crossings_as_polygons_are_closed_clipped_and_merged():
    doubled = VectorMap("x", crossings=(shapely.box(0, 0, 4, 10), shapely.box(3, 8, 20, 30)))
    (ring,) = map_elements(doubled, np.eye(4), GRID_60X30, crossings="polygon")
    assert ring.closed and ring.label == "ped_crossing"
    expected = shapely.union(shapely.box(0, 0, 4, 10), shapely.box(3, 8, 20, 15))
    assert Polygon(ring.points_m).equals(expected)
    with pytest.raises(ValueError, match=r"'edges'.*'polygon'"):
        map_elements(doubled, np.eye(4), GRID_60X30, crossings="outline")  # type: ignore[arg-type]


def test_two_longest_edges_survive_a_bow_tie():
    """A crossing whose outline crosses itself is drawn wrong in the map, but has its edges (as in HDMapNet)."""
    bow = VectorMap("x", crossings=(Polygon([(0, 0), (6, 0), (0, 2), (6, 2)]),))
    edges = map_elements(bow, np.eye(4), GRID_60X30)
    assert len(edges) == 2 and all(LineString(e.points_m).length >= 6 for e in edges)


def test_a_large_local_map_gives_the_same_elements_as_a_direct_cut():
    pose = transform_from_yaw(3, -2, 0.4)
    large = local_map(TOWN, pose, grid_range(GRID_240X60).shrunk(-12))
    for crossings in ("edges", "polygon"):
        direct = map_elements(TOWN, pose, GRID_60X30, crossings)
        mine = elements_of(large, GRID_60X30, crossings)
        assert [e.label for e in mine] == [e.label for e in direct] and len(direct) > 3
        for element in mine:
            same = [other for other in direct if (other.label, other.closed) == (element.label, element.closed)]
            lines = [LineString(other.points_m) for other in same]
            assert min(shapely.hausdorff_distance(LineString(element.points_m), line) for line in lines) < 1e-4
    assert len(on_grid(uncut_elements(large), GRID_60X30)) == len(map_elements(TOWN, pose, GRID_60X30))


@pytest.mark.parametrize("apart", [False, True])
def test_crossings_of_a_large_local_map_beyond_the_grid_leave_no_trace(apart):
    far = VectorMap("far", crossings=(square(60, 0, 4), square(40, 0, 4)), crossings_apart=apart)
    large = local_map(far, np.eye(4), grid_range(GRID_240X60))
    assert len(large.crossings) == 2 and elements_of(large, GRID_60X30, "polygon") == []
    near = VectorMap("near", crossings=(*far.crossings, square(10, 0, 4)), crossings_apart=apart)
    (direct,) = map_elements(near, np.eye(4), GRID_60X30, "polygon")
    (mine,) = elements_of(local_map(near, np.eye(4), grid_range(GRID_240X60)), GRID_60X30, "polygon")
    np.testing.assert_array_equal(mine.points_m, direct.points_m)


def test_resampling_drops_the_remainder_and_short_lines():
    points = np.array([[0, 0], [0.5, 0], [3.7, 0]], np.float32)
    (line,) = resample_1m([MapElement("divider", points), MapElement("divider", points[:2])])
    np.testing.assert_allclose(line.points_m, [[0, 0], [1, 0], [2, 0], [3, 0]])


def test_unknown_crossings_are_told_from_none():
    known = local_map(VectorMap("x", crossings_known=False), np.eye(4), grid_range(GRID_60X30)).known
    assert known == ("divider", "boundary")


def test_a_partial_map_knows_what_it_is_whole_for():
    squares = {"all": [(0.0, 0.0, 100.0)], "ped_crossing": [(0.0, 0.0, 20.0), (60.0, 0.0, 40.0)]}
    partial = VectorMap("partial", extras={"coverage": squares})
    lines = ("divider", "boundary")
    for x, known in ((0.0, lines), (60.0, CLASSES), (80.0, ()), (300.0, ())):
        assert local_map(partial, transform_from_yaw(x, 0, 0), grid_range(GRID_60X30)).known == known
