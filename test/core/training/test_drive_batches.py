"""Batches straight from the simulator: the drives follow from the seed, a batch mixes several, nothing comes twice."""
import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mapkd_core.config import DataConfig, TrainConfig
from mapkd_core.data.images import normalise
from mapkd_core.grid import BevGrid
from mapkd_core.sim.drive import SimDrive
from mapkd_core.training import drive_batches
from mapkd_core.training.drive_batches import FIRST_SEED, DriveBatches
from mapkd_core.types import Batch

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


def unlike(number, frames):
    """Frames that say from which drive and which place in it they are."""
    images = torch.zeros(frames, 1, 3, 1, 1)
    return Batch(images, images[..., 0], images[..., 0], tokens=[f"{number}:{k}" for k in range(frames)])


@pytest.fixture
def asked(monkeypatch):
    """Which drives were asked for first, and how many frames a drive has."""
    found = []

    def made(config, first, frames):
        found.append((first, frames))
        return (SimpleNamespace(frames=unlike(number, frames)) for number in range(first, first + 99))

    monkeypatch.setattr(drive_batches, "made_drives", made)
    monkeypatch.setattr(drive_batches, "rendered", lambda drive, device: drive.frames)
    return found


def tokens(count, **options):
    batches = DriveBatches(replace(CONFIG, seed=options.pop("seed", 2)), "cpu", frames=4, **options)
    return [next(batches).tokens for _ in range(count)], batches


def test_a_batch_is_drawn_from_the_frames_of_several_drives_and_the_others_wait(asked):
    drawn, batches = tokens(10, pool=10)
    flat = [token for batch in drawn for token in batch]
    assert all(len(batch) == 2 for batch in drawn) and len(set(flat)) == 20
    assert {t.split(":")[0] for t in drawn[0] + drawn[1]} <= {"0", "1", "2"}, "three drives hold at least ten frames"
    assert len(batches._pool) == 8, "seven drives have come"
    assert not {b.tokens[0] for b in batches._pool} & set(flat)
    assert flat != sorted(flat, key=lambda t: tuple(map(int, t.split(":")))) and asked == [(0, 4)]
    assert len(tokens(1, pool=1)[1]._pool) == 2, "never fewer than a batch"


def test_the_draw_follows_from_the_seed_and_a_later_start_sees_later_drives(asked):
    assert tokens(4, pool=8)[0] == tokens(4, pool=8)[0] != tokens(4, pool=8, seed=3)[0]
    later, _ = tokens(4, pool=8, first_batch=10)
    assert asked[-1] == (5, 4) and min(int(t.split(":")[0]) for batch in later for t in batch) >= 5
    moved = [[f"{int(t.split(':')[0]) - 5}:{t.split(':')[1]}" for t in batch] for batch in later]
    assert moved != tokens(4, pool=8)[0], "nor are they drawn in the same order"


def test_no_two_runs_and_no_two_drives_of_a_run_are_the_same(monkeypatch):
    """Nor are they those of simdrive-v1, whose seeds are below."""
    class Asked(Exception):
        pass

    def drive(seed, **options):
        raise Asked(seed)

    monkeypatch.setattr(drive_batches, "SimDrive", drive)
    seeds = []
    for run in (0, 1, 2):
        for number in (0, 1, 999_999):
            with pytest.raises(Asked) as asked:
                drive_batches.MadeDrives(TrainConfig(seed=run))[number]
            seeds.append(asked.value.args[0])
    assert len(set(seeds)) == 9 and seeds == sorted(seeds) and seeds[0] == drive_batches.FIRST_SEED > 4_000_000


def test_a_run_that_goes_on_takes_other_drives_and_draws_other_numbers(monkeypatch):
    """Batch 6 of four frames begins in drive 3, of eight frames each."""
    asked = []
    monkeypatch.setattr(drive_batches, "made_drives", lambda *given: asked.append(given) or iter(()))
    config = TrainConfig(batch_size=4, seed=3)
    batches = drive_batches.DriveBatches(config, "cpu", first_batch=6, frames=8)
    assert asked == [(config, 3, 8)]
    assert batches._random.random() == np.random.default_rng((3, 5, 6)).random()
    assert list(itertools.islice(drive_batches._From(7), 3)) == [7, 8, 9]


def test_a_drives_seed_and_pace_are_those_asked_for(monkeypatch):
    class Asked(Exception):
        pass

    def drive(seed, **given):
        raise Asked(seed, given["frames"], given["keyframe_s"])

    monkeypatch.setattr(drive_batches, "SimDrive", drive)
    with pytest.raises(Asked) as asked:
        drive_batches.MadeDrives(TrainConfig(seed=2), frames=5, every_s=2.5)[11]
    assert asked.value.args == (drive_batches.FIRST_SEED + 2_000_011, 5, 2.5)
