"""Fast DDS's shared-memory files: which process has them mapped, and which are left over."""
from __future__ import annotations

import re
from pathlib import Path

import psutil

SHARED = Path("/dev/shm")
_FAST_DDS = re.compile("fastdds|fastrtps")  # the latter until version 2, that is in Humble and Jazzy


def shared_files(pid: int) -> set[Path]:
    """Fast DDS's shared-memory files that a process has mapped; empty if it has ended."""
    try:
        paths = {Path(mapped.path) for mapped in psutil.Process(pid).memory_maps()}
    except psutil.Error:
        return set()
    return {path for path in paths if path.parent == SHARED and _FAST_DDS.search(path.name)}


def remove_left_over(files: set[Path]) -> list[Path]:
    """Removes those of the files that no process has mapped any more, as killed processes leave them; returns them."""
    if not files:
        return []
    in_use = set().union(*(shared_files(pid) for pid in psutil.pids()))
    removed = [path for path in sorted(files - in_use) if path.exists()]
    for path in removed:
        path.unlink(missing_ok=True)
    return removed
