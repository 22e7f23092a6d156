"""Maps as other tools write them: what they hold is read, and what is left out is told."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.map_formats.earth import EarthFrame, at_place, mgrs_corner
from mapkd_core.map_formats.geojson import read_geojson
from mapkd_core.map_formats.lanelet2_read import read_lanelet2
from mapkd_core.schema import FileFault

pytest.importorskip("pyproj")

JOSM = """<?xml version='1.0' encoding='UTF-8'?>
<osm version='0.6' generator='JOSM' upload='never'><bounds minlat='48' minlon='8' maxlat='49' maxlon='9'/>
{nodes}
<node id='-90' action='delete' lat='x' lon=''/>
<way id='-20' action='modify'><nd ref='-1'/><nd ref='-2'/><tag k='type' v='line_thin'/>
<tag k='subtype' v='dashed'/></way>
<way id='-21'><nd ref='-3'/><nd ref='-4'/><tag k='type' v='curbstone'/></way>
<way id='-22' action='delete'><nd ref='-90'/><nd ref='-1'/><tag k='type' v='line_thin'/></way>
<way id='-23'><nd ref='-5'/><nd ref='-6'/><tag k='type' v='pedestrian_marking'/></way>
<way id='-24'><nd ref='-7'/><nd ref='-8'/><tag k='type' v='pedestrian_marking'/></way>
<relation id='-30' action='delete'><member type='way' ref='-20' role='left'/></relation>
<relation id='-31'><member type='way' ref='-20' role='left'/><member type='way' ref='-21' role='right'/>
<tag k='type' v='lanelet'/><tag k='subtype' v='road'/></relation>
<relation id='-32'><member type='way' ref='-23' role='left'/><member type='way' ref='{right}' role='right'/>{more}
<tag k='type' v='lanelet'/><tag k='subtype' v='crosswalk'/></relation></osm>"""
NODES = "".join(
    f"<node id='-{k}' lat='{48.5 + y * 1e-5}' lon='{8.5 + x * 1e-5}'/>"
    for k, (x, y) in enumerate([(0, 0), (90, 0), (0, 5), (90, 5), (20, 0), (20, 5), (24, 0), (24, 5)], 1)
)


def josm(path: Path, right: int = -24, more: str = "") -> Path:
    """A file as JOSM saves it: negative ids, deleted objects, no local_x and local_y."""
    path.write_text(JOSM.format(nodes=NODES, right=right, more=more))
    return path


def test_a_file_that_josm_saved(tmp_path: Path) -> None:
    read, losses = read_lanelet2(josm(tmp_path / "a.osm"))
    assert [e.label for e in read.elements] == ["ped_crossing", "divider", "boundary"]
    crossing, divider, _ = read.elements
    assert crossing.closed and len(crossing.points_m) == 5 and divider.attributes["paint"] == "dashed"
    assert np.ptp(divider.points_m[:, 0]) == pytest.approx(66.5, abs=0.2) and read.origin is not None
    assert losses.lines == ["1 x lanelet of subtype 'road': lines are kept, not what they make"]


@pytest.mark.parametrize(
    ("right", "more"), [(-77, ""), (-22, ""), (-24, "<member type='way' ref='-21' role='left'/>")],
    ids=["not downloaded", "deleted", "split"],
)  # fmt: skip
def test_a_crosswalk_without_one_line_a_side_is_told(right: int, more: str, tmp_path: Path) -> None:
    """Its lines remain, as what their tags say."""
    read, losses = read_lanelet2(josm(tmp_path / "a.osm", right, more))
    assert "1 x crosswalk whose sides are not one line each in this file: left out" in losses.lines
    assert [e.closed for e in read.of("ped_crossing")] == [False, False]


AUTOWARE_X_M, AUTOWARE_Y_M = 89571.25, 42301.5
"""Of the map below in the square 54SUE, which is where Autoware's vehicles are too."""


def autoware(path: Path, local: bool = True, info: str = "") -> Path:
    """A map of Autoware's tools: metres of an MGRS square beside degrees, a crosswalk with the bars of its zebra."""
    frame = mgrs_corner("54SUE")
    lines = {
        1: ("line_thin", [(0, 0), (40, 0)]), 2: ("road_border", [(0, 4), (40, 4)]),
        3: ("pedestrian_marking", [(10, 0), (10, 4)]), 4: ("pedestrian_marking", [(14, 0), (14, 4)]),
        5: ("pedestrian_marking", [(10.2, 1), (13.8, 1), (13.8, 1.5), (10.2, 1.5), (10.2, 1)]),
        6: ("pedestrian_marking", [(30, 1), (34, 1), (34, 1.5), (30, 1.5), (30, 1)]),
    }  # fmt: skip
    nodes, ways = [], []
    for key, (kind, line) in lines.items():
        points = np.array([(AUTOWARE_X_M + x, AUTOWARE_Y_M + y, 3.0) for x, y in line])
        for k, ((lon, lat, _), (x, y, z)) in enumerate(zip(EarthFrame(frame).degrees(points), points, strict=True)):
            tags = f"<tag k='ele' v='{z if key != 2 else ''}'/>"
            tags += f"<tag k='local_x' v='{x}'/><tag k='local_y' v='{y if (key, k) != (2, 0) else ''}'/>" * local
            nodes.append(f"<node id='{key}{k}' lat='{lat:.11f}' lon='{lon:.11f}'>{tags}</node>")
        refs = "".join(f"<nd ref='{key}{k}'/>" for k in range(len(line)))
        ways.append(f"<way id='{key}'>{refs}<tag k='type' v='{kind}'/></way>")
    walk = ("<relation id='9'><member type='way' ref='3' role='left'/><member type='way' ref='4' role='right'/>"
            "<tag k='type' v='lanelet'/><tag k='subtype' v='crosswalk'/></relation>")  # fmt: skip
    path.write_text(f"<osm>{''.join(nodes + ways)}{walk}</osm>")
    if info:
        path.with_name("map_projector_info.yaml").write_text(info)
    return path


@pytest.mark.parametrize(
    ("local", "info", "told"),
    [
        (True, "", "local_x or local_y without the other"),
        (False, "projector_type: MGRS\nmgrs_grid: 54SUE\n", ""),
        (True, "projector_type: MGRS\nmgrs_grid: 54SUE\n", "local_x or local_y without the other"),
        (True, "projector_type: MGRS\nmgrs_grid: 32UMV\n", "the map does not lie there but in 54SUE"),
        (True, "projector_type: MGRS\n", None),
    ],
    ids=["no file beside it", "degrees alone", "both", "a square elsewhere", "no square"],
)
def test_a_map_of_autoware_is_in_the_metres_of_its_vehicles(
    local: bool, info: str, told: str | None, tmp_path: Path
) -> None:
    path = autoware(tmp_path / "a.osm", local, info)
    if told is None:
        with pytest.raises(FileFault, match="mgrs_grid"):
            read_lanelet2(path)
        return
    read, losses = read_lanelet2(path)
    (line,) = read.of("divider")
    assert np.allclose(line.points_m, [[AUTOWARE_X_M + x, AUTOWARE_Y_M, 3.0] for x in (0, 40)], atol=1e-4)
    assert read.of("boundary")[0].points_m[:, 2].tolist() == [0, 0], "an empty elevation is none"
    assert read.origin is not None and read.origin.utm_epsg == 32654
    assert any(told in text for text in losses.lines) or not told
    again, _ = read_lanelet2(path, at_place(35.676, 139.65))
    assert np.abs(again.elements[0].points_m[:, :2]).max() < 20_000, "another origin was asked for"


def test_bars_of_a_zebra_are_no_crossings(tmp_path: Path) -> None:
    read, losses = read_lanelet2(autoware(tmp_path / "a.osm"))
    (crossing,) = read.of("ped_crossing")
    assert np.ptp(crossing.points_m[:, 0]) == pytest.approx(4, abs=1e-3)
    assert "1 x line on a crosswalk: part of that crossing" in losses.lines
    assert "1 x bar of a zebra without a lanelet: no crossing by itself, left out" in losses.lines


def test_paint_of_a_crossing_whose_vertices_lie_on_each_other_is_passed_by(tmp_path: Path) -> None:
    nodes = "".join(f"<node id='{key}' lat='49.0' lon='{lon}'/>" for key, lon in ((1, 8.4), (2, 8.4), (3, 8.401)))
    ways = "".join(
        f"<way id='{key}'><nd ref='1'/><nd ref='{to}'/><tag k='type' v='{kind}'/></way>"
        for key, to, kind in ((4, 2, "pedestrian_marking"), (5, 3, "line_thin"))
    )
    (tmp_path / "a.osm").write_text(f"<osm>{nodes}{ways}</osm>")
    read, _ = read_lanelet2(tmp_path / "a.osm")
    assert len(read.of("divider")) == 1


def _geojson(path: Path, *features: tuple[str, list, dict]) -> Path:
    content = [{"type": "Feature", "geometry": {"type": kind, "coordinates": where}, "properties": properties}
               for kind, where, properties in features]  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": content}))
    return path


@pytest.mark.parametrize(
    "word",
    ["Lane Divider", "lane-divider", " LANE_DIVIDER ", "LaneDivider", "LaneMarking", "lane_markings", "Dividers"],
)
def test_words_are_known_however_they_are_spelt(word: str, tmp_path: Path) -> None:
    line = [[8.0, 50.0, 3.0, 17.5], [8.001, 50.0, 4.0, 18.5]]  # a height and a measure
    read, losses = read_geojson(_geojson(tmp_path / "a.geojson", ("LineString", line, {"type": word})))
    assert [e.label for e in read.elements] == ["divider"] and losses.lines == []
    assert np.ptp(read.elements[0].points_m[:, 2]) == pytest.approx(1.0, abs=1e-6)


def test_layers_named_by_many_are_known(tmp_path: Path) -> None:
    ring = [[8.0, 50.0], [8.0001, 50.0], [8.0001, 50.0001], [8.0, 50.0]]
    words = ("road_boundaries", "Crosswalks", "curbs", "fences")
    path = _geojson(tmp_path / "a.geojson", *(("Polygon", [ring], {"layer": word}) for word in words))
    read, losses = read_geojson(path)
    assert [e.label for e in read.elements] == ["boundary", "ped_crossing", "boundary"] and len(losses.lines) == 1


def test_an_area_that_is_not_closed_is_closed_and_told(tmp_path: Path) -> None:
    ring = [[8.0, 50.0], [8.0001, 50.0], [8.0001, 50.0001], [8.0, 50.0001]]
    path = _geojson(tmp_path / "a.geojson", ("Polygon", [ring], {"label": "crosswalk"}))
    (crossing,), losses = (lambda found: (found[0].elements, found[1]))(read_geojson(path))
    assert crossing.closed and len(crossing.points_m) == 5
    assert losses.lines == ["1 x outline of an area that is open, against RFC 7946: closed"]


def test_a_drivable_area_is_its_outlines(tmp_path: Path) -> None:
    def ring(half: float) -> list:
        return [[8 + x * half, 50 + y * half] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]

    path = _geojson(tmp_path / "a.geojson", ("MultiPolygon", [[ring(1e-3), ring(1e-4)]], {"layer": "drivable_area"}))
    read, _ = read_geojson(path)
    assert [(e.label, e.closed) for e in read.elements] == [("boundary", True)] * 2
