"""Street maps: what they refuse, and the file that brings back every bit."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap
from mapkd_core.schema import FileFault
from mapkd_core.types import CLASSES

LINE = np.array([[0.1, 1 / 3, -7.25], [1e-17, 2.0, 0.0], [123456.789012345, 5e8, 1.0]])
RING = np.array([[0.0, 0, 0], [3, 0, 0], [3, 4, 0], [0, 0, 0]])


def street_map() -> StreetMap:
    return StreetMap(
        (
            StreetElement(7, "divider", LINE, 0.1 + 0.2, 12, attributes={"paint": "dashed"}),
            StreetElement(0, "ped_crossing", RING, 1.0, 0, closed=True),
        ),
        frame="odom",
        origin=MapOrigin(60.3913, 5.3221, 12.5, 32632),
        metadata={"drives": ["a", "ä\n"], "length_m": 0.1, "set": {"n": None}},
    )


def test_the_file_brings_back_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.streetmap"
    street_map().write(path)
    back = StreetMap.read(path)
    assert street_map().differences(back) == [] and back.differences(street_map()) == []
    assert back.elements[0].points_m.tobytes() == LINE.tobytes()
    assert back.elements[1].points_m.dtype == np.float64


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=6, max_size=30), st.floats(0, 1), st.sampled_from(CLASSES))
def test_any_double_comes_back(
    tmp_path_factory: pytest.TempPathFactory, values: list, score: float, label: str
) -> None:
    points = np.array(values[: len(values) // 3 * 3]).reshape(-1, 3)
    path = tmp_path_factory.mktemp("any") / "a.streetmap"
    StreetMap((StreetElement(2**63 - 1, label, points, score),)).write(path)
    (back,) = StreetMap.read(path).elements
    assert back.points_m.tobytes() == points.tobytes() and back.score == score


def test_an_empty_map_is_one(tmp_path: Path) -> None:
    StreetMap().write(tmp_path / "a.streetmap")
    back = StreetMap.read(tmp_path / "a.streetmap")
    assert back.elements == () and back.origin is None and back.bounds_m == (0, 0, 0, 0)


def test_differences_are_told() -> None:
    one = street_map()
    moved = replace(one.elements[0], points_m=LINE + [0, 0, 0.01], sightings=13)
    other = replace(one, frame="map", elements=(moved, replace(one.elements[1], id=3)))
    told = " / ".join(one.differences(other))
    for words in ("frame is 'odom', not 'map'", "element 0 is on", "element 3 is on", "sightings of element 7 is 12",
                  "vertices of element 7 differ by up to 0.01"):  # fmt: skip
        assert words in told
    assert one.differences(replace(one, metadata={"length_m": 0.1}))[0].startswith("metadata is {'drives'")
    assert one.differences(replace(one, origin=None))[0].startswith("origin is MapOrigin")
    assert len(one.differences(other, 0.02)) == len(one.differences(other)) - 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "lane"}, "label is 'lane'"),
        ({"id": -1}, "id is -1"),
        ({"score": 1.5}, "score is 1.5"),
        ({"score": float("nan")}, "score is nan"),
        ({"sightings": -1}, "sightings is -1"),
        ({"attributes": {"paint": 3}}, "attributes.paint is 3"),
        ({"points_m": LINE[:1]}, r"shape \(1, 3\)"),
        ({"points_m": LINE[:, :2]}, r"shape \(3, 2\)"),
        ({"points_m": LINE.astype(np.float32)}, "float32"),
        ({"points_m": LINE * np.nan}, "not finite"),
        ({"closed": True}, "the last equal to the first"),
    ],
)
def test_what_is_no_element_is_refused(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(street_map().elements[0], **change)


@pytest.mark.parametrize(
    ("values", "words"),
    [((91, 0), "latitude_deg is 91"), ((0, float("inf")), "longitude_deg is inf"), ((0, 0, 0, 4326), "EPSG"),
     ((0, 0, 0, 32661), "32661")],
)  # fmt: skip
def test_what_is_no_place_is_refused(values: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MapOrigin(*values)


@pytest.mark.parametrize("metadata", [{"a": object()}, {"a": float("nan")}, {1: "a"}, {"a": (1, 2)}])
def test_metadata_that_would_come_back_otherwise_is_refused(metadata: dict) -> None:
    with pytest.raises(ValueError, match="metadata"):
        StreetMap(metadata=metadata)


def test_an_id_comes_once() -> None:
    with pytest.raises(ValueError, match="id 7 comes twice"):
        StreetMap((street_map().elements[0],) * 2)


def _changed(lines: list[str], place: int, **change: object) -> list[str]:
    return [*lines[:place], json.dumps({**json.loads(lines[place]), **change}), *lines[place + 1 :]]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: lines[:-1], "holds 1 of its 2 elements"),
        (lambda lines: [*lines, lines[-1]], "holds 3 of its 2"),
        (lambda lines: ["{}", *lines[1:]], ":1 is not a street map"),
        (lambda lines: _changed(lines, 0, format="mapkd-frames-1"), "format is 'mapkd-frames-1'"),
        (lambda lines: _changed(lines, 0, origin={"latitude_deg": 1}), "origin"),
        (lambda lines: _changed(lines, 0, metadata=[]), "metadata"),
        (lambda lines: [lines[0], lines[1][:50], lines[2]], ":2 is not an element of a street map: not JSON"),
        (lambda lines: _changed(lines, 1, id=0), "id 0 comes twice"),
        (lambda lines: _changed(lines, 1, label="lane"), "label is 'lane'"),
        (lambda lines: _changed(lines, 1, score=float("nan")), "score"),
        (lambda lines: _changed(lines, 1, points_m=[[0, 0], [1, 1]]), "points_m"),
        (lambda lines: _changed(lines, 1, closed=True), "closed"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: object, words: str) -> None:
    path = tmp_path / "a.streetmap"
    street_map().write(path)
    path.write_text("\n".join(damage(path.read_text().splitlines())) + "\n")  # type: ignore[operator]
    with pytest.raises(FileFault, match=words) as told:
        StreetMap.read(path)
    assert str(path) in str(told.value) and "\n" not in str(told.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="street map"):
        StreetMap.read(tmp_path / "none.streetmap")
    (tmp_path / "b").write_bytes(b"\x00\xff\x80")
    for path in (tmp_path, tmp_path / "b"):
        with pytest.raises(FileFault, match="street map"):
            StreetMap.read(path)
