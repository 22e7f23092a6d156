"""Reasons whose figures change all the time, so that equal ones count together and are said once."""
from __future__ import annotations

import re

_FIGURE = re.compile(r"(?<![\w.])[-+]?\d+(\.\d+)?(e[-+]?\d+)?(?!\w)")


def without_figures(text: str) -> str:
    """`+0.12 s from the nearest pose` as `# s from the nearest pose`; names such as cam_1 stay."""
    return _FIGURE.sub("#", text)
