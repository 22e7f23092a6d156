"""`mapkd`, which is also `python -m mapkd_core`: ready for signals before anything else of it is imported."""
from __future__ import annotations

import _signal as signal  # the module in C: the one in Python takes longer than all else until `main` is ready
import os
import sys

TYPE_CHECKING = False  # what is imported here is time in which a signal ends in a traceback
if TYPE_CHECKING:
    from types import FrameType


def main() -> int:
    """Runs the command that the arguments name; a signal until then ends it with the shell's exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)
    from mapkd_core.commands.main import main as run

    return run(last=True)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
