"""One camera's rhythm: when an image is lacking, when a camera is late, and how its period is learnt."""
from __future__ import annotations

import pytest

from mapkd_core.cameras.camera_track import CameraTrack, tightest


def track(*stamps: int, period: int | None = 100) -> CameraTrack[str]:
    found: CameraTrack[str] = CameraTrack({s: "" for s in stamps}, list(stamps), max(stamps, default=None), period)
    return found


def test_a_period_shrinks_at_once_and_grows_by_a_quarter() -> None:
    one: CameraTrack[str] = CameraTrack()
    periods = []
    for stamp in (0, 100, 140, 540, 600):
        one.learn(stamp)
        periods.append(one.period)
    assert periods == [None, 100, 40, 50, 60] and one.newest == 600


@pytest.mark.parametrize(("stamps", "lost"), [((0, 100, 200), False), ((0, 150), False), ((0, 151), True), ((), True)])
def test_an_image_lacks_where_two_are_half_a_period_too_far_apart(stamps: tuple[int, ...], lost: bool) -> None:
    assert track(*stamps).lost_one(100, 100) == lost


def test_the_newest_image_lacks_nothing_until_its_next_one_is_overdue() -> None:
    assert not track(0).lost_one(100, 150) and track(0).lost_one(100, 151)
    assert not track(0, period=None).lost_one(100, 900) and not track(200).lost_one(100, 900)


def test_a_camera_that_goes_on_to_send_older_images_is_late() -> None:
    late = track(0)
    late.heard = 300
    assert late.behind(100, 500) and not late.behind(100, 501) and not late.behind(0, 400)


def test_of_several_sets_the_tightest_is_taken() -> None:
    assert tightest([[50, 130], [100], [60, 140]], 100) == [130, 100, 140]
    assert tightest([[50, 190], [100], [60, 140]], 100) == [50, 100, 60]
    assert tightest([[], [100]], 100) is None
