"""Ends a node in good order on SIGINT and SIGTERM, however often they come."""
from __future__ import annotations

import signal
import threading

TYPE_CHECKING = False  # what is imported here is time in which a signal ends in a traceback
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from rclpy.executors import Executor

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """From its creation on, signals set `stopping` instead of raising KeyboardInterrupt at a random line.

    Create it first thing in main, before slow imports; start ROS with `SignalHandlerOptions.NO`, so that ROS does not
    shut down its context in the middle of a callback.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def spin(self, executor: Executor, still_wanted: Callable[[], bool] = lambda: True) -> None:
        """Runs callbacks until a signal comes or `still_wanted` turns false."""
        while not self.stopping.is_set() and still_wanted():
            # Python runs signal handlers only between two waits.
            executor.spin_once(timeout_sec=0.1)

    def ignore(self) -> None:
        """Last thing in main: a further signal must not kill the interpreter while it shuts down."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()
