"""A length of time in words that fit its size."""
from __future__ import annotations

_UNITS = ((365.25 * 86400, "years"), (86400, "days"), (3600, "hours"), (1, "s"))
_LEAST = 10
"""Of the larger unit; below, the smaller one is more exact: 5400 s stay seconds, 300 ms milliseconds."""


def duration_text(duration_ns: float) -> str:
    """`300 ms`, `12 s`, `30 hours`, `56 years`; the sign is dropped."""
    seconds = abs(duration_ns) / 1e9
    for length_s, unit in _UNITS:
        if seconds >= _LEAST * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds * 1e3:.0f} ms"
