"""Ctrl-C, SIGTERM and SIGHUP end a command with one line and the shell's exit code (130, 143, 129), at any moment.

While nothing has been begun, and inside an import (which swallows exceptions or reports them as faults of its own), the
process leaves at once; nothing is lost by that, because files appear whole and locks of dead processes are taken over.
Otherwise the command is unwound, so that locks, half-written files and child processes go too. A second signal leaves
at once. The first 0.03 s belong to the interpreter: SIGTERM ends it then, and SIGINT may end in its traceback.
"""
from __future__ import annotations

import os
import signal
import sys

from mapkd_core.importing import importing

TYPE_CHECKING = False  # what is imported here is time in which a signal ends in a traceback
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "terminal closed"}


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived; libraries that tidy up after Ctrl-C do so here too."""


class Interruption:
    """`with Interruption("mapkd", keep) as interruption:` handles signals; with `keep` also while Python shuts down."""

    def __init__(self, name: str, keep: bool) -> None:
        self.name, self.keep = name, keep
        self.begun = False
        """Whether there is something to unwind."""
        self.signal = int(signal.SIGINT)
        """The last one that came."""
        self._owner = os.getpid()
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """What a shell expects after the signal that came."""
        return 128 + self.signal

    @property
    def word(self) -> str:
        """What happened."""
        return SIGNALS[signal.Signals(self.signal)]

    def __enter__(self) -> Interruption:
        """Installs the handlers; a signal that the parent wants ignored, as nohup does, stays so."""
        for number in SIGNALS:
            try:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
            except ValueError:  # not in the main thread
                break
        return self

    def __exit__(self, *_: object) -> None:
        """Puts the handlers back as they were, or leaves them to end the process at once."""
        self.begun = False
        for number, handler in ({} if self.keep else self._before).items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a forked worker
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.signal = number
        if not self.begun or importing(frame):
            os.write(2, f"{self.name}: {self.word}\n".encode())
            os._exit(self.exit_code)
        self.begun = False
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def stdout_is_gone() -> bool:
    """Whether nobody reads stdout or stderr any more, as after `| head`."""
    import select

    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        try:
            poll.register(stream.fileno(), 0)
        except (OSError, ValueError, AttributeError):
            continue
    return any(event & select.POLLERR for _, event in poll.poll(0))


def let_go_of_stdout() -> None:
    """Sends what Python still has to write to stdout and stderr nowhere, so that it does not complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
