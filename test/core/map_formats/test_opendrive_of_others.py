"""OpenDRIVE as other tools write it: where its lines are, what of it is no line, and where on Earth it lies."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Polygon

from mapkd_core.map_formats.earth import EarthFrame
from mapkd_core.map_formats.lanelet2_checks import check_lanelet2
from mapkd_core.map_formats.lanelet2_write import write_lanelet2
from mapkd_core.map_formats.opendrive_read import read_opendrive

pytest.importorskip("pyproj")

ROAD = """<?xml version="1.0"?>
<OpenDRIVE{space}><header revMajor="1" revMinor="{minor}">{header}</header>
<road id="1" length="40" junction="-1">
<planView><geometry s="0" x="0" y="0" hdg="0" length="40"><line/></geometry></planView>
<lanes><laneSection s="0">
<left><lane id="1" type="{kind}"><width sOffset="0" a="3" b="0" c="0" d="0"/></lane></left>
<center><lane id="0" type="none">{marks}</lane></center>
<right><lane id="-1" type="driving"><width sOffset="0" a="3" b="0" c="0" d="0"/></lane></right>
</laneSection></lanes><objects>{crosswalk}</objects></road></OpenDRIVE>"""


def road(path: Path, **parts: str) -> Path:
    """A file of 40 m of road with two lanes."""
    known = {"space": "", "minor": "4", "header": "", "kind": "driving", "marks": "", "crosswalk": ""}
    path.write_text(ROAD.format(**(known | parts)))
    return path


@pytest.mark.parametrize("minor", ["4", "6", "8"])
def test_a_namespace_hides_nothing(minor: str, tmp_path: Path) -> None:
    read, losses = read_opendrive(road(tmp_path / "a.xodr", space=' xmlns="http://www.opendrive.org"', minor=minor))
    assert [e.label for e in read.elements] == ["divider", "boundary"] and losses.lines == []


def test_paint_that_changes_along_a_lane(tmp_path: Path) -> None:
    marks = "".join(
        f'<roadMark sOffset="{s}" type="{kind}" color="standard"/>'
        for s, kind in ((25, "broken"), (0, "solid"), (10, "solid"))
    )
    read, _ = read_opendrive(road(tmp_path / "a.xodr", marks=marks))
    found = [(e.attributes["paint"], *e.points_m[[0, -1], 0].round(6).tolist()) for e in read.of("divider")]
    assert found == [("solid", 0.0, 25.0), ("dashed", 25.0, 40.0)]


def test_borders_of_a_junction_are_lines_where_they_are_painted(tmp_path: Path) -> None:
    path = road(tmp_path / "a.xodr")
    path.write_text(path.read_text().replace('junction="-1"', 'junction="7"'))
    read, losses = read_opendrive(path)
    assert not read.of("divider") and len(read.of("boundary")) == 1
    assert losses.lines == ["1 x border between lanes of a junction, without paint: no line there"]
    marked = path.read_text().replace('type="none"></lane>', 'type="none"><roadMark sOffset="0" type="solid"/></lane>')
    path.write_text(marked)
    assert len(read_opendrive(path)[0].of("divider")) == 1


LANE = '<lane id="{}" type="driving">{}<roadMark sOffset="0" type="{}"/></lane>'
WIDTH = '<width sOffset="{}" a="{}" b="{}" c="0" d="0"/>'


def lanes(path: Path, sections: str, offsets: str = "", profile: str = "", plan: str = "<line/>") -> Path:
    """A file of 40 m of road along x with these sections of lanes."""
    path.write_text(
        f'<OpenDRIVE><header revMajor="1" revMinor="4"/><road id="1" length="40" junction="-1"><planView><geometry '
        f's="0" x="0" y="0" hdg="0" length="40">{plan}</geometry></planView>{profile}<lanes>{offsets}{sections}</lanes>'
        "</road></OpenDRIVE>"
    )
    return path


def side(name: str, *found: str) -> str:
    return f"<{name}>{''.join(found)}</{name}>"


MIDDLE = side("center", '<lane id="0" type="none"><roadMark sOffset="0" type="solid"/></lane>')
WIDE = WIDTH.format(0, 3, 0)


def test_a_lane_without_width_has_one_line(tmp_path: Path) -> None:
    """A turning lane that opens from the middle to the left of the road, and one that ends at the road's edge."""
    opens, ends = WIDTH.format(0, 0, 0.1), WIDTH.format(0, 3, -0.075)
    left = side("left", LANE.format(1, opens, "none"), LANE.format(2, WIDE, "none"))
    right = side("right", LANE.format(-1, WIDE, "broken"), LANE.format(-2, ends, "none"))
    path = lanes(tmp_path / "a.xodr", f'<laneSection s="0">{left}{MIDDLE}{right}</laneSection>')
    found = {line.attributes["paint"]: line.points_m[[0, -1], 0] for line in read_opendrive(path)[0].of("divider")}
    assert found.keys() == {"solid", "none", "dashed"}
    for paint, span in (("solid", (0, 40)), ("none", (3, 40)), ("dashed", (0, 36))):  # 0.3 m wide at 3 and 36 m
        assert found[paint] == pytest.approx(span, abs=1.0), paint


def test_sections_of_one_side_alone(tmp_path: Path) -> None:
    """The left side changes at 10 m, the right one at 30 m: the other one goes on."""
    both = side("left", LANE.format(1, WIDE, "solid"))
    three = side("right", LANE.format(-1, WIDE, "broken"), LANE.format(-2, WIDE, "solid"))
    left = side("left", LANE.format(1, WIDE, "broken"), LANE.format(2, WIDE, "solid"))
    right = side("right", LANE.format(-1, WIDE, "solid"))
    path = lanes(
        tmp_path / "a.xodr",
        f'<laneSection s="0">{both}{MIDDLE}{three}</laneSection>'
        f'<laneSection s="30" singleSide="true">{MIDDLE}{right}</laneSection>'  # and not in order
        f'<laneSection s="10" singleSide="true">{left}{MIDDLE}</laneSection>',
    )
    read, _ = read_opendrive(path)
    spans: dict[float, list[float]] = {}
    for line in read.of("divider"):
        spans.setdefault(round(float(line.points_m[0, 1]), 3), []).extend(line.points_m[[0, -1], 0].tolist())
    assert {y: (min(x), max(x)) for y, x in spans.items()} == {0.0: (0, 40), 3.0: (10, 40), -3.0: (0, 30)}
    (edge,) = read.of("boundary")
    assert Polygon(edge.points_m[:, :2]).area == pytest.approx(40 * 6 + 30 * 3 + 30 * 3, abs=0.5)


@pytest.mark.parametrize(
    ("offsets", "profile", "plan", "end"),
    [
        ('<laneOffset s="20" a="1" b="0" c="0" d="0"/>', "", "<line/>", (40.0, 1.0, 0.0)),
        ('<laneOffset s="20" a="1" b="0" c="0" d="0"/><laneOffset s="0" a="2" b="0" c="0" d="0"/>', "", "<line/>",
         (40.0, 1.0, 0.0)),
        ('<laneOffset s="0" a="2" b="0" c="0" d="0"/>',
         '<lateralProfile><superelevation s="0" a="0.1" b="0" c="0" d="0"/></lateralProfile>', "<line/>",
         (40.0, 2 * np.cos(0.1), 2 * np.sin(0.1))),
        ("", "", '<poly3 a="0" b="0.75" c="0" d="0"/>', (32.0, 24.0, 0.0)),
        ("", "", '<paramPoly3 aU="0" bU="80" cU="-40" dU="0" aV="0" bV="0" cV="0" dV="0" pRange="normalized"/>',
         (40.0, 0.0, 0.0)),
    ],
    ids=["an offset from the middle on", "not in order", "superelevation", "a slanted cubic", "a slowing parameter"],
)  # fmt: skip
def test_where_the_lines_of_a_road_are(
    offsets: str, profile: str, plan: str, end: tuple[float, float, float], tmp_path: Path
) -> None:
    both = side("left", LANE.format(1, WIDE, "solid")) + MIDDLE + side("right", LANE.format(-1, WIDE, "solid"))
    path = lanes(tmp_path / "a.xodr", f'<laneSection s="0">{both}</laneSection>', offsets, profile, plan)
    read, losses = read_opendrive(path)
    (line,) = read.of("divider")
    assert np.allclose(line.points_m[-1], end, atol=1e-6) and losses.lines == []
    if 's="20"' in offsets:
        assert line.points_m[line.points_m[:, 0] < 19.5][:, 1] == pytest.approx(2.0 if 's="0"' in offsets else 0.0)
    lengths = np.linalg.norm(np.diff(line.points_m[:, :2], axis=0), axis=1)
    assert "Poly3" not in plan or np.ptp(lengths) < 1e-3, "places are distances along the road"


def test_lines_of_roads_that_part_are_each_once_and_share_their_ends(tmp_path: Path) -> None:
    """Two roads of a junction begin on each other; another one goes on, a few millimetres off by rounding."""
    path = road(tmp_path / "a.xodr", marks='<roadMark sOffset="0" type="solid"/>')
    text = path.read_text()
    one = text[text.index("<road") : text.index("</road>")] + "</road>"
    line = one[one.index("<geometry") : one.index("</geometry>")]
    bent = line.replace("<line/>", '<spiral curvStart="0" curvEnd="0.02"/>')
    after = one.replace('x="0" y="0"', 'x="40.004" y="0.003"')
    part = one.replace(line, bent).replace('junction="-1"', 'junction="2"')
    path.write_text(text.replace(one, part + one + after))
    read, losses = read_opendrive(path)
    straight, follows, turns = read.of("divider")
    assert losses.lines == ["1 x line along another one: once"]
    assert np.array_equal(straight.points_m[-1], follows.points_m[0])
    assert straight.points_m[0, 0] == 0 and 8 < turns.points_m[0, 0] < 16
    rise = '<elevationProfile><elevation s="0" a="7" b="0" c="0" d="0"/></elevationProfile>'
    above = one.replace("<planView>", f"{rise}<planView>")
    path.write_text(text.replace(one, one + above))
    assert len(read_opendrive(path)[0].of("divider")) == 2, "a road above a road has a line of its own"
    pytest.importorskip("lanelet2")
    write_lanelet2(read, tmp_path / "a.osm")
    assert [str(problem) for problem in check_lanelet2(tmp_path / "a.osm") if "followers" in str(problem)] == []


def test_an_unpainted_line_may_be_changed_over_in_lanelet2(tmp_path: Path) -> None:
    """Autoware wants it said of each line between lanes of one direction."""
    pytest.importorskip("lanelet2")
    two = LANE.format(1, WIDE, "none"), LANE.format(2, WIDE, "none")
    right = side("right", LANE.format(-1, WIDE, "none"), LANE.format(-2, WIDE, "none"))
    path = lanes(tmp_path / "a.xodr", f'<laneSection s="0">{side("left", *two)}{MIDDLE}{right}</laneSection>')
    write_lanelet2(read_opendrive(path)[0], tmp_path / "a.osm")
    assert (tmp_path / "a.osm").read_text().count('k="lane_change" v="yes"') == 2
    assert check_lanelet2(tmp_path / "a.osm") == []


def test_specks_between_lanes_are_no_edges(tmp_path: Path) -> None:
    """A lane that is nowhere wider than a hand at the end of a road, as netconvert draws places to turn round."""
    path = road(tmp_path / "a.xodr")
    text = path.read_text()
    speck = text[text.index("<road") : text.index("</road>")].replace('x="0"', 'x="50"').replace("40", "2")
    path.write_text(text.replace("</OpenDRIVE>", f"{speck.replace(chr(34) + '3' + chr(34), chr(34) + '0.1' + chr(34))}"
                                 "</road></OpenDRIVE>"))  # fmt: skip
    read, losses = read_opendrive(path)
    assert len(read.of("boundary")) == 1
    assert losses.lines == ["1 x outline of less than 1 m² between lanes: no edge of a road"]


@pytest.mark.parametrize("kind", ["bus", "HOV", "shared"])
def test_lanes_for_some_are_road_too(kind: str, tmp_path: Path) -> None:
    (edge,) = read_opendrive(road(tmp_path / "a.xodr", kind=kind))[0].of("boundary")
    assert np.ptp(edge.points_m[:, 1]) == pytest.approx(6.0, abs=0.01)


OUTER = 'outer="false"'


def _outline(x: float, attributes: str = "") -> str:
    corners = "".join(f'<cornerLocal u="{u}" v="{v}" z="0" height="0"/>' for u, v in
                      ((x, -3), (x + 2, -3), (x + 2, 3), (x, 3)))  # fmt: skip
    return f"<outline {attributes}>{corners}</outline>"


@pytest.mark.parametrize(
    ("shape", "spans"),
    [
        (f"<outlines>{_outline(0)}{_outline(5)}</outlines>", [(10, 12), (15, 17)]),
        (f"<outlines>{_outline(0)}{_outline(0.5, OUTER)}</outlines>", [(10, 12)]),
        (_outline(-1), [(9, 11)]),
        ("", [(8, 12)]),
    ],
    ids=["two outlines", "a hole", "no outlines around it", "length and width alone"],
)
def test_crosswalks(shape: str, spans: list[tuple[float, float]], tmp_path: Path) -> None:
    item = f'<object id="5" type="crosswalk" s="10" t="0" hdg="0" length="4" width="6">{shape}</object>'
    read, losses = read_opendrive(road(tmp_path / "a.xodr", crosswalk=item))
    found = [tuple(e.points_m[:, 0][[e.points_m[:, 0].argmin(), e.points_m[:, 0].argmax()]].round(6).tolist())
             for e in read.of("ped_crossing")]  # fmt: skip
    assert found == spans and losses.lines == []
    assert all(e.closed and np.ptp(e.points_m[:, 1]) == pytest.approx(6.0) for e in read.of("ped_crossing"))


@pytest.mark.parametrize(("hdg", "road_hdg"), [(0.4, 0.0), (-0.3, 0.9)])
def test_a_crosswalk_is_turned_against_its_road(hdg: float, road_hdg: float, tmp_path: Path) -> None:
    item = f'<object id="5" type="crosswalk" s="10" t="2" hdg="{hdg}" zOffset="0.5" length="4" width="6"></object>'
    path = road(tmp_path / "a.xodr", crosswalk=item)
    path.write_text(path.read_text().replace('hdg="0" length="40"', f'hdg="{road_hdg}" length="40"'))
    (crossing,) = read_opendrive(path)[0].of("ped_crossing")
    turn, way = (np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in (hdg + road_hdg, road_hdg))
    corners = np.array([[-2, -3], [2, -3], [2, 3], [-2, 3], [-2, -3]]) @ turn.T + way @ [10, 2]
    assert np.allclose(crossing.points_m, np.column_stack([corners, np.full(5, 0.5)]))


def test_widths_begin_anew_with_each_section_and_lanes_lie_in_the_order_of_their_ids(tmp_path: Path) -> None:
    def lane(key: int, a: float, b: float = 0.0, kind: str = "driving") -> str:
        return f'<lane id="{key}" type="{kind}"><width sOffset="0" a="{a}" b="{b}" c="0" d="0"/></lane>'

    def section(s: float, right: str) -> str:
        center = '<center><lane id="0" type="none"/></center>'
        return f'<laneSection s="{s}">{center}<right>{right}</right></laneSection>'

    sections = section(0, lane(-1, 2) + lane(-2, 3)) + section(20, lane(-2, 3) + lane(-1, 2, 0.1))
    path = road(tmp_path / "a.xodr")
    begin, end = path.read_text().index("<laneSection"), path.read_text().index("</lanes>")
    path.write_text(path.read_text()[:begin] + sections + path.read_text()[end:])
    read, _ = read_opendrive(path)
    first, second = sorted(read.of("divider"), key=lambda e: e.points_m[0, 0])
    assert np.allclose(first.points_m[:, 1], -2) and first.points_m[-1, 0] == pytest.approx(20)
    assert np.allclose(second.points_m[:, 1], -2 - 0.1 * (second.points_m[:, 0] - 20))
    low = np.concatenate([e.points_m for e in read.of("boundary")])[:, 1].min()
    assert low == pytest.approx(-7, abs=0.05)


@pytest.mark.parametrize(
    ("reference", "place", "told"),
    [
        ("+proj=utm +zone=32 +datum=WGS84", (50.0, 9.0), ""),
        ("EPSG:32632", (50.0, 9.0), ""),
        ("EPSG:25832", (50.0, 9.0), ""),
        ("EPSG:32732", (-50.0, 9.0), ""),
        ("+proj=tmerc +lat_0=37.35 +lon_0=-122 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +geoidgrids=egm96_15.gtx "
         "+vunits=m +no_defs", (37.35, -122.0), "taken for the plane"),
        ("+lat_0=4.9000000000000000e+1 +lon_0=8.0000000000000000e+0", (49.0, 8.0), "taken for the plane"),
        ("+proj=tmerc +lat_0=50 +lon_0=9 +k=0.9996 +ellps=WGS84", None, "not to scale"),
        ("+proj=merc +lat_ts=0 +ellps=WGS84", None, "not to scale"),
        ("+proj=longlat +datum=WGS84", None, "no UTM"),
        ("LOCAL_CS somewhere", None, "pyproj makes nothing of it"),
        ("   ", None, ""),
    ],
)  # fmt: skip
def test_places_on_earth(reference: str, place: tuple[float, float] | None, told: str, tmp_path: Path) -> None:
    header = f"<geoReference><![CDATA[{reference}]]></geoReference>"
    if "32" in reference or "merc +lat_ts" in reference:
        y = 10_000_000 - 5538630.7 if "327" in reference else 5538630.7
        header += f'<offset x="500000" y="{y}" z="0" hdg="0"/>'
    read, losses = read_opendrive(road(tmp_path / "a.xodr", header=header))
    assert any(told in line for line in losses.lines) if told else losses.lines == []
    if place is None:
        assert read.origin is None
    else:
        assert read.origin is not None
        found = EarthFrame(read.origin).degrees([[0.0, 0.0, 0.0]])[0]
        assert np.allclose(found[[1, 0]], place, atol=1e-5)
