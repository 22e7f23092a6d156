"""`mapkd map` as a user runs it."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="bags need: pip install '.[bag]'")
from camera_bags import BEGIN_NS, PLAIN, write
from street_bags import MAPS, street_bag
from street_drives import poses, roads_beside

from mapkd_core.commands.main import main
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.map_files import mapped_drive
from mapkd_core.mapping.street_map import StreetMap


def lines(path: Path) -> dict[str, int]:
    found = StreetMap.read(path)
    return {label: len(found.of(label)) for label in ("divider", "ped_crossing", "boundary")}


WHOLE = {"divider": 1, "ped_crossing": 3, "boundary": 2}


def test_a_bag_with_maps_becomes_a_street_map_and_an_image(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bag, out, image = street_bag(tmp_path / "a.mcap"), tmp_path / "new" / "a.streetmap", tmp_path / "a.png"
    assert main(["map", str(bag), "--out", str(out), "--image", str(image)]) == 0
    assert lines(out) == WHOLE
    made = StreetMap.read(out).metadata
    assert made["sets"] == 60 and made["driven_m"] == pytest.approx(118) and made["drives"] == ["a.mcap"]
    printed = capsys.readouterr().out
    assert "poses of base_link in map from /tf" in printed and "1 divider, 3 ped_crossing, 2 boundary" in printed
    pixels = cv2.imread(str(image))
    assert pixels.shape[1] > 3 * pixels.shape[0] and (pixels.max(-1) > 150).mean() > 0.01


def test_two_drives_and_a_third_one_later(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    off = transform_from_yaw(0, 0.9, 0)
    first = street_bag(tmp_path / "a.mcap", poses(80))
    second = street_bag(tmp_path / "b.mcap", poses(back=True), shift=off)
    out = tmp_path / "ab.streetmap"
    assert main(["map", str(first), str(second), "--out", str(out)]) == 0
    assert lines(out) == WHOLE and "sets aligned where it was before" in capsys.readouterr().out
    (divider,) = StreetMap.read(out).of("divider")
    x, y = divider.points_m[:, :2].T
    assert np.abs(y[(x > 0) & (x < 80)]).max() < 0.3
    third = street_bag(tmp_path / "c.mcap", poses(200)[50:])
    assert main(["map", str(third), "--onto", str(out), "--out", str(out)]) == 0
    assert "elements are as they were, " in (printed := capsys.readouterr().out) and " changed, 0 gone" in printed
    again = StreetMap.read(out)
    assert again.metadata["sets"] == 40 + 60 + 50
    assert [e.id for e in again.of("divider")] == [divider.id]
    assert again.of("divider")[0].points_m[:, 0].max() > divider.points_m[:, 0].max() + 15


def test_maps_are_merged(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shift = transform_from_yaw(0.5, 2.4, 0.01)
    for name, path, move in (("a", poses(80), None), ("b", poses()[20:], shift)):
        bag = street_bag(tmp_path / f"{name}.mcap", path, shift=move)
        assert main(["map", str(bag), "--out", str(tmp_path / f"{name}.streetmap")]) == 0
    maps = [str(tmp_path / f"{name}.streetmap") for name in ("a", "b")]
    assert main(["map", *maps, "--out", str(tmp_path / "ab.streetmap")]) == 0
    assert "m of line in common, moved by 2." in capsys.readouterr().out
    assert lines(tmp_path / "ab.streetmap") == WHOLE


def test_what_a_map_to_go_on_with_holds_beside_elements_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("pyproj")
    ends = [[[8.0, 50.0 + k * 1e-4], [8.002, 50.0 + k * 1e-4]] for k in range(3)]
    features = [
        {"type": "Feature", "properties": {"type": kind}, "geometry": {"type": "LineString", "coordinates": line}}
        for kind, line in zip(("divider", "curb", "stop_line"), ends, strict=True)
    ]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (tmp_path / "b.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features[:2]}))
    maps = [str(tmp_path / name) for name in ("a.geojson", "b.geojson")]
    assert main(["map", *maps, "--out", str(tmp_path / "c.streetmap")]) == 0
    said = capsys.readouterr().out
    assert said.count("not read: 1 x feature of type 'stop_line'") == 1 and "a.geojson: not read" in said


def test_images_are_predicted_where_the_bag_has_no_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from camera_bags import drive
    from street_bags import CARD, pose_message
    from street_drives import seen, street

    from mapkd_core.predictor import MapPredictor, PredictedMap

    names = ("front", "rear")
    messages = [(BEGIN_NS - 5 + k * 100_000_000, "/tf", pose_message(PLAIN, transform_from_yaw(k, 0, 0),
                 BEGIN_NS + k * 100_000_000)) for k in range(12)]  # fmt: skip
    bag = write(tmp_path / "a.mcap", sorted(drive(names, 10) + messages, key=lambda m: m[0]))

    class Scripted:
        card = CARD

        @classmethod
        def from_artifact(cls, *_: object) -> Scripted:
            return cls()

    at = iter(range(100))
    monkeypatch.setattr(MapPredictor, "from_artifact", Scripted.from_artifact)
    monkeypatch.setattr(
        mapped_drive, "predicted",
        lambda *_: PredictedMap(seen(street(), transform_from_yaw(next(at), 0, 0)), np.zeros((4, 1, 1), np.float32)),
    )
    assert main(["map", str(bag), "--out", str(tmp_path / "a.streetmap")]) == 0
    assert lines(tmp_path / "a.streetmap")["divider"] == 1


def test_ctrl_c_leaves_the_map_until_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag, out = street_bag(tmp_path / "a.mcap"), tmp_path / "a.streetmap"
    real, count = mapped_drive.elements_of_message, iter(range(100))

    def stopped(message: object) -> object:
        if next(count) == 20:
            raise KeyboardInterrupt
        return real(message)

    monkeypatch.setattr(mapped_drive, "elements_of_message", stopped)
    assert main(["map", str(bag), "--out", str(out)]) == 130
    assert StreetMap.read(out).metadata["sets"] == 20


@pytest.mark.parametrize(
    ("bag", "options", "words"),
    [
        ({}, ["--out", "a.osmx"], "a.osmx"),
        ({}, ["--frame", "odom"], "moved in odom"),
        ({}, ["--topic", "/other"], "no VectorMap on /other"),
        ({"frame": "base_footprint"}, [], "in the frame 'base_footprint', not 'base_link'"),
        ({"parent": "world"}, [], "base_link hangs on world"),
        ({}, ["--least-share", "2"], "least_share is 2"),
        ({}, ["--onto", "none.streetmap"], "none.streetmap does not exist"),
    ],
)
def test_mistakes_end_with_one_line_and_no_map(
    tmp_path: Path, capsys: pytest.CaptureFixture, bag: dict, options: list, words: str
) -> None:
    path = street_bag(tmp_path / "a.mcap", poses(20), **bag)
    out = [] if "--out" in options else ["--out", str(tmp_path / "a.streetmap")]
    assert main(["map", str(path), *out, *options]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert words in told[-1] and told[-1].startswith("mapkd map: ")
    assert not (tmp_path / "a.streetmap").exists()


def test_a_bag_becomes_a_lanelet2_map_whose_lanes_run_as_was_driven(tmp_path: Path) -> None:
    pytest.importorskip("lanelet2", reason="Lanelet2 needs: pip install '.[maps]'")
    out = tmp_path / "a.osm"
    assert main(["map", str(street_bag(tmp_path / "a.mcap")), "--out", str(out)]) == 0
    text = out.read_text()
    assert text.count("pedestrian_marking") > 1 and 'v="road"' in text
    assert main(["map", str(out), "--out", str(tmp_path / "b.streetmap")]) == 0
    assert lines(tmp_path / "b.streetmap") == WHOLE


def test_nothing_that_is_read_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    one = tmp_path / "a.streetmap"
    StreetMap().write(one)
    before = one.read_bytes()
    assert main(["map", str(one), str(one), "--out", str(one)]) == 2
    assert "would be written over" in capsys.readouterr().err and one.read_bytes() == before


def test_a_map_of_others_is_gone_on_with_and_stays(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bag, hd = street_bag(tmp_path / "a.mcap"), tmp_path / "hd.xodr"
    foreign = '<OpenDRIVE><header revMajor="1" revMinor="7"/></OpenDRIVE>'
    hd.write_text(foreign)
    assert main(["map", str(bag), "--onto", str(hd), "--out", str(hd)]) == 0, capsys.readouterr()
    assert hd.read_text() == foreign and "mapkd:map" in (tmp_path / "hd.built.xodr").read_text()
    assert f"stays as it is: the map goes to {tmp_path / 'hd.built.xodr'}" in capsys.readouterr().out


def test_outputs_that_are_one_file_or_the_map_that_is_gone_on_with_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    one, out = tmp_path / "a.streetmap", tmp_path / "b.streetmap"
    StreetMap().write(one)
    before = one.read_bytes()
    for options in (["--image", str(out)], ["--onto", str(one), "--image", str(one)]):
        assert main(["map", str(tmp_path / "none.mcap"), "--out", str(out), *options]) == 2
        told = capsys.readouterr().err
        assert "are both" in told or "would be written over" in told
    assert one.read_bytes() == before and not out.exists()


@pytest.mark.parametrize(
    ("out", "words"),
    [("a.geojson", "mapkd map convert"), ("taken/a.osm", "belongs to another map"), ("nuscenes:.:here", "'here'"),
     ("file/a.streetmap", "is no folder"), ("taken", "of no known format"), ("streetmap:taken", "is a folder")],
)  # fmt: skip
def test_what_could_not_be_written_is_refused_before_the_drive_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, out: str, words: str
) -> None:
    pytest.importorskip("lanelet2", reason="Lanelet2 needs: pip install '.[maps]'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "map_projector_info.yaml").write_text("projector_type: MGRS\n")
    (tmp_path / "file").write_text("")
    assert main(["map", "drive-that-is-not-opened.mcap", "--out", out]) == 2
    told = capsys.readouterr().err
    assert words in told and "not-opened" not in told


def test_a_map_that_cannot_be_written_after_all_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mapkd_core.commands import map as command

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device", "a.geojson")

    monkeypatch.setattr(command, "write_map", refuse)
    bag, beside = street_bag(tmp_path / "a.mcap"), tmp_path / "m.streetmap"
    assert main(["map", str(bag), "--out", str(tmp_path / "m.osm")]) == 2
    assert lines(beside) == WHOLE and f"kept in {beside}" in capsys.readouterr().out
    assert main(["map", str(bag), "--out", str(beside)]) == 2  # nothing is written over
    kept = Path(capsys.readouterr().out.partition("kept in ")[2].splitlines()[0])
    assert kept != beside and lines(kept) == WHOLE
    kept.unlink()
    kept.parent.rmdir()


@pytest.mark.parametrize(
    "metadata",
    [{}, {"driven_m": "far", "sets": None, "path_m": 5}, {"paths_m": [[[1]], 2]}, {"driven_m": 10**400, "sets": -1}],
)
def test_maps_of_others_know_nothing_of_a_drive(
    tmp_path: Path, capsys: pytest.CaptureFixture, metadata: dict
) -> None:
    one, other, out = (tmp_path / f"{name}.streetmap" for name in "abc")
    assert main(["map", str(street_bag(tmp_path / "a.mcap", poses(20))), "--out", str(one)]) == 0
    StreetMap(StreetMap.read(one).elements, metadata=metadata).write(other)
    assert main(["map", str(other), "--out", str(out)]) == 0
    assert "0 m driven" in capsys.readouterr().out.splitlines()[-1]
    assert main(["map", str(other), str(one), "--out", str(out)]) == 0
    assert StreetMap.read(out).metadata["sets"] == 10


@pytest.mark.parametrize("option", [["--limit", "-3"], ["--limit", "0"], ["--every", "nan"], ["--every", "-1"]])
def test_numbers_that_cannot_be_are_refused(option: list, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["map", "a.mcap", "--out", "a.streetmap", *option])
    assert end.value.code == 2 and f"argument {option[0]}: {option[1]!r}; expected" in capsys.readouterr().err


def test_a_drive_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bag = street_bag(tmp_path / "a.mcap", poses(20))
    (tmp_path / "b.mcap").symlink_to(bag)
    assert main(["map", str(bag), str(tmp_path / "b.mcap"), "--out", str(tmp_path / "c.streetmap")]) == 2
    assert "is named twice" in capsys.readouterr().err and not (tmp_path / "c.streetmap").exists()


def test_bags_and_maps_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    bag = street_bag(tmp_path / "a.mcap", poses(20))
    assert main(["map", str(bag), "b.streetmap", "--out", str(tmp_path / "c.streetmap")]) == 2
    assert "--onto" in capsys.readouterr().err


def test_what_is_no_map_costs_its_set(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from street_bags import map_message, pose_message
    from street_drives import seen, street

    messages = []
    for k, pose in enumerate(poses(60)):
        stamp_ns = BEGIN_NS + k * 100_000_000
        messages.append((stamp_ns, "/tf", pose_message(PLAIN, pose, stamp_ns)))
        one = map_message(PLAIN, seen(street(), pose), stamp_ns + (10**10 if k == 4 else 0))
        if k == 1:
            one.x_min = float("nan")
        if k == 2:
            one.elements[0].label = 9
        messages.append((stamp_ns + 1, MAPS, one if k != 3 else (one.__msgtype__, b"\0\1\0\0\7")))
    assert main(["map", str(write(tmp_path / "a.mcap", messages)), "--out", str(tmp_path / "a.streetmap")]) == 0
    printed = capsys.readouterr().out
    for words in ("1  no pose in map: too far", "1  /student_node/vector_map: bytes", "label 9", "rectangle (nan"):
        assert words in printed
    assert StreetMap.read(tmp_path / "a.streetmap").metadata["sets"] == 26


def test_a_drive_is_held_to_roads_and_its_map_then_lies_on_earth(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("pyproj")
    from mapkd_core.map_formats.earth import at_place

    origin, roads = at_place(48.1, 11.5), roads_beside(tmp_path / "roads.geojson", 6.0)
    bag, out = street_bag(tmp_path / "a.mcap"), tmp_path / "a.streetmap"
    words = ["map", str(bag), "--anchor", str(roads), "--anchor-origin", "48.1,11.5", "--out", str(out)]
    assert main(words) == 0
    found = StreetMap.read(out)
    assert found.origin == origin and "places of the way: held to a road" in capsys.readouterr().out
    (way,) = found.paths_m
    assert abs(way[0, 1]) < 0.1 and way[-1, 1] > 2
    assert main([*words, "--start", "5,0"]) == 2 and "is not X,Y,DEGREES" in capsys.readouterr().err
    assert main(["map", str(bag), "--start", "5,0,0", "--out", str(out)]) == 2
    assert "name its file of roads" in capsys.readouterr().err
    assert main([*words[:4], "--out", str(out)]) == 2 and "map's origin" in capsys.readouterr().err
    assert main(["map", str(out), "--anchor", str(roads), "--out", str(tmp_path / "b.streetmap")]) == 2
