"""What a ROS parameter file says to one node, for who must know it before that node starts. Needs no ROS."""
from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mapkd_core.yaml_file import read_yaml


def parameters_for(path: Path, node: str) -> dict[str, Any]:
    """The parameters for the node of this full name (`/car/student_node`); of several blocks, the last one wins.

    Raises ValueError, fit to be shown to the user, for a file that is not there, is no parameter file, or says nothing
    to this node.
    """
    try:
        blocks = read_yaml(path, "a parameter file")
    except OSError as error:
        raise ValueError(str(error)) from error
    if not isinstance(blocks, Mapping) or not all(
        isinstance(block, Mapping) and isinstance(block.get("ros__parameters") or {}, Mapping)
        for block in blocks.values()
    ):
        raise ValueError(f"{path} is no parameter file; expected `/**:`, then `ros__parameters:`, then name: value")
    found: dict[str, Any] = {}
    fitting = [name for name in blocks if _fits(str(name), node)]
    for name in fitting:
        found.update(_flat(blocks[name].get("ros__parameters") or {}))
    if not fitting:
        raise ValueError(f"{path} says nothing to {node}: its blocks are for {', '.join(map(str, blocks))}; use /**")
    return found


def _fits(pattern: str, node: str) -> bool:
    """ROS's rule: `*` is one word of the name, `**` any number of them; a name without slash has no namespace."""
    pattern = pattern if pattern.startswith("/") else f"/{pattern}"
    parts = pattern[1:].split("/")
    words = [r"(/\w+)*" if part == "**" else "/" + re.escape(part).replace(r"\*", r"\w+") for part in parts]
    return re.fullmatch("".join(words), node) is not None


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found
