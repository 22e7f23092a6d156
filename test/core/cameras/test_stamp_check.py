"""Stamps that cannot be right, by themselves and beside the other cameras'."""
from __future__ import annotations

from mapkd_core.cameras.stamp_check import NO_STAMP, SAME_STAMP, StampCheck

S = 1_000_000_000


def test_stamps_of_zero_and_stamps_that_stay_are_faults_until_they_move():
    check = StampCheck()
    stamps = (5, 5, 5, 5, 0, 6)
    assert [check.fault("A", stamp, k) for k, stamp in enumerate(stamps)] == ["", "", "", SAME_STAMP, NO_STAMP, ""]


def test_images_that_come_two_or_three_times_are_no_fault_of_the_driver():
    check = StampCheck()
    assert not any(check.fault("A", stamp, k) for k, stamp in enumerate((5, 5, 6, 6, 7, 7, 7, 8, 8)))


def test_one_of_three_is_of_another_clock_and_two_that_differ_are_not_judged():
    check = StampCheck()
    assert check.fault("A", 1000 * S, 0) == check.fault("B", 5 * S, 1) == ""
    assert check.fault("C", 1001 * S, 2) == ""
    assert check.fault("B", 6 * S, 3).startswith("its stamps are 994 s behind the others': another clock")
    assert check.fault("C", 1002 * S, 4) == ""


def test_what_came_long_ago_judges_nobody():
    check = StampCheck()
    for camera in "AC":
        check.fault(camera, 1000 * S, 0)
    assert check.fault("B", 6 * S, 3 * S) == ""
