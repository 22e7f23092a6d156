"""The worker: newest job wins, callers never wait, errors do not end it."""
from __future__ import annotations

import threading
import time

import numpy as np

from mapkd_ros.node.worker import LatestWorker, RateLimit


def test_only_the_newest_waiting_job_is_done_and_submit_never_waits():
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work(job: int) -> None:
        begun.set()
        assert go_on.wait(5)
        done.append(job)

    errors: list[Exception] = []
    worker: LatestWorker[int] = LatestWorker(work, errors.append)
    assert worker.submit(1) is False
    assert begun.wait(5)
    start = time.perf_counter()
    assert [worker.submit(job) for job in (2, 3, 4)] == [False, True, True]
    assert time.perf_counter() - start < 1.0
    go_on.set()
    deadline = time.monotonic() + 5
    while len(done) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert worker.stop()
    assert done == [1, 4] and not errors


def test_waiting_until_taken_ends_when_the_job_begins_or_the_worker_stops():
    go_on = threading.Event()
    worker: LatestWorker[int] = LatestWorker(lambda _: assert_set(go_on), lambda _: None)
    worker.submit(1)
    worker.wait_until_taken()
    worker.submit(2)
    taken = threading.Thread(target=worker.wait_until_taken)
    taken.start()
    taken.join(0.1)
    assert taken.is_alive()  # the worker is still at 1
    go_on.set()
    taken.join(5)
    assert not taken.is_alive() and worker.stop()
    worker.wait_until_taken()


def assert_set(event: threading.Event) -> None:
    assert event.wait(5)


def test_an_error_is_handed_over_and_the_next_job_goes_on():
    done, errors = threading.Event(), []

    def work(job: str) -> None:
        if job == "bad":
            raise RuntimeError("broken")
        done.set()

    failed = threading.Event()
    worker: LatestWorker[str] = LatestWorker(work, lambda error: (errors.append(error), failed.set()))
    worker.submit("bad")
    assert failed.wait(5)
    worker.submit("good")
    assert done.wait(5)
    assert worker.stop()
    assert [str(error) for error in errors] == ["broken"]


def test_stopping_drops_what_waits_and_lets_the_job_in_hand_finish():
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work(job: int) -> None:
        begun.set()
        go_on.wait(5)
        done.append(job)

    worker: LatestWorker[int] = LatestWorker(work, lambda error: None)
    worker.submit(1)
    assert begun.wait(5)
    worker.submit(2)
    assert worker.stop(timeout_s=0.05) is False  # still busy
    go_on.set()
    assert worker.stop() is True
    assert done == [1]


def passed(times_ms, rate: float) -> list[int]:
    limit = RateLimit()
    return [ms for ms in times_ms if limit.allows(round(ms * 1e6) + 10**15, rate)]


def test_the_rate_limit_holds_on_average_and_spreads_evenly():
    twelve_hz = np.arange(0, 60_000, 1000 / 12)
    assert len(passed(twelve_hz, 0.0)) == len(twelve_hz)
    assert len(passed(twelve_hz, 20.0)) == len(twelve_hz)
    ten = passed(twelve_hz, 10.0)
    assert abs(len(ten) - 600) <= 1  # not every second one, 6 Hz
    assert np.diff(passed(twelve_hz, 2.0)).min() > 400


def test_the_rate_limit_makes_nothing_up_after_a_pause():
    limit = RateLimit()
    assert limit.allows(10**12, 1.0) and not limit.allows(10**12 + 1, 1.0)
    assert limit.allows(10**15, 1.0) and not limit.allows(10**15 + 1, 1.0)


def test_a_rate_that_was_too_low_for_a_while_holds_nothing_back_once_it_is_raised():
    limit = RateLimit()
    second = 1_000_000_000
    assert limit.allows(0, 0.001) and not limit.allows(100 * second, 0.001)
    assert [limit.allows(100 * second + k * second // 20, 10.0) for k in range(6)] == [True, False] * 3
