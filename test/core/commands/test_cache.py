"""`mapkd cache` takes its folder before anything slow, and keeps the LiDAR's sweeps that it is told to."""
import json

import numpy as np
import pytest
import torch
from tiny_nuscenes import VERSION, write_tiny_nuscenes

from mapkd_core import frame_sources
from mapkd_core.commands.main import main
from mapkd_core.data.cache import CachedSamples
from mapkd_core.data.dataset import Collate
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.files import FolderLock
from mapkd_core.grid import BevGrid
from mapkd_core.model.point_pillars import PointPillars


def test_a_folder_in_use_is_refused_before_the_source_is_opened(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(frame_sources, "open_frames", lambda *_, **__: pytest.fail("the source was opened"))
    with FolderLock(tmp_path / "cache"):
        assert main(["cache", "simdrive-v1:val:small:1", str(tmp_path / "cache")]) == 2
    assert "in use by" in capsys.readouterr().err


def test_a_cache_that_was_not_begun_leaves_no_folder(tmp_path):
    assert main(["cache", "nowhere:x", str(tmp_path / "cache")]) == 2
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def folder(tmp_path):
    """nuScenes' tables of three keyframes, whose LiDAR sweeps follow each other."""
    root = write_tiny_nuscenes(tmp_path / "nuscenes", {"scene-a": 3})
    path = root / VERSION / "sample_data.json"
    rows = json.loads(path.read_text())
    for k in (1, 2):
        next(row for row in rows if row["token"] == f"scene-a-{k}-LIDAR_TOP")["prev"] = f"scene-a-{k - 1}-LIDAR_TOP"
    path.write_text(json.dumps(rows))
    return root


def test_a_teachers_network_sees_what_comes_after_the_frame(folder, tmp_path):
    command = ["cache", str(folder), str(tmp_path / "cache"), "--size", "64x36", "--no-labels", "--lidar"]
    assert main([*command, "--sweeps", "2,1"]) == 0
    grid = BevGrid((-30.0, 30.0), (-15.0, 15.0), 1.0)
    samples = {s.token: s for s in CachedSamples(tmp_path / "cache", SampleOptions(grid, (64, 36), True, labels=False))}
    middle = samples["scene-a-1"]
    np.testing.assert_allclose(middle.lidar[:, 4], [0, 0, 0.5, 0.5, -0.5, -0.5], atol=1e-3)
    np.testing.assert_allclose(samples["scene-a-2"].lidar[:, 4], [0, 0, 0.5, 0.5], atol=1e-3)
    batch = Collate(grid, labels=False, lidar_points=5)([middle])
    np.testing.assert_allclose(batch.lidar[0, :, 4], [0, 0, 0.5, 0.5, -0.5], atol=1e-3)  # the farthest is cut off
    torch.manual_seed(0)
    pillars = PointPillars(grid, channels_out=2, width=16, layers=(1, 1, 1))
    other = batch.lidar.clone()
    other[..., 4] *= -1
    seen, swapped = pillars(batch.lidar, batch.lidar_mask), pillars(other, batch.lidar_mask)
    assert (seen - swapped).abs().max() > 1e-4, "before and after are told apart"


def test_other_sweeps_are_another_cache(folder, tmp_path, capsys):
    command = ["cache", str(folder), str(tmp_path / "cache"), "--size", "64x36", "--no-labels", "--lidar"]
    assert main([*command, "--sweeps", "1"]) == 0 and main([*command, "--sweeps", "1"]) == 0
    assert main([*command, "--sweeps", "1,1"]) == 2
    assert "holds a cache of something else" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--sweeps", "1,1"], "no LiDAR is read"),
        (["--lidar", "--sweeps", "two"], "--sweeps is 'two'; expected UNTIL"),
        (["--lidar", "--sweeps", "0"], "at least one sweep"),
    ],
)
def test_sweeps_that_cannot_be(folder, tmp_path, options, told, capsys):
    assert main(["cache", str(folder), str(tmp_path / "cache"), "--no-labels", *options]) == 2
    assert told in capsys.readouterr().err


def test_a_bag_has_no_sweeps(tmp_path, capsys):
    assert main(["cache", "bag:drive.mcap", str(tmp_path / "cache"), "--sweeps", "1"]) == 2
    assert "--sweeps with bag:drive.mcap: of bags only images are read" in capsys.readouterr().err
