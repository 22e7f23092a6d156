"""Maps out of date: as far off and as incomplete as asked for, the same in all frames of a drive."""
import numpy as np
import pytest
from shapely.geometry import box

from mapkd_core.data.stale_map import StaleMaps, stale
from mapkd_core.types import Frame
from mapkd_core.vector_map import MapLine, VectorMap

TRUE = VectorMap(
    "town",
    lines=tuple(MapLine(np.array([[0.0, y], [50.0, y]])) for y in range(20)),
    crossings=tuple(box(10 * k, 0, 10 * k + 3, 9) for k in range(10)),
    road_segments=(box(0, -5, 50, 25),), lanes=(box(0, 0, 50, 4),),
    boundaries_m=(np.array([[0.0, 30.0], [9.0, 30.0]]),),
    sd_roads_m=(np.array([[0.0, 2.0], [50.0, 2.0]]),),
)


def drives(count=3, maps=True):
    return [
        Frame(f"f{k}", f"drive{k // 2}", 0, (), vector_map=(lambda: TRUE) if maps else None) for k in range(2 * count)
    ]


def start(line):
    return line.points_m[0]


def test_everything_but_the_sd_map_moves_by_the_same_way_and_a_share_is_gone():
    made = stale(TRUE, 0.5, 0.15, np.random.default_rng(1))
    assert len(made.lines) == 17 and len(made.crossings) == 8  # 15 % of 20, and of 10 to the nearest number
    way = start(made.lines[0]) - np.round(start(made.lines[0]))
    assert np.linalg.norm(way) == pytest.approx(0.5)
    for line in made.lines:
        assert any(np.allclose(line.points_m - way, true.points_m) for true in TRUE.lines)
    for moved, true in ((made.road_segments[0], TRUE.road_segments[0]), (made.lanes[0], TRUE.lanes[0])):
        np.testing.assert_allclose(np.array(moved.bounds) - np.array(true.bounds), [*way, *way])
    np.testing.assert_allclose(made.boundaries_m[0] - TRUE.boundaries_m[0], [way, way])
    corner = np.array(made.crossings[0].bounds[:2]) - way
    assert corner[0] % 10 == pytest.approx(0) and corner[1] == pytest.approx(0)
    assert made.sd_roads_m is TRUE.sd_roads_m and made.name == "town"
    whole = stale(TRUE, 0.0, 0.0, np.random.default_rng(1))
    assert len(whole.lines) == 20 and np.array_equal(start(whole.lines[3]), start(TRUE.lines[3]))


def test_a_drive_has_one_stale_map_and_drives_differ():
    frames = list(StaleMaps(drives(), 0.5, 0.15))
    ways = [tuple(np.round(start(f.vector_map().lines[0]) % 1, 6)) for f in frames]
    assert ways[0] == ways[1] and ways[2] == ways[3] and len(set(ways)) == 3
    assert frames[0].vector_map() is frames[1].vector_map()
    again = StaleMaps(drives(12), 0.5, 0.15)
    assert len(again) == 24 and [f.token for f in again] == [f"f{k}" for k in range(24)]
    far = [f.vector_map() for f in again]  # more drives than are kept
    assert len({id(m) for m in far}) == 12
    np.testing.assert_array_equal(start(again[0].vector_map().lines[0]), start(frames[0].vector_map().lines[0]))


def test_frames_without_a_map_stay_without():
    assert all(f.vector_map is None for f in StaleMaps(drives(maps=False), 0.5, 0.5))


@pytest.mark.parametrize(("text", "message"), [
    ("0.5", "--stale 0.5: .*expected metres and a share"), ("a,b", "expected metres and a share"),
    ("-1,0.1", "shift -1 m"), ("11,0.1", "shift 11 m"), ("0.5,2", "without 2 of its lines"), ("nan,0", "shift nan m"),
])  # fmt: skip
def test_what_is_no_stale_map_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        StaleMaps.parse(drives(), text, "--stale")
    made = StaleMaps.parse(drives(), "0.5,0.15", "--stale")
    assert (made.shift_m, made.missing) == (0.5, 0.15)


def test_the_cache_command_packs_stale_labels_under_their_name(tmp_path, monkeypatch, capsys):
    from mapkd_core.commands.main import main

    packed = {}

    def write_cache(source, folder, options, *_, name, data_fingerprint, **__):
        packed.update(source=source, name=name, fingerprint=data_fingerprint)

    monkeypatch.setattr("mapkd_core.data.cache_write.write_cache", write_cache)
    monkeypatch.setattr("mapkd_core.frame_sources.open_frames", lambda *_, **__: (drives(), []))
    monkeypatch.setattr("mapkd_core.evaluation.identity.frames_fingerprint", lambda source: "abc")
    words = ["cache", "simdrive-v1:train", str(tmp_path / "c")]
    assert main([*words, "--stale", "0.5,0.15"]) == 0
    assert isinstance(packed["source"], StaleMaps) and packed["source"].missing == 0.15
    assert packed["name"] == "simdrive-v1:train --stale 0.5,0.15" and packed["fingerprint"] == "abc --stale 0.5,0.15"
    assert main(words) == 0
    assert not isinstance(packed["source"], StaleMaps) and packed["name"] == "simdrive-v1:train"
    assert main([*words, "--stale", "half"]) == 2
    assert "--stale half" in capsys.readouterr().err
