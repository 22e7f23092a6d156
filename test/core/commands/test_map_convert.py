"""mapkd map convert and mapkd map check."""
from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from street_maps import BERGEN, driven, street, two_blocks

from mapkd_core.commands.main import main
from mapkd_core.map_formats.earth import at_place
from mapkd_core.map_formats.formats import map_name, read_map
from mapkd_core.map_formats.lanelet2_write import write_lanelet2
from mapkd_core.map_formats.own_maps import own_place
from mapkd_core.map_formats.saving import check_target
from mapkd_core.mapping.street_map import StreetMap

pytest.importorskip("lanelet2")


def test_there_and_back_through_every_lossless_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = street(at_place(*BERGEN))
    written.write(tmp_path / "a.streetmap")
    names = [tmp_path / name for name in ("a.streetmap", "b.osm", "c.geojson", "d.xodr", "e.streetmap")]
    for source, target in pairwise(names):
        assert main(["map", "convert", str(source), str(target), "--report", str(tmp_path / "report.txt")]) == 0
        assert "read again: the same map" in capsys.readouterr().out
    assert written.differences(StreetMap.read(names[-1]), 1e-5) == []
    assert "5 elements" in (tmp_path / "report.txt").read_text()
    assert main(["map", "check", str(names[1])]) == 0
    assert "sound by" in capsys.readouterr().out


def directions(path: Path) -> list[tuple[int, int]]:
    """(left, right) bound of each road of a Lanelet2 file, with the sense that a routing graph would take."""
    from mapkd_core.map_formats.osm_file import read_osm

    file = read_osm(path)
    roads = [r for r in file.relations.values() if r.tags.get("subtype") == "road"]
    return sorted((r.way("left") or 0, r.way("right") or 0) for r in roads)


@pytest.mark.parametrize("through", ["streetmap", "osm", "geojson", "xodr"])
def test_lanes_go_the_way_that_was_driven_whatever_the_map_went_through(through: str, tmp_path: Path) -> None:
    """Two drives on the left half, where nobody would drive by the rule; the way between them is no drive."""
    written = driven(two_blocks(), [(2.0, 1.7), (30.0, 2.0)], [(42.0, 2.3), (78.0, 3.7)])
    written.write(tmp_path / "a.streetmap")
    between = tmp_path / f"b.{through}"
    assert main(["map", "convert", str(tmp_path / "a.streetmap"), str(between)]) == 0
    assert main(["map", "convert", str(between), str(tmp_path / "c.osm")]) == 0
    write_lanelet2(written, tmp_path / "straight" / "c.osm")
    assert directions(tmp_path / "c.osm") == directions(tmp_path / "straight" / "c.osm")
    two_blocks().write(tmp_path / "none.streetmap")
    assert main(["map", "convert", str(tmp_path / "none.streetmap"), str(tmp_path / "none" / "c.osm")]) == 0
    assert directions(tmp_path / "none" / "c.osm") != directions(tmp_path / "c.osm")
    again, _ = read_map(map_name(str(tmp_path / "c.osm")))
    assert [way.tolist() for way in again.paths_m] == [way.tolist() for way in written.paths_m]


def test_what_a_format_cannot_hold_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    street().write(tmp_path / "a.streetmap")
    assert main(["map", "convert", str(tmp_path / "a.streetmap"), f"nuscenes:{tmp_path}:boston-seaport"]) == 0
    out = capsys.readouterr().out
    assert "not held: 5 x element without its id, score" in out and "first difference" in out


def test_a_place_is_given_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    street().write(tmp_path / "a.streetmap")
    command = ["map", "convert", str(tmp_path / "a.streetmap"), str(tmp_path / "b.geojson")]
    assert main(command) == 2
    assert "expected --origin" in capsys.readouterr().err
    assert main([*command, "--origin", "60.39,5.32,4"]) == 0
    assert main([*command, "--overwrite", "--origin", "60.39,5.32"]) == 0
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["map", "convert", str(tmp_path / "b.geojson"), str(tmp_path / "c.osm"), "--origin", "1,2"]) == 2
    assert "leave --origin out" in capsys.readouterr().err


def test_a_report_takes_no_map_s_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "a.streetmap", tmp_path / "b.osm"
    street().write(source)
    for report, words in ((source, "would be written over"), (target, "are both")):
        assert main(["map", "convert", str(source), str(target), "--report", str(report)]) == 2
        assert words in capsys.readouterr().err
    assert StreetMap.read(source).elements and not target.exists()


def test_a_broken_map_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    street().write(tmp_path / "a.streetmap")
    assert main(["map", "convert", str(tmp_path / "a.streetmap"), str(tmp_path / "b.osm")]) == 0
    path = tmp_path / "b.osm"
    path.write_text(path.read_text().replace('k="one_way" v="yes"', 'k="one_way" v="no"'))
    assert main(["map", "check", str(path)]) == 1
    assert "autoware.road" in capsys.readouterr().out
    assert main(["map", "check", "--list"]) == 0
    assert main(["map", "check"]) == 2


@pytest.mark.parametrize("name", ["map.pbf", "geojsn:a", "nuscenes:a", ""])
def test_an_unknown_form_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        map_name(name)


def test_a_map_of_argoverse_2_is_read_and_none_is_written(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    def line(*points: tuple[float, float]) -> list[dict[str, float]]:
        return [{"x": x, "y": y, "z": 3.0} for x, y in points]

    lane = {"left_lane_boundary": line((10, 4), (60, 4)), "right_lane_boundary": line((10, 0.8), (60, 0.8)),
            "left_lane_mark_type": "DOUBLE_SOLID_YELLOW", "right_lane_mark_type": "NONE", "lane_type": "VEHICLE",
            "successors": []}  # fmt: skip
    content = {
        "lane_segments": {"1": lane},
        "drivable_areas": {"2": {"area_boundary": line((9, 0), (61, 0), (61, 8), (9, 8))}},
        "pedestrian_crossings": {"3": {"edge1": line((30, 0), (30, 8)), "edge2": line((33, 8), (33, 0))}},
    }  # fmt: skip
    log = tmp_path / "0a-log"
    (log / "map").mkdir(parents=True)
    file = log / "map" / "log_map_archive_0a-log____PIT_city_1.json"
    file.write_text(json.dumps(content))
    for number, name in enumerate((f"argoverse2:{log}", str(log), str(file))):
        out = tmp_path / f"{number}.streetmap"
        assert main(["map", "convert", name, str(out)]) == 0
        told = capsys.readouterr().out
        assert "3 elements" in told and "3 x elevation: the map is flat now" in told and "read again: the same" in told
        found = StreetMap.read(out)
        (divider,), (crossing,), (edge,) = (found.of(x) for x in ("divider", "ped_crossing", "boundary"))
        assert np.ptp(divider.points_m, axis=0).tolist() == [50, 0, 0] and divider.attributes["color"] == "yellow"
        assert crossing.closed and np.ptp(crossing.points_m, axis=0).tolist() == [3, 8, 0] and edge.closed
    before = file.read_bytes()
    for place in (tmp_path / "new", log, file):
        assert main(["map", "convert", str(out), f"argoverse2:{place}"]) == 2
        assert "read alone" in (told := capsys.readouterr().err) and "--overwrite" not in told
        assert own_place(map_name(f"argoverse2:{place}")).path == place
        with pytest.raises(ValueError, match="read alone"):
            check_target(map_name(f"argoverse2:{place}"), None)
    assert file.read_bytes() == before and not (tmp_path / "new").exists()
    assert main(["map", "convert", f"argoverse2:{tmp_path / 'none'}", str(tmp_path / "x.osm")]) == 2
    assert "none" in capsys.readouterr().err


def test_what_is_there_is_kept_and_the_way_out_that_is_named_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    street().write(tmp_path / "a.streetmap")
    places = ((f"{tmp_path}/b.osm", "--overwrite"), (f"nuscenes:{tmp_path}:boston-seaport", "another folder"))
    for target, way_out in places:
        words = ["map", "convert", str(tmp_path / "a.streetmap"), target]
        assert main(words) == 0
        capsys.readouterr()
        assert main(words) == 2
        told = capsys.readouterr().err
        assert "is there already" in told and way_out in told
        assert main([*words, "--overwrite"]) == (0 if way_out == "--overwrite" else 2)
