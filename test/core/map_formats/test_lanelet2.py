"""Lanelet2 files: nothing of a map is lost, lanes come out right, and lanelet2 agrees."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest
from full_disk import files_of_at_most
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from street_maps import BERGEN, driven, odd_maps, street, two_blocks

from mapkd_core.map_formats import lanelet2_checks
from mapkd_core.map_formats.earth import at_place
from mapkd_core.map_formats.lanelet2_checks import CHECKS, check_lanelet2
from mapkd_core.map_formats.lanelet2_read import read_lanelet2
from mapkd_core.map_formats.lanelet2_write import Lanelet2Options, write_lanelet2
from mapkd_core.mapping.street_map import MapOrigin, StreetMap
from mapkd_core.schema import FileFault

pytest.importorskip("lanelet2")
PLACES = [None, at_place(*BERGEN, 50.0), at_place(-33.9, 18.4), MapOrigin(42.3, -71.0, 2.0)]


def problems(path: Path, autoware: bool = False) -> list[str]:
    return [str(problem) for problem in check_lanelet2(path, autoware)]


def loaded(path: Path, origin: MapOrigin):
    import lanelet2.io
    import lanelet2.projection

    return lanelet2.io.load(
        str(path), lanelet2.projection.UtmProjector(lanelet2.io.Origin(origin.latitude_deg, origin.longitude_deg))
    )


def graph(lanelet_map):
    import lanelet2.routing
    import lanelet2.traffic_rules as rules

    return lanelet2.routing.RoutingGraph(
        lanelet_map, rules.create(rules.Locations.Germany, rules.Participants.Vehicle)
    )


@pytest.mark.parametrize("origin", PLACES, ids=str)
def test_a_street_comes_back_and_is_sound(origin: MapOrigin | None, tmp_path: Path) -> None:
    written = street(origin)
    report = write_lanelet2(written, tmp_path / "map.osm")
    read, losses = read_lanelet2(tmp_path / "map.osm")
    assert written.differences(read, 1e-6) == []
    assert losses.lines == []
    assert len(report.lines) == (origin is None)
    assert problems(tmp_path / "map.osm") == []


def test_lanelet2_places_it_in_metres_of_the_origin(tmp_path: Path) -> None:
    origin = at_place(*BERGEN)
    write_lanelet2(street(origin), tmp_path / "map.osm")
    points = np.array([(p.x, p.y) for p in loaded(tmp_path / "map.osm", origin).pointLayer])
    for one in street().elements:
        assert np.linalg.norm(one.points_m[:, None, :2] - points, axis=-1).min(1).max() < 1e-5
    assert at_place(*BERGEN).utm_epsg == 32632


def test_lanes_have_neighbors_and_followers(tmp_path: Path) -> None:
    """The middle line is solid, the left one dashed: three lanes from x = 10 to 45, of which two go one way."""
    origin = at_place(*BERGEN)
    write_lanelet2(driven(street(origin), [(0.0, 1.7), (60.0, 2.5)]), tmp_path / "map.osm")
    lanelet_map = loaded(tmp_path / "map.osm", origin)
    routes = graph(lanelet_map)
    roads = [one for one in lanelet_map.laneletLayer if one.attributes["subtype"] == "road"]
    assert len(roads) == 5
    followed = [(one, after) for one in roads for after in routes.following(one)]
    assert len(followed) == 2
    for one, after in followed:
        assert one.centerline[0].x < one.centerline[-1].x <= after.centerline[0].x + 0.2  # forward, as it was driven
    lefts = [other for one in roads for other in (*routes.lefts(one), *routes.adjacentLefts(one))]
    assert len(lefts) == 1  # across the solid line: driven lane beside the right one; the left lane comes towards us
    assert len([other for one in roads for other in routes.lefts(one)]) == 0


def test_a_dashed_line_may_be_crossed(tmp_path: Path) -> None:
    origin = at_place(*BERGEN)
    whole = street(origin)
    one_way = replace(whole, elements=tuple(e for e in whole.elements if e.id in (1, 2, 3)))
    lanes = [replace(e, label="divider") if e.id == 1 else e for e in one_way.elements]
    lanes = [replace(e, label="boundary") if e.id == 3 else e for e in lanes]
    written = driven(replace(one_way, elements=tuple(lanes)), [(0.0, 1.7), (60.0, 2.5)])
    write_lanelet2(written, tmp_path / "map.osm")
    routes = graph(lanelet_map := loaded(tmp_path / "map.osm", origin))
    assert [len(routes.lefts(one)) for one in lanelet_map.laneletLayer].count(1) == 1


def test_lines_that_go_on_in_another_element_share_their_ends(tmp_path: Path) -> None:
    write_lanelet2(two_blocks(), tmp_path / "map.osm")
    lanelet_map = loaded(tmp_path / "map.osm", two_blocks().origin)
    routes = graph(lanelet_map)
    assert sum(len(routes.following(one)) for one in lanelet_map.laneletLayer) == 2
    assert problems(tmp_path / "map.osm") == []


@pytest.mark.parametrize("traffic", ["right", "left"])
def test_without_a_path_traffic_keeps_to_its_side(traffic: str, tmp_path: Path) -> None:
    write_lanelet2(two_blocks(), tmp_path / "map.osm", Lanelet2Options(traffic=traffic))
    for one in loaded(tmp_path / "map.osm", two_blocks().origin).laneletLayer:
        forward = one.centerline[-1].x > one.centerline[0].x
        is_right = one.centerline[0].y - one.centerline[0].x ** 2 / 3000 < 0
        assert forward == (is_right == (traffic == "right"))


def test_autoware_finds_its_frame(tmp_path: Path) -> None:
    origin = at_place(35.6762, 139.6503, 3.0)
    write_lanelet2(street(origin), tmp_path / "map.osm", Lanelet2Options(projector="mgrs", autoware_rules=True))
    info = (tmp_path / "map_projector_info.yaml").read_text()
    assert "projector_type: MGRS" in info and "mgrs_grid: 54SUE" in info
    assert problems(tmp_path / "map.osm", autoware=True) == []
    assert any(line.startswith("lanelet2.opens") for line in problems(tmp_path / "map.osm"))  # plain lanelet2 cannot
    read, _ = read_lanelet2(tmp_path / "map.osm")
    assert street(origin).differences(read, 1e-6) == []
    (tmp_path / "map.osm").write_text(
        (tmp_path / "map.osm").read_text().replace('generator="mapkd"', "").replace("mapkd:", "x:")
    )
    read, _ = read_lanelet2(tmp_path / "map.osm")  # as if Autoware's tools had written it
    assert read.origin is not None and read.origin.utm_epsg == 32654
    assert len(read.elements) >= len(street().elements)


def test_a_map_of_another_place_is_not_overwritten(tmp_path: Path) -> None:
    write_lanelet2(street(at_place(*BERGEN)), tmp_path / "a.osm")
    with pytest.raises(ValueError, match="belongs to another map; write this one to a folder of its own"):
        write_lanelet2(street(at_place(48.0, 8.0)), tmp_path / "b.osm")
    assert not (tmp_path / "b.osm").exists()


@pytest.mark.parametrize("room", [0, 2000])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, room: int) -> None:
    with files_of_at_most(room), pytest.raises((OSError, ValueError), match=r"space|too large"):
        write_lanelet2(street(), tmp_path / "map.osm")
    assert list(tmp_path.iterdir()) == []


def test_a_map_of_two_places_is_refused(tmp_path: Path) -> None:
    nodes = [(60, 5), (60.001, 5), (5, 60), (5.001, 60)]
    text = "".join(f'<node id="{k}" lat="{lat}" lon="{lon}"/>' for k, (lat, lon) in enumerate(nodes, 1))
    (tmp_path / "map.osm").write_text(f"<osm>{text}</osm>")
    with pytest.raises(FileFault, match=r"map\.osm: a node: .* km from the map's origin"):
        read_lanelet2(tmp_path / "map.osm")


def test_autowares_local_map_is_read_by_local_x(tmp_path: Path) -> None:
    path = tmp_path / "map.osm"
    write_lanelet2(street(), path)
    import re

    text = re.sub(r' lat="[^"]*" lon="[^"]*"', ' lat="" lon=""', path.read_text())
    path.write_text(re.sub(r"<MetaInfo[^>]*>", "", text))
    read, _ = read_lanelet2(path)
    assert read.origin is None
    assert replace(street(), metadata={}).differences(read, 1e-9) == []
    assert any("no latitude and longitude" in line for line in problems(path))


def test_moved_in_an_editor_means_moved(tmp_path: Path) -> None:
    path = tmp_path / "map.osm"
    write_lanelet2(street(at_place(*BERGEN)), path)
    lines = path.read_text().splitlines(keepends=True)
    at = next(k for k, line in enumerate(lines) if "<node" in line)
    lines[at] = lines[at].replace('lat="60.39', 'lat="60.38')
    path.write_text("".join(lines))
    read, losses = read_lanelet2(path)
    assert losses.lines == [
        "1 x node whose local_x and local_y are out of date: its latitude and longitude count"
    ]
    assert abs(min(e.points_m[:, 1].min() for e in read.elements) + 1113) < 20
    assert any(line.startswith("file.positions") for line in problems(path))


BROKEN = {
    "file.ids": lambda t: t.replace('<relation id="', '<relation id="1" old="', 1),
    "file.unreadable": lambda t: t.replace("</osm>", '<node id="1" lat="1" lon="1"/></osm>'),
    "file.lines": lambda t: t.replace('<tag k="type" v="curbstone" />', "").replace('k="type" v="curbstone"', 'k="x"'),
    "lanelet2.bounds": lambda t: t.replace('role="left"', 'role="gone"', 1),
    "lanelet2.sides": lambda t: t,
    "autoware.road": lambda t: t.replace('k="one_way" v="yes"', 'k="one_way" v="no"', 1),
    "autoware.crosswalk": lambda t: t.replace('k="participant:pedestrian" v="yes"', 'k="a" v="b"', 1),
    "autoware.lane_change": lambda t: t.replace('k="lane_change"', 'k="changes"'),
    "lanelet2.passable": lambda t: t.replace('k="subtype" v="road"', 'k="subtype" v="walkway"'),
}


@pytest.mark.parametrize("check", [name for name in BROKEN if name not in ("lanelet2.sides", "lanelet2.passable")])
def test_checks_find_what_they_are_named_after(check: str, tmp_path: Path) -> None:
    path = tmp_path / "map.osm"
    write_lanelet2(driven(street(at_place(*BERGEN)), [(0.0, 1.7), (60.0, 2.5)]), path)
    path.write_text(BROKEN[check](path.read_text()))
    found = {problem.check for problem in check_lanelet2(path)}
    assert check in found
    assert found <= CHECKS.keys()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd_maps(with_origin=False), st.sampled_from(["frame", "mgrs"]), st.sampled_from(["right", "left"]))
def test_any_map_comes_back(
    tmp_path: Path, street_map: StreetMap, projector: Literal["frame", "mgrs"], traffic: Literal["right", "left"]
) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    has_zone = street_map.origin is not None and street_map.origin.utm_epsg is not None
    options = Lanelet2Options(projector if has_zone else "frame", traffic)
    write_lanelet2(street_map, tmp_path / "map.osm", options)
    read, losses = read_lanelet2(tmp_path / "map.osm")
    assert street_map.differences(read, 2e-6) == []
    assert losses.lines == []
    opened = [line for line in problems(tmp_path / "map.osm") if line.startswith(("lanelet2.opens", "lanelet2.keeps"))]
    assert opened == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<osm><node id='1' lat='1' lon='2'/><way id='3'><nd ref='2'/></way></osm>", "way 3 has the node 2"),
        ("<osm><node id='1' lat='x' lon='2'/></osm>", "node 1: lat is 'x'"),
        ("<osm><node id='1' lat='91' lon='2'/></osm>", "lat 91, lon 2; expected degrees"),
        ("<osm><node id='1'/></osm>", "neither lat and lon nor local_x"),
        ("<osm><node id='1' lat='1' lon='2'/><node id='1' lat='1' lon='2'/></osm>", "node 1 comes twice"),
        ("<!DOCTYPE osm [<!ENTITY a 'b'>]><osm/>", "declares a document type"),
        ("<osm>", "is not a Lanelet2 map"),
        ("<xml/>", "its root is <'xml'>"),
    ],
)
def test_a_damaged_file_is_refused_by_name(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "map.osm").write_text(text)
    with pytest.raises(FileFault, match=words) as caught:
        read_lanelet2(tmp_path / "map.osm")
    assert str(tmp_path / "map.osm") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_bounds_are_turned_so_that_the_left_one_is_on_the_left(turned: tuple[bool, bool], tmp_path: Path) -> None:
    """Its bounds are those of the way that it is driven, however the two lines are drawn."""
    nodes = {1: (0.0, 3.0), 2: (20.0, 3.0), 3: (0.0, 0.0), 4: (20.0, 0.0)}
    lines = [line[::-1] if back else line for line, back in zip(((1, 2), (3, 4)), turned, strict=True)]
    file = SimpleNamespace(ways={10 + k: SimpleNamespace(nodes=line) for k, line in enumerate(lines)})
    places = {key: np.array([*place, 0.0]) for key, place in nodes.items()}
    relation = SimpleNamespace(tags={"subtype": "road"})
    found = lanelet2_checks._lanelet(file, 5, relation, (10, 11), places)  # type: ignore[arg-type]
    assert (found.left, found.right) == ((1, 2), (3, 4)) and found.points_m[0].tolist() == [[0, 3], [20, 3]]
    other = lanelet2_checks._lanelet(file, 5, relation, (11, 10), places)  # type: ignore[arg-type]
    assert (other.left, other.right) == ((4, 3), (2, 1))
