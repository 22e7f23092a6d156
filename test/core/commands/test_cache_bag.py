"""`mapkd cache bag:...`: frames of an own vehicle with labels of an own map, held to the simulator's truth."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely

pytest.importorskip("rosbags", reason="bags need: pip install '.[bag]'")
from simulated_bags import NAMES, SIZE, STAGGER_NS, K, four_camera_bag, mountings

from mapkd_core.commands.main import main
from mapkd_core.data.cache import CachedSamples
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.data.labels import map_elements, on_grid
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import GRID_60X30
from mapkd_core.map_files.label_fit import fit_of
from mapkd_core.map_formats.earth import at_place
from mapkd_core.map_formats.vector_maps import street_map_of
from mapkd_core.mapping.seeding import moved
from mapkd_core.mapping.street_map import StreetMap
from mapkd_core.sim.drive import SimDrive
from mapkd_core.types import CLASSES, MapElement

OPTIONS = SampleOptions(GRID_60X30, (176, 64))


@pytest.fixture(scope="module")
def drive() -> SimDrive:
    return SimDrive(seed=3, size=(176, 64), frames=3, lidar=False)


@pytest.fixture(scope="module")
def maps(drive: SimDrive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the drive's true map as town.streetmap."""
    folder = tmp_path_factory.mktemp("maps")
    true = street_map_of(drive.road_map)[0]
    StreetMap(true.elements, "map", at_place(48.1, 11.5), {}).write(folder / "town.streetmap")
    return folder


@pytest.fixture(scope="module")
def bag(drive: SimDrive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return four_camera_bag(tmp_path_factory.mktemp("bags") / "drive.mcap", drive)


@pytest.fixture(scope="module")
def dark_bag(drive: SimDrive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without anything in its images."""
    return four_camera_bag(tmp_path_factory.mktemp("bags") / "dark.mcap", drive, black=True)


def cached(folder: Path) -> list:
    samples = CachedSamples(folder, OPTIONS)
    return sorted((samples.frame(k) for k in range(len(samples))), key=lambda one: one.frame.stamp_ns)


def labels_of(one: object) -> list[MapElement]:
    return on_grid(one.sample(OPTIONS).elements, GRID_60X30)  # type: ignore[attr-defined]


def farthest_m(lines: list[MapElement], others: list[MapElement]) -> float:
    """The largest distance of a place on `lines` from `others`, of all classes."""
    worst = 0.0
    for label in CLASSES:
        mine, theirs = (
            [shapely.LineString(e.points_m[:, :2]) for e in some if e.label == label] for some in (lines, others)
        )
        assert bool(mine) == bool(theirs), label
        for line in mine:
            places = shapely.line_interpolate_point(line, np.arange(0, line.length, 0.3))
            worst = max(worst, float(shapely.distance(places, shapely.union_all(theirs)).max()))
    return worst


def check_labels(folder: Path, drive: SimDrive, within_m: float) -> None:
    frames = cached(folder)
    assert len(frames) == len(drive)
    for one, index in zip(frames, range(len(drive)), strict=True):
        truth = map_elements(drive.road_map, drive.motion.pose(drive.time_s(index)), GRID_60X30)
        found = labels_of(one)
        assert {e.label for e in truth} >= {"divider", "boundary"}
        assert max(farthest_m(found, truth), farthest_m(truth, found)) < within_m


@pytest.mark.slow
def test_images_and_cameras_are_those_of_the_drive(
    drive: SimDrive, maps: Path, bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    town = maps / "town.geojson"
    assert main(["map", "convert", str(maps / "town.streetmap"), str(town)]) == 0
    out, image = tmp_path / "cache", tmp_path / "check.png"
    assert main(["cache", f"bag:{bag}", str(out), "--map", f"geojson:{town}", "--image", str(image)]) == 0
    printed = capsys.readouterr().out
    assert "poses of base_link in map from /tf" in printed and "3 frames of front, left, rear, right" in printed
    check_labels(out, drive, GRID_60X30.cell_m)
    for one, index in zip(cached(out), range(3), strict=True):
        views = one.frame.views
        assert tuple(view.name for view in views) == NAMES
        scaled = np.diag([352 / SIZE[0], 128 / SIZE[1], 1])
        for place, view in enumerate(views):
            assert view.stamp_ns == drive.stamp_ns(drive.time_s(index) + place * STAGGER_NS / 1e9)
            np.testing.assert_allclose(view.base_from_camera, mountings()[view.name], atol=1e-6)
            np.testing.assert_allclose(view.intrinsics[:2, :2], (scaled @ K)[:2, :2])
        np.testing.assert_allclose(
            one.frame.map_from_base, drive.motion.pose(drive.time_s(index)), atol=0.01
        )  # between two poses
        seen = views[0].image.rgb().astype(int)
        assert np.abs(np.diff(seen, axis=1)).mean() > 0.5  # the rendered street, not an empty image
    drawn = cv2.imread(str(image))
    assert drawn.shape[0] > 3 * 300 and drawn.shape[1] > 2 * 480


def test_a_lanelet2_map(drive: SimDrive, maps: Path, dark_bag: Path, tmp_path: Path) -> None:
    pytest.importorskip("lanelet2", reason="needs: pip install '.[maps]'")
    town = tmp_path / "town.osm"
    assert main(["map", "convert", str(maps / "town.streetmap"), str(town)]) == 0
    assert main(["cache", f"bag:{dark_bag}", str(tmp_path / "cache"), "--map", f"lanelet2:{town}"]) == 0
    check_labels(tmp_path / "cache", drive, GRID_60X30.cell_m)
    # again: the cache is there, whole, and the bag is the same
    assert main(["cache", f"bag:{dark_bag}", str(tmp_path / "cache"), "--map", f"lanelet2:{town}"]) == 0


def test_a_map_of_others_is_placed_by_its_origin(drive: SimDrive, maps: Path, dark_bag: Path, tmp_path: Path) -> None:
    town = tmp_path / "town.geojson"
    assert main(["map", "convert", str(maps / "town.streetmap"), str(town)]) == 0
    content = json.loads(town.read_text())
    del content["mapkd"]
    town.write_text(json.dumps(content))
    where = ["--map", str(town), "--origin", "48.1,11.5"]
    assert main(["cache", f"bag:{dark_bag}", str(tmp_path / "cache"), *where]) == 0
    check_labels(tmp_path / "cache", drive, GRID_60X30.cell_m)


@pytest.mark.slow
def test_training_writes_the_cameras_on_the_card(
    maps: Path, dark_bag: Path, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cache", f"bag:{dark_bag}", "own", "--map", str(maps / "town.streetmap"), "--size", "176x64"]) == 0
    config = root / "config" / "train" / "small" / "student.yaml"
    short = ["--steps", "2", "--val_every", "2", "--save_every", "2", "--warmup_steps", "1", "--data.workers", "0"]
    data = ["--data.train", "cache:own", "--data.val", "cache:own", "--batch_size", "2"]
    assert main(["train", "--config", str(config), "--name", "own", *data, *short]) == 0
    assert main(["export", "runs/own", "--out", "own.json", "--which", "last", "--frames", "1"]) == 0
    assert json.loads((tmp_path / "own.json").read_text())["cameras"] == list(NAMES)


def test_clocks_that_differ_and_poses_from_odometry(drive: SimDrive, maps: Path, tmp_path: Path) -> None:
    late = four_camera_bag(tmp_path / "late.mcap", drive, clock_ns=200_000_000, black=True, odometry=True)
    town = ["--map", str(maps / "town.streetmap")]
    assert main(["cache", f"bag:{late}", str(tmp_path / "as_is"), *town]) == 0
    with pytest.raises(AssertionError):
        check_labels(tmp_path / "as_is", drive, GRID_60X30.cell_m)
    assert main(["cache", f"bag:{late}", str(tmp_path / "mended"), *town, "--time-offset", "-0.2"]) == 0
    check_labels(tmp_path / "mended", drive, GRID_60X30.cell_m)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "expected --map MAP, or --no-labels"),
        (["--no-labels", "--align"], "--align is about the map"),
        (["--map", "{maps}/town.streetmap", "--lidar"], "only images are read"),
        (["--map", "{maps}/town.streetmap", "--origin", "48,11"], "in metres already"),
        (["--map", "{maps}/none.streetmap"], "none.streetmap"),
        (["--map", "shapefile:{maps}/town.shp"], "of no known format"),
        (["--map", "opendrive:{maps}/town.xodr"], "town.xodr does not exist"),
        (["--map", "{maps}/town.streetmap", "--time-offset", "3600"], "s from the nearest pose"),
        (["--map", "{maps}/town.streetmap", "--frame", "utm"], "utm"),
        (["--map", "{maps}/far.streetmap"], "the map spans x 100000"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_line(
    more: list[str], told: str, maps: Path, dark_bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    far = StreetMap.read(maps / "town.streetmap").elements[:1]
    away = np.array([[1e5, 0, 0], [1e5, 9, 0]])
    StreetMap((type(far[0])(1, "divider", away),)).write(maps / "far.streetmap")
    words = [word.format(maps=maps) for word in more]
    assert main(["cache", f"bag:{dark_bag}", str(tmp_path / "cache"), *words]) == 2
    error = capsys.readouterr().err
    assert told in error.strip().splitlines()[-1]
    assert "Traceback" not in error and not (tmp_path / "cache").exists()


def test_options_of_bags_are_refused_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["cache", "simdrive-v1:val:small:1", str(tmp_path / "c"), "--map", "a.osm"]) == 2
    assert "--map belongs to bags" in capsys.readouterr().err


def test_a_map_that_lies_beside_is_found(drive: SimDrive) -> None:
    true = street_map_of(drive.road_map)[0]
    off = transform_from_yaw(0.8, -1.1, 0.01)
    near = [e for e in true.elements if np.abs(e.points_m[:, :2] - drive.motion.pose(1.0)[:2, 3]).max() < 150]
    found = fit_of(StreetMap(tuple(moved(e, np.linalg.inv(off)) for e in near)), true)
    assert found.after_m < 0.1 < found.before_m
    place = drive.motion.pose(1.0)[:, 3]
    np.testing.assert_allclose((found.map_from_poses @ place)[:2], (off @ place)[:2], atol=0.15)
