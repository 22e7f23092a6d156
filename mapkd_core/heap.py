"""Lets a process keep the memory of large buffers instead of giving it back to the system after every use."""
from __future__ import annotations

import ctypes
from collections.abc import Mapping

_ARENA_MAX, _MMAP_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -4, -3, -1
"""Names that glibc's mallopt(3) knows these settings by."""
KEPT_BYTES = 256 << 20
LARGEST_BYTES = 32 << 20
"""More than a raw image or a layer of the network takes, and glibc's own limit: above it mallopt refuses."""


def keep_large_buffers() -> bool:
    """True if from now on freed buffers stay with the process; call it before threads start.

    The worker's images and layers come and go with every map. In a thread glibc gives such memory back at once, and
    the next map pays for 4000 page faults: 10 to 20 ms. Does nothing, and says so, where the C library is another one.
    """
    return _set({_ARENA_MAX: 1, _MMAP_THRESHOLD: LARGEST_BYTES, _TRIM_THRESHOLD: KEPT_BYTES})


def keep_all_buffers() -> bool:
    """True if from now on every freed buffer stays with the process, whatever its size; for training.

    A training step frees and takes layers of hundreds of MB. Where each is mapped anew, clearing their pages took 40 %
    of the processor time of a step with EfficientNet-Lite0. Does nothing, and says so, in another C library than glibc.
    """
    return _set({_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1})


def _set(settings: Mapping[int, int]) -> bool:
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - raises AttributeError where it is not glibc
        return all([library.mallopt(name, value) for name, value in settings.items()])
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False


def give_back() -> bool:
    """Gives what is free back to the system, after large things are gone; True if there was something."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):  # another C library
        return False
