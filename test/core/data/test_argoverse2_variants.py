"""Vector maps of Argoverse 2 with contents that other logs may have: they are read, or refused in one line."""
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from mapkd_core.data.argoverse2_map import city_of, load_argoverse2_map, map_file
from mapkd_core.data.labels import map_elements
from mapkd_core.grid import GRID_60X30
from mapkd_core.map_formats.formats import map_name
from mapkd_core.schema import FileFault

Content = dict[str, Any]


def line(*points: tuple[float, float]) -> list[dict[str, float]]:
    return [{"x": x, "y": y, "z": 0.0} for x, y in points]


ROAD = [(-60.0, -7.0), (60.0, -7.0), (60.0, 7.0), (-60.0, 7.0)]
HOLE = [(0.0, 7.0), (0.0, 3.0), (2.0, 3.0), (2.0, 1.0), (-2.0, 1.0), (-2.0, 3.0), (0.0, 3.0), (0.0, 7.0)]


def content() -> Content:
    """A straight road along x with a dashed line at y = -4 and a crossing."""
    segment = {
        "is_intersection": False, "lane_type": "VEHICLE", "left_lane_boundary": line((-50, -4), (50, -4)),
        "right_lane_boundary": line((-50, -6.8), (50, -6.8)), "left_lane_mark_type": "DASHED_WHITE",
        "right_lane_mark_type": "NONE", "successors": [],
    }  # fmt: skip
    return {
        "lane_segments": {"1": segment},
        "pedestrian_crossings": {"5": {"edge1": line((5, -6), (5, 6)), "edge2": line((9, -6), (9, 6))}},
        "drivable_areas": {"7": {"area_boundary": line(*ROAD)}},
    }


def area(*points: tuple[float, float]) -> Callable[[Content], None]:
    return lambda c: c.update(drivable_areas={"7": {"area_boundary": line(*points)}})


def lane(**facts: object) -> Callable[[Content], None]:
    return lambda c: c["lane_segments"]["1"].update(facts)


def written(tmp_path: Path, change: Callable[[Content], object]) -> Path:
    made = content()
    change(made)
    tmp_path.mkdir(parents=True, exist_ok=True)
    path = tmp_path / "log_map_archive_x____PIT_city_1.json"
    path.write_text(json.dumps(made))
    load_argoverse2_map.cache_clear()
    return path


READ: dict[str, tuple[Callable[[Content], object], tuple[int, int, int]]] = {
    "as it is": (lambda c: None, (1, 1, 2)),
    "no drivable area": (lambda c: c.update(drivable_areas={}), (1, 1, 0)),
    "no crossing": (lambda c: c.update(pedestrian_crossings={}), (1, 0, 2)),
    "no lane": (lambda c: c.update(lane_segments={}), (0, 1, 2)),
    "nothing": (lambda c: c.update(lane_segments={}, pedestrian_crossings={}, drivable_areas={}), (0, 0, 0)),
    "an area with a hole": (area(*ROAD[:3], *HOLE, ROAD[3]), (1, 1, 3)),
    "an area with a spike": (area(*ROAD[:3], (60, 40), ROAD[2], ROAD[3]), (1, 1, 2)),
    "an area that is closed": (area(*ROAD, ROAD[0]), (1, 1, 2)),
    "an area without width": (area((-60, -7), (60, -7), (0, -7)), (1, 1, 0)),
    "a crossing whose edges are one": (
        lambda c: c["pedestrian_crossings"].update({"6": {"edge1": line((20, -6), (20, 6)),
                                                          "edge2": line((20, -6), (20, 6))}}), (1, 1, 2)),
    "a lane for bicycles": (lane(lane_type="BIKE"), (1, 1, 2)),
    "a lane for buses at an intersection": (lane(lane_type="BUS", is_intersection=True), (1, 1, 2)),
    "no lane type": (lambda c: c["lane_segments"]["1"].pop("lane_type"), (1, 1, 2)),
    "no successors": (lambda c: c["lane_segments"]["1"].pop("successors"), (1, 1, 2)),
    "successors that are null": (lane(successors=None), (1, 1, 2)),
    "successors that are not there": (lane(successors=[77, "x"]), (1, 1, 2)),
    "a height that is null": (lambda c: c["drivable_areas"]["7"]["area_boundary"][0].update(z=None), (1, 1, 2)),
    "a line without length": (lane(left_lane_boundary=line((0, 0), (0, 0))), (0, 1, 2)),
    "other sections": (lambda c: c.update(traffic_lights={"1": {}}), (1, 1, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_other_logs_may_hold_is_read(name: str, tmp_path: Path) -> None:
    """Dividers, crossings, boundaries in view."""
    change, expected = READ[name]
    road_map = load_argoverse2_map(written(tmp_path, change))
    found = Counter(element.label for element in map_elements(road_map, np.eye(4), GRID_60X30, "polygon"))
    assert (found["divider"], found["ped_crossing"], found["boundary"]) == expected
    assert len(road_map.lane_successors) == len(road_map.lane_centres_m)
    assert all(shapely.is_valid(part) and part.area > 0 for part in road_map.road_segments)


REFUSED: dict[str, tuple[Callable[[Content], object], str]] = {
    "no marks": (lambda c: c["lane_segments"]["1"].pop("left_lane_mark_type"), "left_lane_mark_type"),
    "marks that are null": (lane(left_lane_mark_type=None), "left_lane_mark_type is null"),
    "successors that are a number": (lane(successors=3), "successors is 3"),
    "a line of one point": (lane(left_lane_boundary=line((0, 0))), "left_lane_boundary is a list of 1"),
    "a crossing of another form": (
        lambda c: c["pedestrian_crossings"].update({"6": {"polygon": []}}), "expected the key 'edge1'"),
    "a list of lanes": (lambda c: c.update(lane_segments=[]), r"lane_segments is \[\]; expected an object"),
    "a section that lacks": (lambda c: c.pop("drivable_areas"), "expected the key 'drivable_areas'"),
    "no number": (lambda c: c["drivable_areas"]["7"]["area_boundary"][0].update(x=float("nan")), "x is nan"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    change, words = REFUSED[name]
    path = written(tmp_path, change)
    with pytest.raises(FileFault, match=words) as caught:
        load_argoverse2_map(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "city"),
    [("log_map_archive_ab-c____MIA_city_31.json", "MIA"), ("log_map_archive_ab____PAO_ALTO_city_1.json", "PAO_ALTO"),
     ("log_map_archive_ab.json", "")],
)  # fmt: skip
def test_cities(name: str, city: str) -> None:
    assert city_of(Path(name)) == city
    assert map_name(name).format == "argoverse2"


def test_the_map_of_a_folder_of_logs_is_that_of_one_of_them(tmp_path: Path) -> None:
    written((log := tmp_path / "logs" / "a" / "map"), lambda c: None)
    assert map_file(log.parent).parent == log
    with pytest.raises(FileNotFoundError, match="its folders a have one: name one of them"):
        map_file(tmp_path / "logs")
