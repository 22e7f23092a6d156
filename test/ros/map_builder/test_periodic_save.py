"""Copies of a map that are written while it grows."""
from __future__ import annotations

from pathlib import Path

from street_drives import built, poses, sets, street

from mapkd_core.map_formats.formats import map_name
from mapkd_core.mapping.builder import MapBuilder
from mapkd_core.mapping.street_map import StreetMap
from mapkd_ros.map_builder.periodic_save import PeriodicSave


def test_a_copy_is_the_map_of_its_moment_and_made_only_of_a_change(tmp_path: Path) -> None:
    builder, told = MapBuilder(), []
    copies = PeriodicSave(map_name(str(tmp_path / "a.streetmap")), 0, told.append)
    assert not copies.begin(builder)
    built(builder, sets(street(), poses()[:20]))
    expected = built(MapBuilder(), sets(street(), poses()[:20])).street_map()
    assert copies.begin(builder)
    built(builder, sets(street(), poses()[20:22]))
    copies.finish()
    assert not StreetMap.read(tmp_path / "a.streetmap").differences(expected)
    assert copies.begin(builder)
    copies.finish()
    assert not copies.begin(builder) and copies.written == 2 and not told
    copies.saved(builder.sets)
    assert (tmp_path / "a.streetmap").exists()


def test_beside_another_format_it_goes_at_the_end_and_what_was_left_stays(tmp_path: Path) -> None:
    left = tmp_path / "a.periodic.streetmap"
    left.write_text("of a run before")
    builder = built(MapBuilder(), sets(street(), poses()[:10]))
    copies = PeriodicSave(map_name(str(tmp_path / "a.osm")), 0, print)
    assert copies.left == [left] and copies.begin(builder)
    copies.finish()
    assert StreetMap.read(tmp_path / "a.periodic-2.streetmap").metadata["sets"] == 10
    copies.saved(builder.sets)
    assert [path.name for path in tmp_path.iterdir()] == [left.name] and left.read_text() == "of a run before"


def test_what_fails_is_told_once_counted_and_tried_again(tmp_path: Path) -> None:
    builder, told = built(MapBuilder(), sets(street(), poses()[:10])), []
    (tmp_path / "new").write_text("")
    copies = PeriodicSave(map_name(str(tmp_path / "new" / "a.streetmap")), 0, told.append)
    for _ in range(2):
        assert copies.begin(builder)
        copies.finish()
    assert len(told) == 1 and list(copies.faults.values()) == [2] and copies.failed and not copies.written
    (tmp_path / "new").unlink()
    assert copies.begin(builder)
    copies.finish()
    assert copies.written == 1 and not copies.failed
