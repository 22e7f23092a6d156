"""Data are known by their content: the same at another place are the same, others at the same place are not."""
import json
import shutil

import cv2
import numpy as np
import pytest
from tiny_nuscenes import VERSION, write_tiny_nuscenes

from mapkd_core.data.nuscenes import NuScenesSource
from mapkd_core.evaluation.identity import frames_fingerprint


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


@pytest.mark.parametrize("edit", [another_image, another_sweep, another_pose, sd_roads])
def test_others_in_the_same_place_are_others(root, edit):
    before = identity(root)
    edit(root)
    assert identity(root) != before
