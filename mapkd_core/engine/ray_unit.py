"""The function that Ray calls on a worker. Its code travels with it, so nothing of this project is imported above."""
from __future__ import annotations

from typing import Any


def begin(name: str, packed: list[Any], unit: bytes) -> tuple[str, Any]:
    """Hands a unit to this project's code on the worker, if it is there: (kind, value), as `ray_worker.answer`."""
    import socket

    try:
        from mapkd_core.engine.ray_worker import answer
    except ImportError as error:
        return "differs", (
            f"node {socket.gethostname()} cannot import mapkd_core ({error}); install this project on "
            "every node, in the same version, into the Python that runs `ray start`"
        )
    return answer(name, packed, unit)
