"""What an .rrd file holds, read back by rerun's own reader."""
from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import rerun.chunk


def logged(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Entity -> what was logged there, in order: component -> list, and `time` [ns] and `frame` unless static."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for chunk in rerun.chunk.RrdReader(path).stream():
        batch = chunk.to_record_batch()
        for row in range(batch.num_rows):
            values = {
                name.partition(":")[2]: column[row].as_py()
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
                if ":" in name and column[row].is_valid
            }
            if not chunk.is_static:
                values |= {"time": batch["time"][row].value, "frame": batch["frame"][row].as_py()}
            found[str(chunk.entity_path).lstrip("/")].append(values)
    return {name: sorted(rows, key=lambda row: row.get("frame", -1)) for name, rows in found.items()}


def blueprints(path: Path) -> int:
    """How many layouts it holds."""
    return len(rerun.chunk.RrdReader(path).blueprints())
