"""Whether Python is in the middle of an import, where a signal handler must not raise an exception."""
from __future__ import annotations

TYPE_CHECKING = False  # typing's own would be imported before a program is ready for signals
if TYPE_CHECKING:
    from types import FrameType


def importing(frame: FrameType | None) -> bool:
    """Whether the code that a signal interrupted (`frame`, as handlers get it) runs inside an import.

    Compiled modules swallow an exception there, or report it as a fault of their own.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
