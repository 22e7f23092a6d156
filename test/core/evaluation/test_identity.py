"""Data are known by their content: the same at another place are the same, others at the same place are not."""
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from tiny_nuscenes import VERSION, write_tiny_nuscenes

from mapkd_core.data.nuscenes import NuScenesSource
from mapkd_core.evaluation.identity import _facts, _sketch, cache_fingerprint, frames_fingerprint


@pytest.fixture
def root(tmp_path):
    return write_tiny_nuscenes(tmp_path / "data", {"scene-a": 2})


def identity(root):
    return frames_fingerprint(NuScenesSource(root))


def another_image(root):
    path = root / "samples/CAM_FRONT/scene-a-1.jpg"
    size = path.stat().st_size
    data = bytes(cv2.imencode(".jpg", np.full((36, 64, 3), 200, np.uint8))[1])
    path.write_bytes(data[:size].ljust(size, b"\0"))


def another_sweep(root):
    path = root / "samples/LIDAR_TOP/scene-a-0.pcd.bin"
    path.write_bytes((np.fromfile(path, np.float32) + 1).tobytes())


def another_pose(root):
    path = root / VERSION / "ego_pose.json"
    rows = json.loads(path.read_text())
    rows[0]["translation"][0] += 1
    path.write_text(json.dumps(rows))


def sd_roads(root):
    (root / "osm").mkdir()
    (root / "osm" / "boston-seaport.geojson").write_text("{}")


def test_the_same_elsewhere_is_the_same(root, tmp_path):
    assert identity(shutil.copytree(root, tmp_path / "moved")) == identity(root)


def another_map(root):
    (root / "maps" / "expansion").mkdir(parents=True)
    (root / "maps" / "expansion" / "boston-seaport.json").write_text("{}")


def test_an_image_is_known_by_its_size_and_by_what_lies_in_its_middle(tmp_path):
    (tmp_path / "a").write_bytes(bytes(10_000))
    before = _sketch(tmp_path / "a")
    (tmp_path / "a").write_bytes(bytes(5_500) + b"x" + bytes(4_499))
    assert _sketch(tmp_path / "a") != before
    (tmp_path / "a").write_bytes(bytes(10_001))
    assert _sketch(tmp_path / "a") != before and before.startswith(b"10000 ") and len(before) < 1100


def test_a_cache_is_known_by_its_index_and_its_shards(tmp_path):
    cached = SimpleNamespace(index=SimpleNamespace(location=str(tmp_path), files=("0.tar", "1.tar")))
    for name in ("index.json", "0.tar", "1.tar"):
        (tmp_path / name).write_bytes(b"first")
    before = cache_fingerprint(cached)
    assert cache_fingerprint(cached) == before
    for name in ("index.json", "0.tar", "1.tar"):
        (tmp_path / name).write_bytes(b"other")
        assert cache_fingerprint(cached) != before
        (tmp_path / name).write_bytes(b"first")


def test_where_the_vehicle_was_counts(root):
    """Also where images and LiDAR have poses of their own."""
    (source,) = ([*NuScenesSource(root)],)
    moved = [replace(frame, map_from_base=frame.map_from_base + np.eye(4)) for frame in source]
    assert list(_facts(moved)) != list(_facts(source)) == list(_facts([replace(frame) for frame in source]))


@pytest.mark.parametrize("edit", [another_image, another_sweep, another_pose, another_map, sd_roads])
def test_others_in_the_same_place_are_others(root, edit):
    before = identity(root)
    edit(root)
    assert identity(root) != before
