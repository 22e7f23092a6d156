"""A disk that is full: the kernel refuses to let any file of this process grow beyond some bytes."""
from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def files_of_at_most(count: int) -> Iterator[None]:
    """`with files_of_at_most(10_000):` a longer file is cut there, and writing more raises OSError (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
