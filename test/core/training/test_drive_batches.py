"""Batches straight from the simulator: the drives follow from the seed, a batch mixes several, nothing comes twice."""
from dataclasses import replace

import pytest
import torch

from mapkd_core.config import DataConfig, TrainConfig
from mapkd_core.data.images import normalise
from mapkd_core.grid import BevGrid
from mapkd_core.sim.drive import SimDrive
from mapkd_core.training import drive_batches
from mapkd_core.training.drive_batches import FIRST_SEED, DriveBatches

pytest.importorskip("numba")
CONFIG = TrainConfig(
    data=DataConfig(image_size=(64, 32)), grid=BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.6), batch_size=2, seed=2
)


def test_frames_are_the_drives_and_every_frame_comes_once():
    batches = DriveBatches(CONFIG, "cpu", frames=2, pool=2)
    first, second = next(batches), next(batches)
    assert first.images.shape == (2, 6, 3, 32, 64) and first.semantic.shape == (2, 4, *CONFIG.grid.shape)
    assert len(first.elements) == 2 and len({*first.tokens, *second.tokens}) == 4
    drive = SimDrive(FIRST_SEED + 2_000_000, size=(64, 32), lidar=False, frames=2, keyframe_s=1.5)
    index = [frame.token for frame in drive].index(first.tokens[0])
    expected = torch.from_numpy(normalise(list(drive.render_tensor(range(2)).numpy()[6 * index :][:6])))
    torch.testing.assert_close(first.images[0], expected)
    assert sum(batches.seconds.values()) > 0 and batches.seconds["rendering"] > 0


@pytest.mark.slow
def test_the_same_from_loader_processes_and_other_drives_later():
    here = next(DriveBatches(CONFIG, "cpu", frames=1, pool=2))
    there = next(DriveBatches(replace(CONFIG, data=replace(CONFIG.data, workers=2)), "cpu", frames=1, pool=2))
    assert here.tokens == there.tokens and torch.equal(here.images, there.images)
    later = next(DriveBatches(CONFIG, "cpu", first_batch=1, frames=1, pool=2))
    assert not set(later.tokens) & set(here.tokens)


def test_parts_that_a_batch_lacks_stay_away():
    made = drive_batches.MadeDrives(CONFIG, frames=2)[0].frames
    one, two = drive_batches.single_frames(made)
    both = drive_batches.joined([two, one])
    assert both.lidar is None and both.tokens == made.tokens[::-1]
    assert torch.equal(both.semantic, made.semantic.flip(0))
