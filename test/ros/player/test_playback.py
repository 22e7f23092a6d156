"""The pace of playing, on a clock that the test turns: no test here waits for real time."""
from itertools import pairwise

import pytest

from mapkd_ros.player.playback import AHEAD, LATE_S, Item, Pace, play

SECOND_NS = 1_000_000_000
WALL_NS = 1_700_000_000 * SECOND_NS


class Clock:
    """Time that passes only by waiting."""

    def __init__(self):
        self.ns = 5 * SECOND_NS
        self.waits = []

    def wait(self, seconds):
        self.waits.append(seconds)
        self.ns += max(1, round(seconds * SECOND_NS))

    def pace(self, rate=1.0, stamps="original"):
        return Pace(rate, stamps, self.wait, lambda: self.ns, lambda: WALL_NS + self.ns)


def items_at(*seconds, make=lambda shift_ns: shift_ns):
    return [Item(round(at * SECOND_NS), f"t{place}", make) for place, at in enumerate(seconds)]


def run(items, pace, time, **kwargs):
    sent = []
    count = play(items, pace, lambda topic, message: sent.append((topic, message, time.ns)), lambda: True, **kwargs)
    assert count == len(sent)
    return sent


@pytest.mark.parametrize("rate", [0.5, 1.0, 4.0])
def test_messages_go_out_when_they_are_due(rate):
    clock = Clock()
    begun = clock.ns
    sent = run(items_at(100, 100, 100.035, 101.5), clock.pace(rate), clock)
    assert [topic for topic, _, _ in sent] == ["t0", "t1", "t2", "t3"]
    due = [0, 0, 0.035 / rate, 1.5 / rate]
    assert [at - begun for _, _, at in sent] == pytest.approx([at * SECOND_NS for at in due], abs=2)


def test_original_stamps_are_not_moved():
    clock = Clock()
    assert [shift for _, shift, _ in run(items_at(100, 101), clock.pace(2.0), clock)] == [0, 0]


def test_stamps_of_now_are_the_wall_time_at_which_messages_are_due():
    clock = Clock()
    items = items_at(100, 101)
    sent = run(items, clock.pace(2.0, "now"), clock)
    for item, (_, shift_ns, sent_ns) in zip(items, sent, strict=True):
        assert item.stamp_ns + shift_ns == pytest.approx(WALL_NS + sent_ns, abs=2)
    assert sent[1][1] - sent[0][1] == -SECOND_NS // 2  # twice as fast: a second of the stream is half of one now


def test_messages_are_made_while_nothing_is_due_so_that_slow_ones_are_in_time():
    clock = Clock()

    def decode(_):
        clock.ns += SECOND_NS // 40

    # A frame of six images, 8 ms apart, each of which takes 25 ms to decode, twice a second.
    begun = clock.ns
    times = [frame * 0.5 + camera * 0.008 for frame in range(3) for camera in range(6)]
    sent = run(items_at(*times, make=decode), clock.pace(), clock)
    late_s = [(at - begun) / SECOND_NS - due for (_, _, at), due in zip(sent, times, strict=True)]
    assert max(late_s[6:]) < 1e-6  # the first frame must be late, the others had half a second


def test_only_so_much_is_made_ahead():
    clock = Clock()
    made = []
    items = items_at(*range(0, 500), make=lambda _: made.append(clock.ns))
    ahead = []
    play(items, clock.pace(), lambda *_: ahead.append(len(made) - len(ahead)), lambda: True)
    assert len(made) == 500 and 10 < max(ahead) <= AHEAD


def test_falling_behind_moves_the_schedule_instead_of_sending_a_burst():
    clock = Clock()
    pace = clock.pace()

    def slow(_):
        clock.ns += round(0.7 * SECOND_NS)

    sent = run([*items_at(0, make=slow), *items_at(0.1, 0.2, 0.5)], pace, clock)
    gaps = [(b[2] - a[2]) / SECOND_NS for a, b in pairwise(sent)]
    assert gaps == pytest.approx([0.1, 0.1, 0.3], abs=1e-6)
    assert pace.behind_s == pytest.approx(0.7)


def test_a_little_late_is_caught_up():
    clock = Clock()
    pace = clock.pace()

    def slowish(_):
        clock.ns += round((LATE_S - 0.05) * SECOND_NS)

    begun = clock.ns
    sent = run([*items_at(0, make=slowish), *items_at(1.0)], pace, clock)
    assert sent[1][2] - begun == pytest.approx(SECOND_NS, abs=2) and pace.behind_s == 0


@pytest.mark.parametrize("stamps", ["original", "now"])
def test_clock_runs_forward_between_messages_and_never_back(stamps):
    clock = Clock()
    ticks = []
    sent = run(items_at(100, 100.5, 100.5, 101), clock.pace(2.0, stamps), clock, clock=ticks.append)
    assert ticks == sorted(ticks) and len(ticks) > 20
    begin_ns = 100 * SECOND_NS + sent[0][1]
    assert ticks[0] == begin_ns and ticks[-1] == 101 * SECOND_NS + sent[-1][1]
    assert max(b - a for a, b in pairwise(ticks)) <= 0.05 * SECOND_NS


def test_stopping_ends_within_a_tick_and_sends_nothing_more():
    clock = Clock()
    sent = []
    stop_at = clock.ns + SECOND_NS
    play(items_at(0, 3600), clock.pace(), lambda topic, _: sent.append(topic), lambda: clock.ns < stop_at)
    assert sent == ["t0"] and clock.ns - stop_at < 0.1 * SECOND_NS


def test_an_endless_stream_ends_when_it_is_told_to():
    def endless():
        place = 0
        while True:
            yield Item(place * SECOND_NS, f"t{place}", lambda shift_ns: None)
            place += 1

    clock = Clock()
    end = clock.ns + round(4.5 * SECOND_NS)
    assert play(endless(), clock.pace(), lambda *_: None, lambda: clock.ns < end) == 5
