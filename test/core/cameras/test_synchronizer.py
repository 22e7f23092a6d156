"""Sets of images: the right ones, at once, and a reason for each that does not come about."""
from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapkd_core.cameras.synchronizer import DEPTH, WINDOW_NS, Synchronizer
from mapkd_core.types import CAMERAS

MS = 1_000_000
FIRING_MS = {  # a real nuScenes keyframe: the cameras are triggered as the LiDAR's beam passes them
    "CAM_FRONT_LEFT": 0.0,
    "CAM_FRONT": 7.6,
    "CAM_FRONT_RIGHT": 15.5,
    "CAM_BACK_RIGHT": 23.0,
    "CAM_BACK": 32.7,
    "CAM_BACK_LEFT": 42.6,
}


def stamp(camera: str, start_ms: float) -> int:
    return round((start_ms + FIRING_MS[camera]) * MS)


def rounds(count: int, period_ms: float = 83.3, start_ms: float = 1e6) -> list[list[tuple[str, int]]]:
    return [[(camera, stamp(camera, start_ms + i * period_ms)) for camera in FIRING_MS] for i in range(count)]


def feed(synchronizer: Synchronizer, events):
    """(event that fired, set) of each set formed; an image is (camera, stamp)."""
    results = [((camera, s), synchronizer.add(camera, s, (camera, s))) for camera, s in events]
    return [(event, formed) for event, formed in results if formed is not None]


@pytest.mark.parametrize("anchor", CAMERAS)
@pytest.mark.parametrize("period_ms", [66.7, 83.3, 500.0])
def test_each_round_of_staggered_cameras_is_one_set_and_fires_with_its_last_image(anchor, period_ms):
    synchronizer: Synchronizer = Synchronizer(CAMERAS, anchor)
    drive = rounds(20, period_ms)
    fired = feed(synchronizer, [event for turn in drive for event in turn])
    expected = [dict(turn) for turn in drive]
    # The first rounds of a fast stream teach it the period; from then on every round stays together.
    assert len(fired) == 20
    for turn, (event, formed) in list(zip(expected, fired, strict=True))[2:]:
        assert dict(formed.images) == turn
        assert formed.stamp_ns == turn[anchor]
        assert formed.stamps_ns == tuple(turn[camera] for camera in CAMERAS)
        assert event == ("CAM_BACK_LEFT", turn["CAM_BACK_LEFT"])
        assert formed.spread_ns == pytest.approx(42.6 * MS)
    assert not synchronizer.not_formed and not synchronizer.ignored


def test_synchronous_cameras_faster_than_the_window_do_not_mix_rounds():
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT_LEFT")
    drive = [[(camera, 10**12 + i * 33 * MS) for camera in CAMERAS] for i in range(30)]
    fired = feed(synchronizer, [event for turn in drive for event in turn])
    settled = [formed for _, formed in fired][3:]
    assert len(settled) >= 26
    assert all(formed.spread_ns == 0 for formed in settled)


def test_a_lost_image_costs_one_set_and_is_named():
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    drive = rounds(12)
    events = [event for i, turn in enumerate(drive) for event in turn if not (i == 5 and event[0] == "CAM_BACK")]
    fired = feed(synchronizer, events)
    assert [formed.stamp_ns for _, formed in fired] == [dict(t)["CAM_FRONT"] for i, t in enumerate(drive) if i != 5]
    assert synchronizer.not_formed == Counter({"missing CAM_BACK": 1})
    assert synchronizer.last_reason == "missing CAM_BACK"


def test_a_dead_camera_is_named_for_every_set():
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    assert not feed(synchronizer, [e for turn in rounds(20) for e in turn if e[0] != "CAM_BACK_LEFT"])
    assert synchronizer.not_formed == Counter({"missing CAM_BACK_LEFT": 20 - DEPTH})
    assert synchronizer.pending == DEPTH


def test_a_dead_anchor_is_named_once_a_round():
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    assert not feed(synchronizer, [e for turn in rounds(20) for e in turn if e[0] != "CAM_FRONT"])
    assert set(synchronizer.not_formed) == {"missing CAM_FRONT (anchor)"}
    assert 20 - DEPTH - 1 <= synchronizer.not_formed["missing CAM_FRONT (anchor)"] <= 20 - DEPTH + 1


def test_cameras_too_far_apart_are_told_with_the_time_and_the_limit():
    synchronizer: Synchronizer = Synchronizer(["A", "B"], "A", window_ns=80 * MS)
    events = [e for i in range(10) for e in (("A", 500 * MS * i), ("B", 500 * MS * i + 140 * MS))]
    assert not feed(synchronizer, events)
    assert synchronizer.not_formed == Counter({"skew B": 10 - DEPTH})
    assert synchronizer.last_reason == "skew B 140 ms > 80 ms"
    assert synchronizer.finish() == []
    assert synchronizer.not_formed == Counter({"skew B": 10})  # those that were still waiting, too


def test_what_waits_for_a_tighter_set_is_formed_at_the_end_of_a_recording():
    synchronizer: Synchronizer = Synchronizer(["A", "B"], "A", window_ns=80 * MS)
    assert len(feed(synchronizer, [(c, 100 * MS * i) for i in range(5) for c in ("A", "B")])) == 5
    # B's next image would be nearer to this one than its last but for 30 ms; the recording ends before it comes
    assert not feed(synchronizer, [("B", 440 * MS), ("A", 500 * MS)])
    (last,) = synchronizer.finish()
    assert last.stamps_ns == (500 * MS, 440 * MS) and not synchronizer.not_formed and synchronizer.pending == 0


def test_a_spread_over_the_window_is_told_even_if_each_camera_is_near_the_anchor():
    synchronizer: Synchronizer = Synchronizer(["A", "B", "C"], "A", window_ns=80 * MS, depth=1)
    events = [(camera, (500 * i + away) * MS) for i in range(4) for camera, away in (("B", -50), ("A", 0), ("C", 50))]
    assert not feed(synchronizer, events)
    assert synchronizer.last_reason == "skew 100 ms > 80 ms"
    assert synchronizer.not_formed == Counter({"skew": 3})


def test_late_transport_of_one_camera_still_forms_every_set():
    """CAM_BACK's images arrive two periods after they were taken."""
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    arrivals = [(s + (170 * MS if camera == "CAM_BACK" else 0), camera, s) for turn in rounds(20) for camera, s in turn]
    fired = feed(synchronizer, [(camera, s) for _, camera, s in sorted(arrivals)])
    assert len(fired) == 20
    assert all(formed.spread_ns == pytest.approx(42.6 * MS) for _, formed in fired)


@pytest.mark.parametrize("camera", ["CAM_BACK", "CAM_FRONT"])
def test_a_camera_that_comes_too_late_is_called_late_and_only_a_dead_one_missing(camera):
    """Its images arrive twelve periods after they were taken."""
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    events = [(s + (1000 * MS if one == camera else 0), one, s) for turn in rounds(60) for one, s in turn]
    events = [(one, s) for _, one, s in sorted(events)]
    others = [(one, s) for one, s in events[-200:] if one != camera]
    name = f"{camera} (anchor)" if camera == "CAM_FRONT" else camera

    def counted(more: list[tuple[str, int]]) -> tuple[int, int]:
        before = synchronizer.not_formed.copy()
        assert not feed(synchronizer, more)
        new = synchronizer.not_formed - before
        return new[f"late {name}"], new[f"missing {name}"]

    counted(events[:90])  # at first it has not sent anything
    late, missing = counted(events[90:270])
    assert late >= 20 and missing == 0
    later = [(one, s + 10**10) for one, s in others]
    late, missing = counted(later)
    assert late <= 3 and missing >= 20


def test_duplicates_are_ignored_and_counted():
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    events = [event for turn in rounds(5) for event in turn]
    fired = feed(synchronizer, [event for event in events for _ in range(2)])
    assert len(fired) == 5
    assert synchronizer.ignored == Counter({f"duplicate {camera}": 5 for camera in CAMERAS})


def test_swapped_images_of_one_camera_form_both_sets():
    synchronizer: Synchronizer = Synchronizer(["A", "B"], "A", window_ns=20 * MS)
    fired = feed(synchronizer, [("A", 0), ("A", 100 * MS), ("B", 101 * MS), ("B", 1 * MS)])
    assert [formed.stamp_ns for _, formed in fired] == [100 * MS]  # newest first: the older one is history
    synchronizer = Synchronizer(["A", "B"], "A", window_ns=20 * MS)
    fired = feed(synchronizer, [("B", 101 * MS), ("B", 1 * MS), ("A", 0), ("A", 100 * MS)])
    assert [formed.stamps_ns for _, formed in fired] == [(0, 1 * MS), (100 * MS, 101 * MS)]


def test_an_image_older_than_the_last_set_is_late():
    synchronizer: Synchronizer = Synchronizer(["A", "B"], "A", window_ns=20 * MS)
    feed(synchronizer, [("A", 500 * MS), ("B", 500 * MS)])
    assert not feed(synchronizer, [("A", 400 * MS), ("B", 401 * MS)])
    assert synchronizer.ignored == Counter({"late A": 1, "late B": 1})
    assert len(feed(synchronizer, [("A", 600 * MS), ("B", 600 * MS)])) == 1


@pytest.mark.parametrize("loop_rounds", [30, 6, 3])
def test_a_looping_bag_starts_anew_each_time(loop_rounds):
    """Long loops jump back by more than a second, short ones by less."""
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    per_loop = []
    for _ in range(8):
        per_loop.append(len(feed(synchronizer, [event for turn in rounds(loop_rounds) for event in turn])))
    assert per_loop[0] == loop_rounds
    assert sum(per_loop) >= (8 * (loop_rounds - 1) if loop_rounds == 30 else 8)
    assert synchronizer.ignored["time jumped back CAM_FRONT"] >= 1
    assert synchronizer.held <= DEPTH * len(CAMERAS)


def test_a_simulator_reset_loses_no_set():
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    before = [event for turn in rounds(5, start_ms=60e3) for event in turn]
    after = [event for turn in rounds(5, start_ms=100) for event in turn]
    assert [len(feed(synchronizer, events)) for events in (before, after)] == [5, 5]
    assert synchronizer.ignored == Counter({f"time jumped back {camera}": 1 for camera in CAMERAS})


def test_one_wrong_stamp_from_the_future_heals_by_itself():
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    drive = rounds(10)
    events = [event for turn in drive for event in turn]
    events.insert(12, ("CAM_BACK", 10**16))
    events.insert(30, ("CAM_FRONT", 10**16))
    fired = feed(synchronizer, events)
    assert len(fired) >= 8
    assert [formed.stamp_ns for _, formed in fired][-3:] == [dict(turn)["CAM_FRONT"] for turn in drive[-3:]]


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="anchor camera 'X' is not one of"):
        Synchronizer(["A"], "X")
    with pytest.raises(ValueError, match="named twice"):
        Synchronizer(["A", "A"], "A")
    with pytest.raises(ValueError, match="must be positive"):
        Synchronizer(["A"], "A", window_ns=0)
    with pytest.raises(KeyError):
        Synchronizer(["A"], "A").add("B", 0, None)


@settings(max_examples=150, deadline=None)
@given(
    orders=st.lists(st.permutations(range(6)), min_size=3, max_size=12),
    anchor=st.sampled_from(CAMERAS),
)
def test_any_order_of_arrival_within_a_round_gives_every_set_at_its_last_image(orders, anchor):
    synchronizer: Synchronizer = Synchronizer(CAMERAS, anchor)
    for turn, order in zip(rounds(len(orders), 200.0), orders, strict=True):
        results = [synchronizer.add(*turn[i], turn[i]) for i in order]
        assert results[:-1] == [None] * 5
        assert results[-1] is not None and dict(results[-1].images) == dict(turn)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(CAMERAS[:3]), st.integers(0, 60) | st.integers(0, 400)),
        max_size=120,
    ),
    st.integers(1, 5),
)
def test_whatever_comes_sets_are_sound_memory_is_bounded_and_every_anchor_is_accounted_for(events, depth):
    cameras = CAMERAS[:3]
    synchronizer: Synchronizer = Synchronizer(cameras, "CAM_FRONT", depth=depth)
    anchors, last = 0, None
    for camera, tenths in events:
        s = tenths * 10 * MS
        ignored_before = synchronizer.ignored.copy()
        formed = synchronizer.add(camera, s, (camera, s))
        ignored = synchronizer.ignored - ignored_before
        jumped = ignored["time jumped back CAM_FRONT"] > 0
        refused = ignored["duplicate CAM_FRONT"] or (ignored["late CAM_FRONT"] and not jumped)
        anchors += camera == "CAM_FRONT" and not refused
        if jumped:
            last = None
        assert synchronizer.held <= depth * len(cameras)
        if formed is not None:
            assert formed.spread_ns <= WINDOW_NS
            assert formed.images == tuple(zip(cameras, formed.stamps_ns, strict=True))
            assert formed.stamp_ns == formed.stamps_ns[cameras.index("CAM_FRONT")]
            assert last is None or formed.stamp_ns > last
            last = formed.stamp_ns
    lost = sum(count for reason, count in synchronizer.not_formed.items() if "(anchor)" not in reason)
    assert anchors == synchronizer.formed + lost + synchronizer.pending


def test_sets_are_made_of_the_cameras_that_are_expected():
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    drive = rounds(12)
    assert len(feed(synchronizer, [event for turn in drive[:4] for event in turn])) == 4
    silent = [event for turn in drive[4:8] for event in turn if event[0] != "CAM_BACK"]
    assert feed(synchronizer, silent[:5]) == []
    synchronizer.expect([camera for camera in CAMERAS if camera != "CAM_BACK"])
    fired = feed(synchronizer, silent[5:])
    for turn, (_, formed) in zip(drive[4:8], fired, strict=True):  # the round in hand goes through as it is
        without = tuple(camera for camera in CAMERAS if camera != "CAM_BACK")
        assert formed.cameras == without and dict(formed.images) == {c: s for c, s in turn if c != "CAM_BACK"}
    synchronizer.expect(CAMERAS)
    fired = feed(synchronizer, [event for turn in drive[8:] for event in turn])
    assert [formed.cameras for _, formed in fired] == [CAMERAS] * 4
    assert not synchronizer.not_formed


def test_the_first_camera_stands_in_for_an_anchor_that_is_not_expected():
    synchronizer: Synchronizer = Synchronizer(CAMERAS, "CAM_FRONT")
    drive = rounds(9)
    feed(synchronizer, [event for turn in drive[:3] for event in turn])
    synchronizer.expect(["CAM_BACK", "CAM_FRONT_RIGHT"])
    fired = feed(synchronizer, [event for turn in drive[3:6] for event in turn if event[0] != "CAM_FRONT"])
    assert [formed.cameras for _, formed in fired] == [("CAM_FRONT_RIGHT", "CAM_BACK")] * 3
    assert [formed.stamp_ns for _, formed in fired] == [dict(turn)["CAM_FRONT_RIGHT"] for turn in drive[3:6]]
    synchronizer.expect(CAMERAS)
    fired = feed(synchronizer, [event for turn in drive[6:] for event in turn])
    assert [formed.stamp_ns for _, formed in fired] == [dict(turn)["CAM_FRONT"] for turn in drive[6:]]
    with pytest.raises(ValueError, match="at least one camera"):
        synchronizer.expect([])
    with pytest.raises(KeyError, match="CAM_X"):
        synchronizer.expect(["CAM_X"])


def test_images_of_a_camera_that_is_not_expected_take_bounded_memory_and_count_as_nothing():
    synchronizer: Synchronizer = Synchronizer(("A", "B"), "A")
    synchronizer.expect(["B"])
    for i in range(100):
        assert synchronizer.add("A", i * 100 * MS, i) is None
    assert synchronizer.held <= DEPTH and not synchronizer.not_formed


def test_a_set_waits_for_no_small_gain():
    """B fires 47 ms after A, 53 ms before its next image: the older one serves at once."""
    synchronizer: Synchronizer = Synchronizer(["A", "B"], "A", window_ns=80 * MS)
    drive = [(camera, (100 * i + away) * MS) for i in range(12) for camera, away in (("A", 0), ("B", 47))]
    fired = feed(synchronizer, drive)
    assert [event for event, _ in fired[2:]] == [("A", 100 * MS * i) for i in range(2, 12)]
    assert all(formed.spread_ns == 53 * MS for _, formed in fired[2:])


def test_a_set_waits_for_no_image_that_is_overdue():
    synchronizer: Synchronizer = Synchronizer(["A", "B", "C"], "A", window_ns=80 * MS)
    drive = [(camera, (100 * i + away) * MS) for i in range(6) for camera, away in (("A", 0), ("B", 42), ("C", 1))]
    assert feed(synchronizer, drive)[-1][1].stamp_ns >= 400 * MS
    assert not feed(synchronizer, [("C", 601 * MS), ("A", 600 * MS)])  # B's next one is due at 642
    ((event, formed),) = feed(synchronizer, [("C", 701 * MS)])
    assert event == ("C", 701 * MS) and formed.stamps_ns == (600 * MS, 542 * MS, 601 * MS)


def test_late_images_between_others_are_no_time_that_goes_back():
    synchronizer: Synchronizer = Synchronizer(["A", "B"], "A", window_ns=20 * MS)
    feed(synchronizer, [(camera, 100 * MS * i) for i in range(6) for camera in ("A", "B")])
    for i in range(6, 12):
        fired = feed(synchronizer, [("B", 100 * MS * i), ("B", 100 * MS * (i - 4)), ("A", 100 * MS * i)])
        assert [formed.stamp_ns for _, formed in fired] == [100 * MS * i]
    assert synchronizer.ignored == Counter({"late B": 6})


def test_a_camera_that_is_expected_again_starts_with_its_next_image():
    synchronizer: Synchronizer = Synchronizer(["A", "B"], "A", window_ns=60 * MS)
    feed(synchronizer, [(camera, 100 * MS * i) for i in range(6) for camera in ("A", "B")])
    assert synchronizer.add("B", 590 * MS, "old") is None
    synchronizer.expect(["A"])
    synchronizer.expect(["A", "B"])
    assert synchronizer.add("A", 600 * MS, "new") is None
    formed = synchronizer.add("B", 610 * MS, "newer")
    assert formed is not None and formed.images == ("new", "newer")
