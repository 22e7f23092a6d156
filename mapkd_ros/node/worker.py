"""Runs slow work in a thread of its own, always on the newest job, so that ROS callbacks never wait for it."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class LatestWorker(Generic[Job]):
    """One thread that does the newest job; a job that waits when a newer one comes is dropped.

    `work` must handle its own errors; one that escapes goes to `on_error`, and the next job goes on.
    """

    def __init__(self, work: Callable[[Job], None], on_error: Callable[[Exception], None]) -> None:
        self._work = work
        self._on_error = on_error
        self._changed = threading.Condition()
        self._waiting: Job | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="mapkd-worker", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> bool:
        """Hands over a job without waiting; True if it pushed out an older one that had not begun."""
        with self._changed:
            overtaken = self._waiting is not None
            self._waiting = job
            self._changed.notify_all()
        return overtaken

    def wait_until_taken(self) -> None:
        """Returns once no job waits, because the last one has begun or the worker was stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is None)

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Drops what waits, lets the job in hand finish; True if the thread has ended within the time."""
        with self._changed:
            self._stopping, self._waiting = True, None
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._waiting is not None)
                if self._stopping:
                    return
                job, self._waiting = self._waiting, None
                self._changed.notify_all()
            assert job is not None
            try:
                self._work(job)
            except Exception as error:
                self._on_error(error)


class RateLimit:
    """Lets at most so many events a second through, on average, without bunching them."""

    def __init__(self) -> None:
        self._due_ns = self._last_ns = 0

    def allows(self, now_ns: int, max_rate_hz: float) -> bool:
        """True if an event may happen now; a rate of 0 means no limit."""
        if max_rate_hz <= 0:
            return True
        period = round(1e9 / max_rate_hz)
        if now_ns < min(self._due_ns, self._last_ns + period):  # whatever the rate was before
            return False
        self._last_ns = now_ns
        # Events that come a little late must not lower the average; after a pause nothing is made up for.
        self._due_ns = period + (self._due_ns if 0 <= now_ns - self._due_ns < period else now_ns)
        return True
