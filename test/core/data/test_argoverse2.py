"""Argoverse 2: labels of the field's setting against what the files say, frames with and without images."""
from __future__ import annotations

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from mapkd_core.commands.main import main
from mapkd_core.data import argoverse2_map
from mapkd_core.data.argoverse2_map import ON_EDGE_M, UNPAINTED, crossing_area, load_argoverse2_map
from mapkd_core.data.labels import map_elements
from mapkd_core.data.lidar import Sweeps
from mapkd_core.geometry import apply, inverse
from mapkd_core.grid import GRID_60X30, GRID_100X50
from mapkd_core.schema import FileFault

pytest.importorskip("pyarrow")
from mapkd_core.data.argoverse2 import AXLE_HEIGHT_M, RING, Argoverse2Source
from mapkd_core.data.cache_record import CacheOptions, encode
from mapkd_core.data.frame_sample import SampleOptions, sample_from_frame
from mapkd_core.evaluation.prediction_jobs import is_scored
from mapkd_core.frame_sources import open_frames, with_images, with_maps
from mapkd_core.viewing.sources import open_moments
from mapkd_core.viewing.video import write_video

_BESIDE = Path(__file__).resolve().parents[4] / "shared" / "data" / "argoverse2"
LOGS = Path(os.environ.get("MAPKD_ARGOVERSE2", _BESIDE))
LOG = next(iter(sorted(LOGS.glob("*/map"))), LOGS / "none").parent
needs_log = pytest.mark.skipif(not LOG.is_dir(), reason=f"no log of Argoverse 2 in {LOGS}; set MAPKD_ARGOVERSE2")


def _xy(line: list[dict]) -> np.ndarray:
    return np.array([[p["x"], p["y"]] for p in line])


def _content() -> dict:
    return json.loads(next((LOG / "map").glob("log_map*.json")).read_text())


def _sampled(line: np.ndarray, step_m: float = 0.25) -> np.ndarray:
    """Points along a line, written anew: no function of the project."""
    points = []
    for a, b in pairwise(line):
        count = max(int(np.linalg.norm(b - a) / step_m), 1)
        points += [a + (b - a) * k / count for k in range(count)]
    return np.array([*points, line[-1]])


@needs_log
def test_painted_lines_are_dividers_each_once_and_nothing_else_is() -> None:
    content, vector_map = _content(), load_argoverse2_map(next((LOG / "map").glob("log_map*.json")))
    painted = [
        _xy(segment[f"{side}_lane_boundary"])
        for segment in content["lane_segments"].values() for side in ("left", "right")
        if segment[f"{side}_lane_mark_type"] not in UNPAINTED
    ]  # fmt: skip
    edges = np.concatenate([_sampled(np.concatenate([xy, xy[:1]]), 0.05) for area in content["drivable_areas"].values()
                            for xy in [_xy(area["area_boundary"])]])  # fmt: skip
    ours = [_sampled(line.points_m) for line in vector_map.dividers]
    every = np.concatenate(ours)
    assert len(painted) == 86 and len(ours) == len(vector_map.lines)
    missed = 0
    for line in painted:
        points = _sampled(line)
        from_ours = np.linalg.norm(points[:, None] - every, axis=-1).min(1)
        from_edge = np.linalg.norm(points[:, None] - edges, axis=-1).min(1)
        missed += int(((from_ours > 0.35) & (from_edge > ON_EDGE_M + 0.1)).sum())
        assert not np.any((from_ours < 1e-9) & (from_edge < ON_EDGE_M - 0.2) & _inside_union(content, points))
    total = sum(len(_sampled(line)) for line in painted)
    assert missed < 0.02 * total
    truth = np.concatenate([_sampled(line, 0.02) for line in painted])
    for number, points in enumerate(ours):
        assert np.linalg.norm(points[:, None] - truth, axis=-1).min(1).max() < 0.1
        for other in ours[number + 1 :]:  # none is a copy of another
            beside = np.linalg.norm(points[:, None] - other, axis=-1).min(1) < 0.1
            assert beside.mean() < 0.2


def _inside_union(content: dict, points: np.ndarray) -> np.ndarray:
    """Points whose nearest edge of an area is an edge of the road: not inside another area."""
    areas = [_xy(area["area_boundary"]).astype(np.float32) for area in content["drivable_areas"].values()]
    count = np.array([
        sum(cv2.pointPolygonTest(area.reshape(-1, 1, 2), (float(x), float(y)), True) > -0.5 for area in areas)
        for x, y in points
    ])  # fmt: skip
    return count == 1


@needs_log
@pytest.mark.parametrize("grid", [GRID_60X30, GRID_100X50], ids=["60x30", "100x50"])
def test_boundaries_and_crossings_against_a_drawing(grid) -> None:
    """The areas drawn on the grid by OpenCV, their contours against our lines."""
    content = _content()
    frame = Argoverse2Source(LOGS)[0]
    assert frame.map_from_base is not None and frame.vector_map is not None
    elements = map_elements(frame.vector_map(), frame.map_from_base, grid, "polygon")
    base_from_map = inverse(frame.map_from_base)
    yaw = np.arctan2(frame.map_from_base[1, 0], frame.map_from_base[0, 0])
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    here = frame.map_from_base[:2, 3]
    assert np.allclose(apply(base_from_map, frame.map_from_base[:3, 3]), 0, atol=1e-9)

    scale = 20.0  # pixels a metre
    low = np.array([grid.x_range_m[0], grid.y_range_m[0]])
    shape = np.round((np.array([grid.x_range_m[1], grid.y_range_m[1]]) - low) * scale).astype(int)

    def drawn(rings: list[np.ndarray]) -> np.ndarray:
        canvas = np.zeros((shape[1], shape[0]), np.uint8)
        for ring in rings:
            pixels = (((ring - here) @ turn - low) * scale - 0.5) * 16
            cv2.fillPoly(canvas, [np.round(pixels).astype(np.int32)], 1, shift=4)
        return canvas

    road = drawn([_xy(area["area_boundary"]) for area in content["drivable_areas"].values()])
    walks = drawn([cv2.convexHull(np.concatenate([_xy(c["edge1"]), _xy(c["edge2"])]).astype(np.float32))[:, 0]
                   for c in content["pedestrian_crossings"].values()])  # fmt: skip
    rings = [e.points_m.astype(float) for e in elements if e.label == "ped_crossing"]
    mine = np.zeros_like(walks)
    for ring in rings:
        cv2.fillPoly(mine, [np.round(((ring - low) * scale - 0.5) * 16).astype(np.int32)], 1, shift=4)
    assert len(rings) == 4 and walks.sum() > 1000 and (mine != walks).sum() < 0.03 * walks.sum()
    edge = cv2.morphologyEx(road, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    margin = int(0.4 * scale)
    edge[:margin] = edge[-margin:] = edge[:, :margin] = edge[:, -margin:] = 0
    rows, cols = np.nonzero(edge)
    truth = np.stack([cols, rows], -1) / scale + low
    lines = [_sampled(e.points_m.astype(float)) for e in elements if e.label == "boundary"]
    ours = np.concatenate(lines)
    assert len(truth) > 300
    assert np.linalg.norm(truth[:, None] - ours, axis=-1).min(1).max() < 0.3
    inner = np.all((ours > low + 0.5) & (ours < -low - 0.5), axis=1)
    assert np.linalg.norm(ours[inner][:, None] - truth, axis=-1).min(1).max() < 0.3


@needs_log
def test_the_ground_is_at_z_zero() -> None:
    frame = Argoverse2Source(LOGS, lidar_sweeps=1)[0]
    assert frame.lidar is not None
    points = frame.lidar()
    near = np.linalg.norm(points[:, :2], axis=1)
    ground = points[(near > 3) & (near < 12) & (np.abs(points[:, 2]) < 0.5)]
    assert abs(np.median(ground[:, 2])) < 0.1
    assert points[:, 4].max() < 0 and points[:, 4].min() > -0.12
    assert frame.base_from_lidar is not None and 1.9 < frame.base_from_lidar[2, 3] < 2.1


@needs_log
def test_frames_without_images_have_labels_and_are_refused_for_training() -> None:
    source, missing = open_frames(f"argoverse2:{LOGS}")
    assert missing == ["images of 1 of 1 frames (sensors/cameras)"]
    (frame,) = with_maps(source)
    assert frame.views == () and frame.conditions == ("PIT",)
    for refused in (lambda: sample_from_frame(frame, SampleOptions()), lambda: encode(frame, CacheOptions())):
        with pytest.raises(ValueError, match=r"has no images; labels and LiDAR can be had of it"):
            refused()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three sweeps and two images a camera, on a straight road."""
    import pyarrow as pa
    from pyarrow import feather

    folder = tmp_path / "logs" / "a-log"
    stamps = [10**18 + k * 100_000_000 for k in range(3)]
    line = lambda y, step=10: [{"x": x, "y": y, "z": 0} for x in range(0, 61, step)]  # noqa: E731
    segment = {"is_intersection": False, "lane_type": "VEHICLE", "left_lane_mark_type": "SOLID_YELLOW"}
    content = {
        "lane_segments": {
            "1": segment | {"left_lane_boundary": line(0), "right_lane_boundary": line(-3),
                            "right_lane_mark_type": "DASHED_WHITE"},
            "2": segment | {"left_lane_boundary": line(0, 20)[::-1], "right_lane_boundary": line(3)[::-1],
                            "right_lane_mark_type": "NONE"},
            "3": segment | {"left_lane_boundary": line(-3), "right_lane_boundary": line(-6),
                            "left_lane_mark_type": "DASHED_WHITE", "right_lane_mark_type": "SOLID_WHITE"},
        },
        "pedestrian_crossings": {
            "7": {"edge1": [{"x": 30, "y": -5}, {"x": 30, "y": 5}], "edge2": [{"x": 34, "y": 5}, {"x": 34, "y": -5}]}
        },
        "drivable_areas": {"9": {"area_boundary": [*line(-6.2), *line(6)[::-1]]}},
    }  # fmt: skip
    (folder / "map").mkdir(parents=True)
    (folder / "map" / "log_map_archive_a-log____WDC_city_1.json").write_text(json.dumps(content))

    def table(path: str, columns: dict) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        feather.write_feather(pa.table(columns), folder / path)

    pose = lambda x, z, names: {"qw": [1.0] * names, "qx": [0.0] * names, "qy": [0.0] * names,  # noqa: E731
                                "qz": [0.0] * names, "tx_m": x, "ty_m": [0.0] * names, "tz_m": z}  # fmt: skip
    table("city_SE3_egovehicle.feather", {"timestamp_ns": stamps[::-1], **pose([22.0, 21.0, 20.0], [5.0] * 3, 3)})
    names = [*RING, "up_lidar"]
    table("calibration/egovehicle_SE3_sensor.feather", {"sensor_name": names, **pose([1.0] * 8, [1.5] * 8, 8)})
    table("calibration/intrinsics.feather", {
        "sensor_name": list(RING), "fx_px": [40.0] * 7, "fy_px": [40.0] * 7, "cx_px": [24.0] * 7, "cy_px": [16.0] * 7,
        "height_px": [32] * 7, "width_px": [48] * 7,
    })  # fmt: skip
    for stamp in stamps:
        table(f"sensors/lidar/{stamp}.feather", {
            "x": pa.array(np.array([4, 5], np.float16)), "y": pa.array(np.array([0, 1], np.float16)),
            "z": pa.array(np.array([-0.33, 1], np.float16)), "intensity": pa.array([3, 255], pa.uint8()),
            "laser_number": pa.array([0, 1], pa.uint8()), "offset_ns": pa.array([0, 50_000_000], pa.int32()),
        })  # fmt: skip
    for name in RING:
        for stamp in stamps[1:]:
            path = folder / "sensors" / "cameras" / name / f"{stamp + 5_000_000}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((32, 48, 3), 90, np.uint8))
    return folder


def test_a_made_log_becomes_frames(log: Path) -> None:
    source = Argoverse2Source(log.parent, lidar_sweeps=2)
    assert len(source) == 3 and len(Argoverse2Source(log, every_s=0.2)) == 2
    first, second, _ = source
    assert first.views == ()  # no image within 60 ms
    assert [view.name for view in second.views] == list(RING)
    view = second.views[1]
    assert view.size == (48, 32) and view.stamp_ns - second.stamp_ns == 5_000_000
    assert np.allclose(view.base_from_camera[:3, 3], [1, 0, 1.5 + AXLE_HEIGHT_M])
    assert second.map_from_base is not None and np.allclose(second.map_from_base[:3, 3], [21, 0, 5 - AXLE_HEIGHT_M])
    points = second.lidar()  # type: ignore[misc]
    assert points.shape == (4, 5)
    assert np.allclose(points[:2, :3], [[4, 0, 0], [5, 1, 1.33]], atol=2e-3)
    assert np.allclose(points[2, [0, 4]], [3, 0.1], atol=1e-3)  # a metre back, a tenth of a second before
    assert np.allclose(points[:, 3], [3, 255, 3, 255]) and np.allclose(points[1, 4], -0.05)
    sample = sample_from_frame(second, SampleOptions(image_size=(48, 32)))
    assert sample.images.shape == (7, 32, 48, 3)
    ahead = Argoverse2Source(log.parent, lidar_sweeps=Sweeps(2, 1))[1].lidar()  # type: ignore[misc]
    assert np.allclose(ahead[:4], points) and np.allclose(ahead[4, [0, 4]], [5, -0.1], atol=1e-3)


def test_sweeps_before_the_first_images_are_left_out(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """LiDAR starts before the cameras: such frames are no fault of a log, but nothing can be predicted of them."""
    source, _ = open_frames(f"argoverse2:{log}")
    assert [is_scored(frame) for frame in source] == [False, True, True]
    assert [frame.token for frame in with_images(source)] == [frame.token for frame in list(source)[1:]]
    assert main(["cache", f"argoverse2:{log}", str(tmp_path / "cache"), "--size", "48x32"]) == 0
    said = capsys.readouterr().out
    assert "left out: images of 1 of 3 frames" in said and ": 2 frames in 1 shards" in said
    moments = open_moments(f"argoverse2:{log}", None)
    assert write_video(moments, tmp_path / "drive.mp4", GRID_60X30) == 2
    shutil.rmtree(log / "sensors" / "cameras")
    assert main(["cache", f"argoverse2:{log}", str(tmp_path / "none")]) == 2
    assert "none of 3 frames" in capsys.readouterr().err


def test_the_made_maps_lines(log: Path) -> None:
    vector_map = load_argoverse2_map(next((log / "map").iterdir()))
    # the middle, which two lanes store both ways with other vertices; the dashed one; none where the road ends
    found = sorted((line.paint, line.color, round(float(line.points_m[:, 1].mean()))) for line in vector_map.dividers)
    assert found == [("dashed", "white", -3), ("solid", "yellow", 0)]
    assert len(vector_map.crossings) == 1 and abs(vector_map.crossings[0].area - 40) < 1e-9
    assert abs(vector_map.road_area.area - 60 * 12.2) < 1e-6


def test_edges_of_a_crossing_run_either_way() -> None:
    edge = np.array([[0.0, 0], [10, 0]])
    for other in (edge + [0, 3], (edge + [0, 3])[::-1]):
        area = crossing_area(edge, other)
        assert area is not None and shapely.is_valid(area) and abs(area.area - 30) < 1e-9


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("city_SE3_egovehicle.feather", "is no Feather file"),
        ("sensors/lidar/1000000000000000000.feather", "is no Feather file"),
        ("calibration/intrinsics.feather", "is no Feather file"),
        ("map/log_map_archive_a-log____WDC_city_1.json", "is not a vector map of Argoverse 2"),
    ],
)
def test_a_damaged_file_is_named(log: Path, path: str, words: str) -> None:
    (log / path).write_bytes(b"nothing")
    with pytest.raises(FileFault, match=words) as caught:
        for frame in Argoverse2Source(log):
            frame.lidar()  # type: ignore[misc]
            frame.vector_map()  # type: ignore[misc]
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_named(log: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no log of Argoverse 2"):
        Argoverse2Source(tmp_path)
    split = tmp_path / "dataset" / "val"
    split.mkdir(parents=True)
    (split / log.name).symlink_to(log)
    with pytest.raises(FileNotFoundError, match="its folders val hold logs: name one of them"):
        Argoverse2Source(split.parent)
    assert len(Argoverse2Source(split)) == 3
    next((log / "map").iterdir()).unlink()
    source, missing = open_frames(f"argoverse2:{log}:0.1")
    assert missing == ["images of 1 of 3 frames (sensors/cameras)", "the map of 3 frames (map/)"]
    assert len(with_maps(source)) == 0


def test_lines_that_cross_stay_whole_and_copies_go() -> None:
    along, across = LineString([(0, 0), (20, 0)]), LineString([(10, -9), (10, 9)])
    assert argoverse2_map._without_copy(along, across) is along
    copied = argoverse2_map._without_copy(along, LineString([(5, 0.1), (12, 0.1)]))
    assert copied.length == pytest.approx(13)


@pytest.mark.parametrize(("turn_deg", "count"), [(0, 1), (50, 1), (70, 2), (120, 2), (170, 2)])
def test_lines_are_joined_straight_on_alone(turn_deg: float, count: int) -> None:
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    first, second = np.array([[0.0, 0], [10, 0]]), np.array([[10.05, 0], [10 + 5 * c, 5 * s]])
    for one, other in ((first, second), (first[::-1], second), (second, first), (second[::-1], first[::-1])):
        paint = {10: ("solid", "white"), 5: ("dashed", "yellow")}
        lines = [(line, *paint[round(float(np.linalg.norm(line[1] - line[0])))]) for line in (one, other)]
        joined = argoverse2_map._joined(lines)
        assert len(joined) == count
        if count == 1:  # the paint of the longer one
            assert (joined[0].paint, joined[0].color) == ("solid", "white")
