"""Elements in JSON."""
import json

import numpy as np

from mapkd_core.artifact import ModelCard
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.elements import ElementLines
from mapkd_core.types import MapElement

CARD = ModelCard("student", "1.2.3", "student", {}, BevGrid((-10.0, 30.0), (-5.0, 5.0), 0.5), (352, 128))


def test_a_line_of_facts_and_one_a_map(tmp_path):
    ring = np.array([[0, 0], [1, 0], [1.00049, 1], [0, 0]], np.float32)
    with ElementLines(tmp_path / "a.jsonl", CARD) as lines:
        lines.add(7, {"A": 7, "B": 8}, ["C"], [MapElement("ped_crossing", ring, 0.123456, closed=True)])
        lines.add(9, {"A": 9}, [], [])
    head, first, second = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert head["model"] == {"name": "student", "version": "1.2.3"} and head["grid"]["cell_m"] == 0.5
    assert first == {
        "stamp_ns": 7, "cameras": {"A": 7, "B": 8}, "missing_cameras": ["C"],
        "elements": [{
            "label": "ped_crossing", "score": 0.1235, "closed": True,
            "points_m": [[0, 0], [1, 0], [1, 1], [0, 0]],
        }],
    }  # fmt: skip
    assert second["elements"] == []
