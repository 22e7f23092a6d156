"""Which map files are ours, and where a map goes that must not be written over one of others."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mapkd_core.map_formats.formats import MapName, map_name, write_map
from mapkd_core.map_formats.own_maps import free_beside, left_beside, own_place
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap

LINE = StreetElement(1, "divider", np.array([[0.0, 0, 0], [50, 0, 0]]))
FOREIGN = {
    "a.osm": '<osm version="0.6"><node id="1" lat="1" lon="2"/></osm>',
    "b.osm": '<osm version="0.6"><MetaInfo generator="another editor"/></osm>',
    "c.osm": "<osm",
    "rules.osm": '<osm><MetaInfo generator="mapkd"/><relation id="5"><tag k="type" v="regulatory_element"/>'
    '<tag k="subtype" v="traffic_light"/></relation></osm>',
    "a.geojson": '{"type": "FeatureCollection", "features": []}',
    "a.json": "[1]",
    "a.xodr": '<OpenDRIVE><header vendor="another"/></OpenDRIVE>',
    "a.streetmap": "a list of streets",
}


@pytest.mark.parametrize("file", ["a.streetmap", "a.osm", "a.geojson", "a.xodr"])
def test_ours_are_written_over(tmp_path: Path, file: str) -> None:
    if file.endswith("osm"):
        pytest.importorskip("lanelet2", reason="Lanelet2 needs: pip install '.[maps]'")
    name = map_name(str(tmp_path / file))
    assert own_place(name) == name
    write_map(StreetMap((LINE,), origin=MapOrigin(48.0, 9.0)), name)
    assert own_place(name) == name


@pytest.mark.parametrize("file", FOREIGN)
def test_those_of_others_stay_and_nothing_beside_them_is_lost(tmp_path: Path, file: str) -> None:
    path = tmp_path / file
    path.write_text(FOREIGN[file])
    name = map_name(str(path))
    first = own_place(name)
    in_folder = name.format == "lanelet2"  # with a projector of its own
    places = [f"{path.stem}.{word}" + (f"/{file}" if in_folder else path.suffix) for word in ("built", "built-2")]
    assert first == MapName(name.format, tmp_path / places[0])
    first.file.parent.mkdir(exist_ok=True)
    first.file.write_text("the map of a drive before")
    assert own_place(name).file == tmp_path / places[1]


def test_an_empty_file_and_a_device_hold_nothing_that_could_be_lost(tmp_path: Path) -> None:
    (tmp_path / "a.osm").touch()
    for text in (str(tmp_path / "a.osm"), "streetmap:/dev/null"):
        assert own_place(map_name(text)) == map_name(text)


def test_a_link_to_nowhere_is_no_free_name(tmp_path: Path) -> None:
    (tmp_path / "a.built.osm").symlink_to(tmp_path / "nowhere")
    assert free_beside(tmp_path / "a.osm", "built").name == "a.built-2.osm"
    (tmp_path / "a.periodic.streetmap").touch()
    assert left_beside(tmp_path / "a.osm", "periodic", ".streetmap") == [tmp_path / "a.periodic.streetmap"]
