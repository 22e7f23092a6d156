"""GeoJSON: nothing is lost, and RFC 7946 is kept."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from street_maps import BERGEN, odd_maps, street

from mapkd_core.map_formats.earth import EarthFrame, at_place
from mapkd_core.map_formats.geojson import read_geojson, write_geojson
from mapkd_core.mapping.street_map import StreetMap
from mapkd_core.schema import FileFault

pytest.importorskip("pyproj")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd_maps())
def test_any_map_comes_back(tmp_path: Path, street_map: StreetMap) -> None:
    report = write_geojson(street_map, tmp_path / "map.geojson")
    read, losses = read_geojson(tmp_path / "map.geojson")
    assert street_map.differences(read, 1e-7) == []
    assert report.lines == losses.lines == []


def test_the_file_is_as_the_rfc_asks(tmp_path: Path) -> None:
    written = street(at_place(*BERGEN, 10.0))
    write_geojson(written, tmp_path / "map.geojson")
    content = json.loads((tmp_path / "map.geojson").read_text())
    assert content["type"] == "FeatureCollection" and "crs" not in content
    kinds = {feature["id"]: feature["geometry"]["type"] for feature in content["features"]}
    assert kinds == {1: "LineString", 2: "LineString", 3: "LineString", 40: "LineString", 5: "Polygon"}
    for feature in content["features"]:
        geometry = feature["geometry"]
        line = geometry["coordinates"][0] if geometry["type"] == "Polygon" else geometry["coordinates"]
        lon, lat, up = np.array(line).T
        assert np.all(np.abs(lon - 5.32) < 0.01) and np.all(np.abs(lat - 60.39) < 0.01) and np.allclose(up, 10.3)
        if geometry["type"] == "Polygon":
            assert line[0] == line[-1]
            assert np.sum((lon[1:] - lon[:-1]) * (lat[1:] + lat[:-1])) < 0  # counter-clockwise


def test_a_map_of_unknown_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this map's is unknown; expected --origin"):
        write_geojson(street(), tmp_path / "map.geojson")


def _collection(*features: dict) -> str:
    return json.dumps({"type": "FeatureCollection", "features": list(features)})


def _feature(geometry: str, coordinates: list, **properties: object) -> dict:
    return {"type": "Feature", "geometry": {"type": geometry, "coordinates": coordinates}, "properties": properties}


def test_features_of_others(tmp_path: Path) -> None:
    path, (lon, lat) = tmp_path / "a.geojson", (10.0, 50.0)
    line, ring = [[lon, lat], [lon + 1e-4, lat]], [[lon, lat], [lon + 1e-4, lat], [lon, lat + 1e-4], [lon, lat]]
    path.write_text(_collection(
        _feature("LineString", line, type="lane_divider", color="yellow", width=0.1),
        _feature("MultiLineString", [line, line], **{"class": "curb"}),
        _feature("Polygon", [ring], layer="crosswalk", score=0.5),
        _feature("LineString", line, type="fence"),
        _feature("Point", line[0], type="lane_divider"),
    ))  # fmt: skip
    read, losses = read_geojson(path)
    assert [e.label for e in read.elements] == ["divider", "boundary", "boundary", "ped_crossing"]
    assert read.elements[0].attributes == {"color": "yellow", "width": "0.1"}
    assert read.elements[3].closed and read.elements[3].score == 0.5
    assert len(losses.lines) == 2
    assert abs(np.linalg.norm(np.diff(read.elements[0].points_m, axis=0)) - 7.16) < 0.01
    mine, _ = read_geojson(path, at_place(50.0, 10.0))
    assert mine.origin is not None
    assert np.abs(mine.elements[0].points_m[0]).max() < 1e-6
    assert np.allclose(EarthFrame(mine.origin).degrees(mine.elements[0].points_m)[:, :2], line, atol=1e-12)


def test_one_feature_or_a_geometry_alone_is_read(tmp_path: Path) -> None:
    lines = [[[10.0, 50.0], [10.001, 50.0]], [[10.0, 50.0001], [10.001, 50.0001]]]
    one = _feature("MultiLineString", lines, type="curb")
    (tmp_path / "one.geojson").write_text(json.dumps(one))
    assert [e.label for e in read_geojson(tmp_path / "one.geojson")[0].elements] == ["boundary", "boundary"]
    (tmp_path / "bare.geojson").write_text(json.dumps(one["geometry"]))
    read, losses = read_geojson(tmp_path / "bare.geojson")
    assert not read.elements and losses.lines, "nothing says of which class it is"
    both = {"type": "GeometryCollection", "geometries": [one["geometry"]] * 2}
    (tmp_path / "some.geojson").write_text(json.dumps(both))
    read, losses = read_geojson(tmp_path / "some.geojson")
    assert not read.elements and losses.lines == ["2 x feature of no type: no element of a street map"]
    (tmp_path / "utm.geojson").write_text(json.dumps({**one, "crs": {"properties": {"name": "EPSG:25832"}}}))
    with pytest.raises(FileFault, match="expected WGS84"):
        read_geojson(tmp_path / "utm.geojson")


def test_collections_in_collections_are_read(tmp_path: Path) -> None:
    lines = [{"type": "LineString", "coordinates": [[10.0, 50.0 + k * 1e-4], [10.001, 50.0]]} for k in range(3)]
    one = {"type": "Feature", "id": 7, "properties": {"type": "curb"}, "geometry": lines[0]}
    several = {**one, "geometry": {"type": "GeometryCollection", "geometries": lines}}
    path = tmp_path / "a.geojson"
    for content, count in (
        ([one], 1), ([one, several], 4), (several, 3),
        ({"features": [{"type": "FeatureCollection", "features": [one, several]}]}, 4),
        ({"features": [one], "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4979"}}}, 1),
    ):  # fmt: skip
        path.write_text(json.dumps(content))
        read, losses = read_geojson(path)
        assert len(read.of("boundary")) == count and losses.lines == []
        assert len({element.id for element in read.elements}) == count
    deep: dict = {"features": [one]}
    for _ in range(60):
        deep = {"features": [deep]}
    path.write_text(json.dumps(deep))
    read, losses = read_geojson(path)
    assert not read.elements and losses.lines, "what lies deeper than anyone nests is told, not followed"


@pytest.mark.parametrize(
    ("first", "then", "indent"), [("", "", None), ("\ufeff", "", None), ("\x1e", "\x1e", None), ("\x1e", "\x1e", 1)]
)
def test_a_sequence_of_features_is_read(tmp_path: Path, first: str, then: str, indent: int | None) -> None:
    """One a line, as tools stream them, or after record separators (RFC 8142), where a feature may fill many lines."""
    lines = [[[10.0, 50.0], [10.001, 50.0]], [[10.0, 50.0001], [10.001, 50.0001]]]
    texts = [json.dumps(_feature("LineString", line, type="curb"), indent=indent) for line in lines]
    path = tmp_path / "sequence.geojsonl"
    path.write_text(f"{first}{texts[0]}\r\n{then}{texts[1]}\r\n")
    assert [e.label for e in read_geojson(path)[0].elements] == ["boundary", "boundary"]
    path.write_text(f"{texts[0]}\n{texts[1]}\nand more")
    with pytest.raises(FileFault, match="not JSON"):
        read_geojson(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[1]]}}', "features.0..*a position"),
        (_collection(_feature("LineString", [[200.0, 1.0], [1.0, 1.0]], type="curb")), r"s\[0\] has the position"),
        (_collection(_feature("LineString", [[1.0], [1.0, 1.0]], type="curb")), "features.0..*a position"),
        (_collection(_feature("LineString", [[1, 1], [1, 2]], type="curb", score=7)), "a number from 0 to 1"),
        ('{"features": [], "crs": {"properties": {"name": "EPSG:25832"}}}', "expected WGS84"),
        ('{"features": [], "mapkd": {"format": "x"}}', "mapkd.format"),
        ("[]", "is not a GeoJSON FeatureCollection"),
    ],
)
def test_a_damaged_file_is_refused_by_name(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(text)
    with pytest.raises(FileFault, match=words) as caught:
        read_geojson(tmp_path / "a.geojson")
    assert str(tmp_path / "a.geojson") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("line", "far"), [([[5, 60], [60, 5]], True), ([[179.9999, 60], [-179.9999, 60]], False)])
def test_a_map_of_two_places_is_refused(tmp_path: Path, line: list, far: bool) -> None:
    path = tmp_path / "map.geojson"
    feature = {"type": "Feature", "properties": {"label": "divider"},
               "geometry": {"type": "LineString", "coordinates": line}}  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    if far:
        with pytest.raises(FileFault, match=r"map\.geojson: a position: .* km from the map's origin"):
            read_geojson(path)
    else:
        (element,) = read_geojson(path)[0].elements
        assert np.ptp(element.points_m[:, 0]) == pytest.approx(11.2, abs=0.2)


def test_very_many_words_are_told_in_few_lines(tmp_path: Path) -> None:
    line = [[10.0, 50.0], [10.001, 50.0]]
    path = tmp_path / "a.geojson"
    path.write_text(_collection(*(_feature("LineString", line, type=f"pole {k}") for k in range(100))))
    _, losses = read_geojson(path)
    assert losses.lines[0] == "1 x feature of type 'pole 0': no element of a street map"
    assert len(losses.lines) == 40 and losses.lines[-1] == "61 x what is of 61 other kinds"
