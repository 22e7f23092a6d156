"""Maps of drives: what is true stays, what is not goes, and a set costs the same wherever it comes."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from street_drives import SECOND_NS, built, poses, seen, sets, street

from mapkd_core.geometry import evenly_spaced, transform, transform_from_yaw
from mapkd_core.mapping.builder import AGAIN_GAIN, MapBuilder
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.mapping.street_map import StreetElement
from mapkd_core.types import MapElement


def across(element: StreetElement, y: float, x0: float = 0.0, x1: float = 100.0) -> float:
    """Largest distance of an element's vertices from a line along x, between two places."""
    points = evenly_spaced(element.points_m, 200)
    points = points[(points[:, 0] > x0) & (points[:, 0] < x1)]
    return float(np.abs(points[:, 1] - y).max(initial=0.0))


def lines(builder: MapBuilder, label: str) -> list[StreetElement]:
    return [e for e in builder.street_map().elements if e.label == label]


def test_many_pieces_become_one_line_each() -> None:
    builder = built(MapBuilder(), sets(street(), poses()))
    boundaries, (divider,) = lines(builder, "boundary"), lines(builder, "divider")
    assert sorted(round(float(e.points_m[:, 1].mean())) for e in boundaries) == [-5, 5]
    assert all(np.ptp(e.points_m[:, 0]) > 160 for e in (*boundaries, divider))
    assert across(divider, 0.0) < 0.01 and divider.sightings > 20 and 0.7 < divider.score <= 1
    crossings = lines(builder, "ped_crossing")
    assert sorted(round(float(e.points_m[:-1, 0].mean())) for e in crossings) == [22, 62, 102]
    assert all(e.closed and abs(np.ptp(e.points_m[:, 0]) - 4) < 0.6 for e in crossings)


def test_each_drive_has_its_way_in_the_map() -> None:
    builder = built(MapBuilder(), sets(street(), poses(60)))
    assert len(builder.street_map().paths_m) == 1
    builder.begin_drive()
    built(builder, sets(street(), [transform_from_yaw(0, 0.1, 0) @ pose for pose in poses(60)[10:]]))
    first, second = builder.street_map().paths_m
    assert np.allclose(first[0], poses(60)[0][:3, 3], atol=0.01)
    assert np.allclose(second[0, :2], poses(60)[10][:2, 3] + [0, 0.1], atol=0.4)
    assert np.linalg.norm(np.diff(np.concatenate([first, second])[:, :2], axis=0), axis=1).max() > 30


def test_noise_is_averaged() -> None:
    builder = built(MapBuilder(), sets(street(), poses(step_m=1.0), noise_m=0.3))
    (divider,) = lines(builder, "divider")
    assert across(divider, 0.0) < 0.3  # single sets are off by up to 0.9


def test_samples_that_run_together_become_one() -> None:
    """Lines seen too far apart at first, and then where they are: samples do not pile up."""
    builder = MapBuilder()
    for k, (elements, pose, stamp_ns) in enumerate(sets(street()[1:2], [poses()[20]] * 60, noise_m=0.02)):
        off = 1.5 if k % 2 and k < 10 else 0.0
        shift = np.float32([0.13 * k % 0.5, off])
        builder.add([replace(e, points_m=e.points_m + shift) for e in elements], pose, stamp_ns)
    numbers = builder.lines.accepted(builder.lines.all(), builder.options)
    assert len(numbers) < 1.25 * 60 / 0.5


def test_a_bent_street_is_bent() -> None:
    builder = built(MapBuilder(), sets(street(bend=1 / 100), poses(bend=1 / 100)))
    (divider,) = lines(builder, "divider")
    x, y = evenly_spaced(divider.points_m, 200)[:, :2].T
    inside = (x > 0) & (x < 100)
    assert np.abs(y - x * x / 200)[inside].max() < 0.15


def test_what_was_seen_by_mistake_goes_again() -> None:
    builder = MapBuilder()
    ghost = [MapElement("divider", np.array([[0, 2.5], [25, 2.5]], np.float32), 0.9)]
    for k, (elements, pose, stamp_ns) in enumerate(sets(street(), [*poses(), *poses()])):
        builder.add([*elements, *(seen(ghost, pose) if k < 6 else [])], pose, stamp_ns)
        if k == 6:
            assert any(across(e, 2.5, 5, 15) < 0.2 for e in lines(builder, "divider") if e.points_m[0, 1] > 1)
    (divider,) = lines(builder, "divider")
    assert across(divider, 0.0) < 0.05


@pytest.mark.parametrize(("beside_m", "kept"), [(10.0, True), (2.0, False)])
def test_not_being_seen_far_beside_the_vehicle_says_little(beside_m: float, kept: bool) -> None:
    """A line that one set in six shows: far off that is how lines look, near by it is how mistakes do."""
    path = poses(120)
    extra = MapElement("divider", np.array([[-40.0, beside_m], [160.0, beside_m]], np.float32))
    builder = MapBuilder()
    for k, pose in enumerate(path):
        shown = [*street(), extra] if k % 6 == 0 else street()
        builder.add(seen(shown, pose), pose, (k + 1) * SECOND_NS // 10)
    found = [e for e in lines(builder, "divider") if abs(e.points_m[:, 1].mean() - beside_m) < 0.5]
    assert bool(found) == kept


def test_a_crossing_seen_by_mistake_goes_again() -> None:
    builder, ghost = MapBuilder(), [MapElement("ped_crossing", street()[-1].points_m - [90, 0], closed=True)]
    for k, (elements, pose, stamp_ns) in enumerate(sets(street()[:3], [*poses(), *poses()])):
        builder.add([*elements, *(seen(ghost, pose) if k < 6 else [])], pose, stamp_ns)
        if k == 6:
            assert len(lines(builder, "ped_crossing")) > 0
    assert lines(builder, "ped_crossing") == []


def test_a_gap_between_two_dead_ends_is_closed_within_the_bound() -> None:
    whole = street()[1]
    for gap_m, count in ((5, 1), (12, 2)):
        x = whole.points_m[:, 0]
        parts = [MapElement("divider", whole.points_m[x <= 50]), MapElement("divider", whole.points_m[x >= 50 + gap_m])]
        assert len(lines(built(MapBuilder(), sets(parts, poses())), "divider")) == count


def test_ids_stay_while_the_map_grows() -> None:
    builder, ids = MapBuilder(), {}
    for k, (elements, pose, stamp_ns) in enumerate(sets(street(), poses(), noise_m=0.1)):
        builder.add(elements, pose, stamp_ns)
        if k < 6 or k % 3:
            continue
        x, y = pose[:2, 3]
        for element in builder.local_map((x - 25, y - 25, x + 25, y + 25)):
            where = (element.label, round(float(element.points_m[:-1, 1].mean()) / 5))
            if element.label != "ped_crossing":
                assert ids.setdefault(where, element.id) == element.id
            assert element.points_m[:, 0].max() < x + 32
    assert len(set(ids.values())) == 3
    whole = {e.id for e in builder.street_map().elements}
    assert set(ids.values()) <= whole


def test_heights_are_those_of_the_ground_under_the_vehicle() -> None:
    slope = np.arctan(0.05)
    up = [
        transform([x, 0, 0.05 * x + 7], [np.cos(-slope / 2), 0, np.sin(-slope / 2), 0]) for x in np.arange(0, 100, 2.0)
    ]
    builder = MapBuilder()
    for k, pose in enumerate(up):
        flat = transform_from_yaw(pose[0, 3], 0, 0)
        builder.add(seen(street(), flat), pose, k * SECOND_NS)
    for element in builder.street_map().elements:
        points = element.points_m
        tolerance = 0.15 if element.label == "ped_crossing" else 0.05
        expected = 0.05 * points[:, 0] + 7 if element.label != "ped_crossing" else 0.05 * points[:-1, 0].mean() + 7
        assert np.abs(points[:, 2] - expected).max() < tolerance


def test_a_jump_of_the_pose_is_taken_back() -> None:
    drive = list(sets(street(), poses(step_m=1.0), noise_m=0.05))
    jump = transform_from_yaw(0.3, 0.8, 0.005)
    off, on = MapBuilder(MappingOptions(align=False)), MapBuilder()
    for k, (elements, pose, stamp_ns) in enumerate(drive):
        for builder in (off, on):
            builder.add(elements, jump @ pose if k >= 60 else pose, stamp_ns)
    assert on.alignments["after a jump"] >= 1
    assert max(across(e, 0.0, 0, 110) for e in lines(on, "divider")) < 0.35
    assert max(across(e, 0.0, 0, 110) for e in lines(off, "divider")) > 0.8
    corrected = on.correction @ jump @ drive[-1][1]
    assert abs(corrected[1, 3]) < 0.3  # along the street nothing tells


def test_a_jump_to_another_place_is_one_jump_and_moves_nothing() -> None:
    """As a bag does that is played again, or a vehicle that wakes up elsewhere and drives in another direction."""
    builder, turned = MapBuilder(), transform_from_yaw(3000, 700, 2.0)
    for k, (elements, pose, stamp_ns) in enumerate(sets(street(), [*poses(), *poses()], noise_m=0.2)):
        builder.add(elements, turned @ pose if k >= 60 else pose, stamp_ns)
    assert np.array_equal(builder.correction, np.eye(4)) and "after a jump" not in builder.alignments
    assert len(lines(builder, "divider")) == 2 and builder.driven_m == pytest.approx(2 * 118, abs=5)


def test_a_jump_beyond_the_bound_is_refused_and_said() -> None:
    builder = MapBuilder()
    for k, (elements, pose, stamp_ns) in enumerate(sets(street(), poses(step_m=1.0))):
        builder.add(elements, transform_from_yaw(0, 2.4, 0) @ pose if k >= 60 else pose, stamp_ns)
    assert "after a jump" not in builder.alignments or builder.correction[1, 3] == 0
    assert any("refused" in reason for reason in builder.street_map().metadata["alignments"])


def test_on_a_second_pass_drift_is_taken_out() -> None:
    there, back = poses(), poses(back=True)
    drift = transform_from_yaw(0.2, 0.9, 0.005)
    for align in (False, True):
        builder = built(MapBuilder(MappingOptions(align=align)), sets(street(), there))
        for k, (elements, pose, _) in enumerate(sets(street(), back, noise_m=0.05)):
            builder.add(elements, drift @ pose, (len(there) + k + 1) * SECOND_NS // 10)
        worst = max(across(e, 0.0, 20, 80) for e in lines(builder, "divider"))
        assert worst < 0.25 if align else worst > 0.5


def test_a_vehicle_that_stands_does_not_make_more_of_it() -> None:
    builder = built(MapBuilder(), sets(street(), poses()[:5], noise_m=0.1))
    for k in range(40):
        builder.add(seen(street(), poses()[4], np.random.default_rng(k), 0.1), poses()[4], (10 + k) * SECOND_NS)
        if k == 10:
            before = builder.memory_bytes
    assert builder.memory_bytes <= 1.2 * before
    assert builder.driven_m == pytest.approx(8, abs=0.2)


def test_a_set_touches_its_neighborhood_alone() -> None:
    """Cost is counted in samples that are looked at, not in time."""
    near = built(MapBuilder(), sets(street(120), poses(120)))
    far = built(MapBuilder(), sets(street(800), poses(800, step_m=4)))
    counts = []
    for builder in (near, far):
        counts.append(len(builder.lines.near((20, -15, 80, 15))))
    assert counts[0] > 100 and counts[1] < 1.3 * counts[0]


@pytest.mark.parametrize("pose", [np.eye(3), np.full((4, 4), np.nan), np.zeros((4, 4))])
def test_what_is_no_pose_is_refused(pose: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at 5 ns is no pose"):
        MapBuilder().add([], pose, 5)


def test_elements_that_are_no_numbers_are_left_out() -> None:
    builder = MapBuilder()
    builder.add([MapElement("divider", np.full((3, 2), np.nan, np.float32))], np.eye(4), 1)
    builder.add([MapElement("ped_crossing", np.full((3, 2), np.inf, np.float32), closed=True)], np.eye(4), 2)
    builder.add([MapElement("divider", np.zeros((3, 2), np.float32))], np.eye(4), 3)
    assert builder.street_map().elements == () and len(builder.lines) == 0


@pytest.mark.parametrize("change", [{"across_m": 0}, {"least_share": 2}, {"align": 1}, {"least_sightings": 0.5}])
def test_options_out_of_range_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=f"mapping option {next(iter(change))}"):
        MappingOptions(**change)


def passed_before(length_m: float = 60.0) -> MapBuilder:
    """After a drive, at the beginning of the next."""
    builder = built(MapBuilder(), sets(street(), poses(length_m)))
    assert not builder.alignments, "what was seen on this pass is no place of before"
    builder.begin_drive()
    return builder


def test_on_a_second_pass_a_share_of_the_misfit_is_taken_at_each_set() -> None:
    builder, pose = passed_before(), poses()[10]
    for k, left_m in enumerate((0.5, 0.5 * (1 - AGAIN_GAIN))):
        corrected = builder.add(seen(street(), pose), transform_from_yaw(0, 0.5, 0) @ pose, (k + 1) * 10 * SECOND_NS)
        assert builder.alignments["where it was before"] == k + 1
        assert builder.last_alignment is not None
        assert builder.last_alignment.way_m(pose[:2, 3])[1] == pytest.approx(-left_m, abs=0.05)
        assert corrected[1, 3] == pytest.approx(left_m * (1 - AGAIN_GAIN), abs=0.03)
    assert np.allclose(builder.correction @ transform_from_yaw(0, 0.5, 0) @ pose, corrected)


def test_shifts_are_put_one_on_the_other_in_the_frame_of_the_map() -> None:
    """On a street along y, with odometry that is turned by a quarter, too."""
    upright, quarter = transform_from_yaw(0, 0, np.pi / 2), transform_from_yaw(40, -70, np.pi / 2)
    drive = [upright @ pose for pose in poses(60)]
    turned = [MapElement(e.label, e.points_m[:, ::-1] * np.float32([-1, 1]), 0.8, e.closed) for e in street()]
    builder = built(MapBuilder(), sets(turned, drive))
    builder.begin_drive()
    builder.correction = quarter
    wrong = np.linalg.inv(quarter) @ transform_from_yaw(0.5, 0, 0)
    for k in range(12):
        corrected = builder.add(seen(turned, drive[10]), wrong @ drive[10], (k + 1) * 10 * SECOND_NS)
    assert abs(corrected[0, 3]) < 0.1 and builder.alignments["where it was before"] == 12


def test_lines_of_which_a_network_is_sure_decide_where_a_set_lies() -> None:
    builder, pose = passed_before(), poses()[10]
    sure = seen([street()[0]], pose, score=1.0)
    unsure = seen([street()[2]], pose, score=0.05)
    shown = [MapElement(e.label, e.points_m + np.float32([0, 0.4]), e.score) for e in sure]
    shown += [MapElement(e.label, e.points_m - np.float32([0, 0.4]), e.score) for e in unsure]
    builder.add(shown, pose, 10 * SECOND_NS)
    assert builder.last_alignment is not None and builder.last_alignment.way_m(pose[:2, 3])[1] < -0.2


def test_after_a_fit_that_is_refused_all_shifts_are_tried_again() -> None:
    builder, path = passed_before(), poses()
    builder.add(seen(street(), path[10]), path[10], 10 * SECOND_NS)
    crossways = [MapElement("divider", np.array([[x, -12], [x + 9, 12]], np.float32), 0.8) for x in range(-20, 20, 5)]
    builder.add(crossways, path[12], 20 * SECOND_NS)
    assert sum(builder.alignments.values()) == 2 and builder.alignments["where it was before"] == 1
    builder.add(seen(street(), path[14]), transform_from_yaw(0, 2.3, 0) @ path[14], 30 * SECOND_NS)
    assert builder.alignments["where it was before"] == 2
    assert builder.correction[1, 3] == pytest.approx(-2.3 * AGAIN_GAIN, abs=0.1)
