"""How often something happens, and when it counts as stopped."""
from __future__ import annotations

import pytest

from mapkd_ros.rate import Rate

S = 1_000_000_000


def test_a_rate_is_that_of_the_last_ten_seconds():
    rate = Rate()
    assert rate.hz(0) == 0.0 and rate.stopped(0)
    for i in range(40):
        rate.tick(i * S // 12)
    now = 39 * S // 12
    assert rate.hz(now) == pytest.approx(12.0)
    assert rate.count == 40 and not rate.stopped(now + 2 * S) and rate.stopped(now + 4 * S)
    assert rate.hz(now + 20 * S) == 0.0


def test_a_slow_stream_is_not_taken_for_a_stopped_one():
    rate = Rate()
    for i in range(4):
        rate.tick(i * 2 * S)
    assert not rate.stopped(6 * S + 9 * S) and rate.stopped(6 * S + 11 * S)


def test_a_long_pause_before_does_not_delay_the_news_of_a_stop():
    rate = Rate()
    for i in range(20):
        rate.tick(i * S // 10)
    for i in range(20):
        rate.tick(600 * S + i * S // 10)
    assert not rate.stopped(603 * S) and rate.stopped(606 * S)
