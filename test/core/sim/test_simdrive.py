from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mapkd_core.sim import simdrive as sd
from mapkd_core.sim.drive import PROCEDURAL, SimDrive


def seeds(group: sd.DriveGroup) -> set[int]:
    return set(range(group.first_seed, group.first_seed + group.drives))


def test_no_two_groups_share_a_seed():
    everything = [group for split in sd.SPLITS for group in sd.groups(split)]
    for one, two in combinations(everything, 2):
        assert not seeds(one) & seeds(two), (one, two)


def test_splits_share_no_road():
    """Rectangles of different splits lie so far apart that no 60x30 m patch of one touches a road of the other."""
    everything = [group for split in sd.SPLITS for group in sd.groups(split) if group.road != PROCEDURAL]
    reach = 2 * np.hypot(30, 15)
    compared = 0
    for one, two in combinations(everything, 2):
        if one.split == two.split or one.road != two.road:
            continue
        (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = one.area_m, two.area_m
        gap = np.hypot(max(bx0 - ax1, ax0 - bx1, 0), max(by0 - ay1, ay0 - by1, 0))
        assert gap > reach, (one, two)
        compared += 1
    assert compared >= 4


def test_without_real_maps_it_runs_on_the_procedural_part_and_says_so(tmp_path):
    source = sd.simdrive("val", "small", tmp_path)
    assert len(source) == 160 and {drive.road for drive in source.drives} == {PROCEDURAL}
    assert len(source.skipped) == 2 and "6 drives on boston-seaport" in source.skipped[0]


def test_with_real_maps_it_is_whole(dataroot):
    source = sd.simdrive("test", "full", dataroot, lidar=False)
    assert source.skipped == () and {drive.road for drive in source.drives} >= {"boston-seaport", PROCEDURAL}
    assert source.drives[0].size == (352, 128)


def test_drives_can_be_thinned_evenly(dataroot):
    source = sd.simdrive("train", "small", dataroot, drives=40)
    assert len(source.drives) == 40 and len({drive.road for drive in source.drives}) >= 3


def test_images_are_not_enlarged_where_larger_ones_can_be_had():
    sizes = {(88, 32): "small", (176, 64): "small", (178, 64): "full", (160, 80): "full", (704, 256): "full"}
    assert {size: sd.size_for(size) for size in sizes} == sizes and sd.size_for(None) == "full"


def test_indices_run_over_drives_and_only_a_few_worlds_stay(monkeypatch):
    drives = tuple(SimDrive(seed, frames=2, lidar=False, size=(32, 18)) for seed in range(4))

    def pretend(self, k):
        self.__dict__["world"] = "built"
        return self.seed, k

    monkeypatch.setattr(SimDrive, "__getitem__", pretend)
    source = sd.SimSource(drives)
    assert [source[k] for k in range(8)] == [(seed, k) for seed in range(4) for k in range(2)]
    assert source[-1] == (3, 1)
    assert [("world" in drive.__dict__) for drive in drives] == [False, False, True, True]
    with pytest.raises(IndexError):
        source[8]


@pytest.mark.parametrize(("call", "message"), [
    (lambda: sd.simdrive("trian"), "'trian' is not one of"),
    (lambda: sd.simdrive("train", "huge"), "'huge' is not one of"),
    (lambda: sd.DriveGroup.parse("train procedural 1"), "is not `split road"),
])
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
