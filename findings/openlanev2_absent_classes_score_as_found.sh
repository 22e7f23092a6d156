#!/usr/bin/env bash
# Seen: 2026-11-29 with openlanev2 2.1.0 (lane segment track), scipy 1.15.3, numpy 1.26.4, Python 3.11, Linux x86_64
# Expected: A perfect prediction scores 1, an empty one 0, on any part of the data.
# Happens: Each of the 13 traffic element attributes and 2 area categories counts the same. One that occurs neither in truth nor
#   prediction counts 1, and falls to 0 with a single faint false one; topology without traffic elements counts 0. So on
#   frames with one area category and one attribute the empty prediction scores 0.285; on frames without traffic elements
#   the perfect one scores 0.8, and one box of confidence 0.01 takes DET_t from 1 to 0.923. Line types count nowhere.
# Matters: Scores of small splits, single scenes or single cameras cannot be compared with each other or with published ones,
#   and a model can gain by never predicting a rare class.
# Do instead: Report DET_l, DET_a and the rest one by one with the number of truths of each class, leave absent classes out
#   yourself, and score line types on your own. (evaluate also needs ortools.graph.pywrapgraph, gone by ortools 9.14;
#   only the F score uses it, so an empty stand-in does, as below.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" numpy==1.26.4 scipy==1.15.3 shapely==2.0.7 opencv-python-headless==4.11.0.86 iso3166==2.1.1 tqdm==4.67.1
"${pip[@]}" --no-deps similaritymeasures==1.2.0 openlanev2==2.1.0
"$folder/venv/bin/python" - <<'END'
import sys
import types

import numpy as np

for name in ("ortools", "ortools.graph", "ortools.graph.pywrapgraph"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["ortools.graph"].pywrapgraph = sys.modules["ortools.graph.pywrapgraph"]

from openlanev2.lanesegment.evaluation import evaluate  # noqa: E402  (after the stand-in)

BOX = np.array([[100, 100], [120, 140]], np.float32)
CROSSING = np.array([[5, -4, 0], [8, -4, 0], [8, 4, 0], [5, 4, 0], [5, -4, 0]], np.float32)


def frame(traffic_elements: int, line_type: int = 1) -> dict:
    """Two lane segments, one after the other, and a crossing; each with the confidence a prediction needs."""
    lanes = []
    for place in range(2):
        center = np.column_stack([np.linspace(20 * place, 20 * place + 20, 10), np.zeros(10), np.zeros(10)])
        lanes.append({
            "id": place, "centerline": center, "left_laneline": center + [0, 2, 0], "right_laneline": center - [0, 2, 0],
            "left_laneline_type": line_type, "right_laneline_type": line_type, "confidence": np.float32(0.9),
        })  # fmt: skip
    element = {"id": 20, "points": BOX, "category": 1, "attribute": 1, "confidence": np.float32(0.9)}
    return {
        "lane_segment": lanes,
        "area": [{"id": 9, "points": CROSSING, "category": 1, "confidence": np.float32(0.9)}],
        "traffic_element": [element] * traffic_elements,
        "topology_lsls": np.array([[0, 1], [0, 0]], np.float32),
        "topology_lste": np.ones((2, traffic_elements), np.float32),
    }


def score(truth: dict, prediction: dict) -> tuple[float, float]:
    """The overall score and DET_t, to three places."""
    result = evaluate({"frame": {"annotation": truth}}, {"results": {"frame": {"predictions": prediction}}}, verbose=False)
    values = result["OpenLane-V2 UniScore"]
    return round(float(values["score"]), 3), round(float(values["DET_t"]), 3)


nothing = {name: [] for name in ("lane_segment", "area", "traffic_element")}
nothing |= {name: np.zeros((0, 0), np.float32) for name in ("topology_lsls", "topology_lste")}
faint = {"id": 20, "points": BOX, "category": 1, "attribute": 1, "confidence": np.float32(0.01)}
one_faint = frame(0) | {"traffic_element": [faint], "topology_lste": np.zeros((2, 1), np.float32)}
wrong = False
for name, truth, prediction, seen in (
    ("perfect, one traffic light", frame(1), frame(1), (1.0, 1.0)),
    ("perfect, but every line type wrong", frame(1), frame(1, line_type=0), (1.0, 1.0)),
    ("nothing predicted, one traffic light", frame(1), nothing, (0.285, 0.923)),
    ("perfect, no traffic light there", frame(0), frame(0), (0.8, 1.0)),
    ("the same and one faint false light", frame(0), one_faint, (0.785, 0.923)),
):
    found = score(truth, prediction)
    print(f"{name}: score {found[0]}, DET_t {found[1]}")
    if found != seen:
        print(f"changed: it was score {seen[0]}, DET_t {seen[1]}")
        wrong = True
sys.exit(wrong)
END
echo "as described"
