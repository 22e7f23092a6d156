"""What a freshly spawned worker makes of an object that is sent to it, as a data loader's would."""
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any


def in_worker(work: Callable[..., Any], *values: Any) -> Any:
    """`work(*values)` in a new process; `work` must lie in a module that the process can import."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *values).result()


def token_and_map_name(source: Any) -> tuple[str, str]:
    """Of a source's first frame."""
    return source[0].token, source[0].vector_map().name


def bytes_of_frames(drive: Any, order: list[int]) -> list[tuple[str, bytes, bytes, bytes]]:
    """Token, pose, fourth image and points of a drive's frames, made in this order."""
    frames = [drive[index] for index in order]
    return [(f.token, f.map_from_base.tobytes(), f.views[3].image.rgb().tobytes(), f.lidar().tobytes()) for f in frames]
