"""Frames of simulated drives: complete, exact, repeatable, and the same whatever order they are asked for in."""
from __future__ import annotations

import pickle

import numpy as np
import pytest
from spawned import bytes_of_frames, in_worker

from mapkd_core.data.labels import map_elements
from mapkd_core.data.lidar import Sweeps
from mapkd_core.geometry import inverse
from mapkd_core.grid import GRID_60X30
from mapkd_core.sim.drive import SimDrive
from mapkd_core.types import CAMERAS

SIZE = (88, 50)


@pytest.fixture(scope="module")
def drive() -> SimDrive:
    return SimDrive(1, size=SIZE, frames=3, lidar_sweeps=2)


def test_a_frame_has_everything(drive):
    frame = drive[1]
    assert [view.name for view in frame.views] == list(CAMERAS)
    for view in frame.views:
        pixels = view.image.rgb()
        assert pixels.shape == (SIZE[1], SIZE[0], 3) and pixels.dtype == np.uint8 and view.image.jpeg() is None
        assert pixels.std() > 5, "an empty image"
        assert view.size == SIZE and view.intrinsics[0, 2] == pytest.approx(SIZE[0] / 2, rel=0.15)
    points = frame.lidar()
    assert points.dtype == np.float32 and points.shape[1] == 5 and len(points) > 20_000
    assert sorted(set(np.round(points[:, 4], 3))) == [0.0, pytest.approx(0.05)]
    assert 0 <= points[:, 3].min() and points[:, 3].max() <= 255
    elements = map_elements(frame.vector_map(), frame.map_from_base, GRID_60X30)
    assert {"divider", "boundary"} <= {element.label for element in elements}


def test_sweeps_after_a_frame_lie_where_the_vehicle_will_be(drive, monkeypatch):
    times = []
    ahead = SimDrive(1, size=SIZE, frames=3, lidar_sweeps=Sweeps(2, 3, 10))
    monkeypatch.setattr(ahead, "sweep", lambda time_s: times.append(time_s) or np.float32([[10, 0, 0, 7, 3]]))
    points = ahead[1].lidar()
    np.testing.assert_allclose(points[:, 4], [0, 0.5, -0.5, -1, -1.5], atol=1e-6)
    np.testing.assert_allclose(times, [1.5, 1, 2, 2.5, 3])
    now, later = ahead.motion.pose(1.5), ahead.motion.pose(2.5)
    seen = inverse(now) @ later @ ahead.rig.base_from_lidar @ [10, 0, 0, 1]
    np.testing.assert_allclose(points[3, :3], seen[:3], atol=1e-4)
    assert points[4, 0] > points[3, 0] > points[2, 0] > points[0, 0], "the vehicle drives on"


def test_no_sweep_lies_beyond_the_ends_of_a_drive(monkeypatch):
    times = []
    whole = SimDrive(1, size=SIZE, frames=3, lidar_sweeps=Sweeps(5, 100, 10))  # half a second apart, from 2 s before
    monkeypatch.setattr(whole, "sweep", lambda time_s: times.append(time_s) or np.float32([[10, 0, 0, 7, 3]]))
    assert len(whole[0].lidar()) == len(times)
    assert min(times) == 0.5, "a sweep takes time: there is none that ends with the drive's first moment"
    assert max(times) <= whole.motion.duration_s < max(times) + 0.5
    assert len(SimDrive(1, size=SIZE, frames=3, lidar_sweeps=0).points(0)) == 0


def test_stamps_are_those_of_a_nuscenes_keyframe(drive):
    frame = drive[2]
    offsets_ms = [(view.stamp_ns - frame.stamp_ns) / 1e6 for view in frame.views]
    assert all(-48 < offset < 2 for offset in offsets_ms) and np.argmin(offsets_ms) == 0
    assert all(view.stamp_ns % 1000 == 0 for view in frame.views)
    assert drive[2].stamp_ns - drive[1].stamp_ns == 500_000_000
    moved = inverse(frame.map_from_base) @ frame.views[0].map_from_base
    assert -1.0 < moved[0, 3] < 0, "the front left camera fires before the LiDAR, so from a place behind"


def test_frames_are_the_same_bytes_in_any_order_and_in_another_process(drive):
    late, early = in_worker(bytes_of_frames, drive, [2, 0])
    assert [early, late] == bytes_of_frames(drive, [0, 2])


def test_seeds_differ(drive):
    other = SimDrive(2, size=SIZE, frames=1)
    assert other[0].token != drive[0].token
    assert other.conditions != drive.conditions
    assert other.road_map.road_area.wkb != drive.road_map.road_area.wkb


def test_a_pickled_drive_is_small(drive):
    drive[0].views[0].image.rgb()
    assert len(pickle.dumps(drive)) < 5000


def test_release_frees_the_world(drive):
    drive[0]
    assert "world" in drive.__dict__
    drive.release()
    assert "world" not in drive.__dict__ and "road_map" not in drive.__dict__


def test_lidar_sees_the_road_where_the_map_says_it_is(drive):
    """Ground returns off the road lie a curb's height above those on it."""
    import shapely

    level = SimDrive(5, size=SIZE, frames=1)
    frame = level[0]
    points = frame.lidar().astype(np.float64)
    in_map = points[:, :3] @ frame.map_from_base[:3, :3].T + frame.map_from_base[:3, 3]
    near = np.linalg.norm(points[:, :2], axis=1) < 15
    height = in_map[near, 2] - level.world.height_m(in_map[near, :2])
    area = level.road_map.road_area
    edge = shapely.distance(area.boundary, shapely.points(in_map[near, :2]))
    on_road = shapely.contains_xy(area, *in_map[near, :2].T)
    ground = height < 0.4
    inside, outside = on_road & (edge > 0.15) & ground, ~on_road & (edge > 0.15) & ground
    assert inside.sum() > 500 and outside.sum() > 200
    assert np.median(height[inside]) == pytest.approx(0, abs=0.02)
    assert np.median(height[outside]) == pytest.approx(level.world.curb_m, abs=0.03)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"frames": 0}, "expected at least one"),
    ({"keyframe_s": 0.0}, "some time apart"),
])
def test_senseless_drives_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SimDrive(1, **arguments)


def test_a_real_map_needs_a_folder():
    with pytest.raises(ValueError, match="dataroot"):
        _ = SimDrive(1, road="boston-seaport").road_map


def test_frame_numbers_out_of_range_end_iteration(drive):
    with pytest.raises(IndexError):
        drive[3]
    assert len(list(drive)) == 3
