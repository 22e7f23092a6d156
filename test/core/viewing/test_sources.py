"""The moments of every kind of source: in order, with the true map where there is one."""
from __future__ import annotations

import numpy as np
import pytest
from invented_frames import TOWN, Drive
from tiny_nuscenes import write_tiny_nuscenes

from mapkd_core.data.labels import map_elements
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import BevGrid
from mapkd_core.predictor import CameraError, PredictedMap
from mapkd_core.types import CAMERAS, MapElement
from mapkd_core.viewing.moments import MomentOptions
from mapkd_core.viewing.sources import is_bag, open_moments

GRID = BevGrid((-15.0, 15.0), (-7.5, 7.5), 0.3)


class Scripted:
    """A predictor that finds one line, and cannot decode images of some frames."""

    class card:
        grid, input_size, name = GRID, (32, 18), "scripted"

    def __init__(self, broken=()):
        self.broken, self.asked = broken, []

    def predict_frame(self, frame):
        self.asked.append(frame.token)
        if frame.token in self.broken:
            raise CameraError(2, "no JPEG")
        return self.found()

    def predict(self, images, intrinsics, base_from_camera, image_sizes=None, masks=None):
        return self.found()

    def found(self):
        line = MapElement("divider", np.array([[2, 1], [20, 1]], np.float32), 0.5)
        return PredictedMap([line], np.full((4, GRID.rows, GRID.cols), 0.25, np.float32), {"network": 1.0})


def same(found, wanted) -> bool:
    return [e.label for e in found] == [e.label for e in wanted] and all(
        np.allclose(a.points_m, b.points_m, atol=1e-3) for a, b in zip(found, wanted, strict=True)
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> str:
    from mapkd_core.data.cache_record import CacheOptions
    from mapkd_core.data.cache_write import write_cache

    folder = tmp_path_factory.mktemp("cache")
    write_cache(Drive(7), folder, CacheOptions((64, 36), lidar=True), shard_frames=3, progress=False)
    return f"cache:{folder}"


def test_frames_of_a_cache_come_in_the_order_of_time_with_their_map(cache):
    with open_moments(cache, Scripted()) as moments:
        assert moments.total == 7
        seen = list(moments)
    assert [m.name for m in seen] == [f"token-{k}" for k in range(7)]
    assert all(same(m.truth, map_elements(TOWN, m.map_from_base, GRID, "polygon")) and m.truth for m in seen)
    assert all(m.predicted is not None and m.points is None for m in seen)
    pixels, intrinsics = seen[0].cameras[0].read(1000)
    assert pixels.shape == (36, 64, 3) and intrinsics[0, 0] == pytest.approx(250 * 64 / 320)


def test_moments_are_thinned_in_time_and_number(cache):
    assert [m.name for m in open_moments(cache, None, MomentOptions(every_s=1.0))] == [
        f"token-{k}" for k in (0, 2, 4, 6)
    ]
    limited = open_moments(cache, None, MomentOptions(every_s=1.0, limit=2))
    assert limited.total == 2 and [m.name for m in limited] == ["token-0", "token-2"]


def test_without_a_predictor_there_are_images_and_the_map_and_points_where_asked_for(cache):
    (moment, *_) = open_moments(cache, None, MomentOptions(lidar=True))
    assert moment.predicted is None and moment.truth and moment.points.shape[1] == 5


def test_a_frame_whose_image_is_broken_is_counted(cache):
    moments = open_moments(cache, Scripted(broken=("token-2",)))
    assert [m.name for m in moments] == [f"token-{k}" for k in (0, 1, 3, 4, 5, 6)]
    assert moments.faults == {f"{CAMERAS[2]}: no JPEG": 1}


def test_scenes_of_a_data_root_are_chosen_and_thinned_each_for_itself(tmp_path):
    root = write_tiny_nuscenes(tmp_path, {"scene-0001": 3, "scene-0002": 2})
    said: list[str] = []
    every = list(open_moments(str(root), None, MomentOptions(every_s=100.0), said.append))
    assert [m.scene for m in every] == ["scene-0001", "scene-0002"]
    chosen = list(open_moments(str(root), None, MomentOptions(scenes=("scene-0002",))))
    assert [m.scene for m in chosen] == ["scene-0002"] * 2 and chosen[0].truth is None
    with pytest.raises(ValueError, match=r"holds no frame of scene nowhere"):
        open_moments(str(root), None, MomentOptions(scenes=("nowhere",)))


def test_a_bag_without_poses_is_seen_from_the_vehicle(tmp_path):
    pytest.importorskip("rosbags", reason="rosbags has the message classes")
    from camera_bags import drive, write

    path = write(tmp_path / "a.mcap", drive(("CAM_FRONT", "CAM_BACK"), count=4))
    said: list[str] = []
    with open_moments(str(path), Scripted(), note=said.append) as moments:
        seen = list(moments)
    assert len(seen) == 4 and {m.scene for m in seen} == {"a"}
    assert all(m.map_from_base is None and m.truth is None and len(m.cameras) == 2 for m in seen)
    assert any(line.startswith("no poses, so all is shown from the vehicle") for line in said)
    with pytest.raises(ValueError, match="of which images are read"):
        open_moments(str(path), None, MomentOptions(lidar=True))


def test_a_bag_with_poses_and_a_map_has_truth(tmp_path):
    pytest.importorskip("rosbags", reason="rosbags has the message classes")
    from camera_bags import BEGIN_NS, PLAIN, drive, write
    from street_bags import pose_message

    messages = drive(("front",), count=4)
    poses = [transform_from_yaw(4.0 * k, 1.0, 0.2) for k in range(-1, 5)]
    messages += [
        (stamp, "/tf", pose_message(PLAIN, pose, stamp))
        for k, pose in enumerate(poses) for stamp in [BEGIN_NS + (k - 1) * 100_000_000]
    ]  # fmt: skip
    path = write(tmp_path / "b.mcap", sorted(messages, key=lambda message: message[0]))
    with open_moments(f"bag:{path}", Scripted(), MomentOptions(road_map=TOWN), note=lambda _: None) as moments:
        seen = list(moments)
    assert len(seen) == 4
    for k, moment in enumerate(seen):
        assert np.allclose(moment.map_from_base, poses[k + 1], atol=1e-6)
        assert moment.truth and same(moment.truth, map_elements(TOWN, poses[k + 1], GRID, "polygon"))


def test_what_is_a_bag_and_what_belongs_to_one(tmp_path, cache):
    (tmp_path / "x.mcap").touch()
    (tmp_path / "y.txt").touch()
    assert is_bag(tmp_path / "x.mcap") and is_bag(tmp_path) and not is_bag(tmp_path / "y.txt")
    with pytest.raises(ValueError, match="belong to a bag"):
        open_moments(cache, None, MomentOptions(road_map=TOWN))
