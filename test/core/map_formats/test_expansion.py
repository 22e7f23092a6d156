"""nuScenes' map expansion of a street map, and street maps of road maps."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from real_data import NUSCENES, needs_nuscenes
from street_maps import bent, element, street

from mapkd_core.data.labels import map_elements
from mapkd_core.data.nuscenes_map import load_vector_map
from mapkd_core.data.sd_map import ORIGINS, degrees_from_metres
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import GRID_60X30
from mapkd_core.map_formats.expansion import read_nuscenes, write_nuscenes
from mapkd_core.map_formats.vector_maps import street_map_of, vector_map_of
from mapkd_core.mapping.street_map import StreetMap

CITY = "boston-seaport"


def test_dividers_crossings_and_the_edge_of_the_lanes_come_back(tmp_path: Path) -> None:
    report = write_nuscenes(street(), tmp_path, CITY)
    read, _ = read_nuscenes(tmp_path, CITY)
    moved = np.array([25.0, 24.0, 0.0])
    assert any("moved by 25.000, 24.000 m" in line for line in report.lines)
    dividers = [e.points_m - moved for e in read.of("divider")]
    assert [len(line) for line in dividers] == [7, 7]
    assert np.allclose(dividers[1], bent(0) * [1, 1, 0])
    assert [e.attributes["paint"] for e in read.of("divider")] == ["dashed", "solid"]
    assert np.allclose(read.of("ped_crossing")[0].points_m - moved, street().elements[4].points_m * [1, 1, 0])
    (edge,) = read.of("boundary")
    assert edge.closed
    low, high = edge.points_m.min(0) - moved, edge.points_m.max(0) - moved
    assert np.allclose(low[:2], [0, -3.5], atol=0.2) and abs(high[0] - 60) < 0.3


def test_closed_boundaries_are_areas_with_islands(tmp_path: Path) -> None:
    square = np.array([[0.0, 0, 0], [0, 40, 0], [40, 40, 0], [40, 0, 0], [0, 0, 0]]) + 30
    island = square * 0.25 + 35
    write_nuscenes(StreetMap((element(1, "boundary", square), element(2, "boundary", island))), tmp_path, CITY)
    area = load_vector_map(tmp_path, CITY).road_area
    assert abs(area.area - (1600 - 100)) < 1.0


def test_a_map_that_is_there_stays(tmp_path: Path) -> None:
    write_nuscenes(street(), tmp_path, CITY)
    with pytest.raises(ValueError, match="is there already"):
        write_nuscenes(street(), tmp_path, CITY)
    with pytest.raises(ValueError, match="not one that the devkit opens"):
        write_nuscenes(street(), tmp_path, "munich")


@needs_nuscenes
def test_labels_of_a_real_map_are_the_same_through_a_street_map() -> None:
    road_map = load_vector_map(NUSCENES, CITY)
    street_map, _ = street_map_of(road_map)
    through = vector_map_of(street_map)
    middle = np.median(np.concatenate([e.points_m for e in street_map.of("divider")]), axis=0)
    pose = transform_from_yaw(middle[0], middle[1], 0.7)
    for crossings in ("edges", "polygon"):
        ours, theirs = (map_elements(one, pose, GRID_60X30, crossings) for one in (through, road_map))
        assert len(ours) == len(theirs) > 2
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.label == other.label
            assert np.allclose(mine.points_m, other.points_m, atol=1e-4)


@needs_nuscenes
def test_the_middle_of_a_real_map_lies_where_nuscenes_has_it() -> None:
    pytest.importorskip("pyproj")
    from mapkd_core.map_formats.earth import EarthFrame

    street_map, _ = read_nuscenes(NUSCENES, CITY)
    low, high = np.array(street_map.bounds_m[:2]), np.array(street_map.bounds_m[2:])
    middle = (low + high) / 2
    assert street_map.origin is not None
    found = EarthFrame(street_map.origin).degrees([[*middle, 0.0]])[0]
    assert np.abs(found[:2] - degrees_from_metres(middle, ORIGINS[CITY])).max() < 1e-8
