#!/usr/bin/env bash
# Seen: 2026-11-29 with openlanev2 2.1.0 (lane segment track), scipy 1.15.3, NumPy 1.26.4 and 2.2.6, Python 3.11, Linux x86_64
# Expected: The same predictions score the same under any NumPy that runs the devkit; a recall of 7 in 10 reaches the level 0.7.
# Happens: The devkit compares recalls in single precision with levels in double precision. NumPy below 2 rounds the levels to
#   single precision first, and seven of ten reach 0.7. NumPy 2 compares in double precision: float32(0.7) is 0.69999999, below
#   0.7000000000000001, and one of the eleven levels counts 0. Seven of ten areas found score 8/11 = 0.727 or 7/11 = 0.636.
# Matters: DET_a of one set of predictions moves by several points with the installed NumPy. The devkit asks for NumPy below
#   1.24, but runs with 2 where that is all a machine has.
# Do instead: Score with the NumPy that the devkit asks for, name its version beside the figure, and round the levels to single
#   precision in code of your own. (evaluate also needs ortools.graph.pywrapgraph, which only the F score uses.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/score.py" <<'END'
import sys
import types

import numpy as np

for name in ("ortools", "ortools.graph", "ortools.graph.pywrapgraph"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["ortools.graph"].pywrapgraph = sys.modules["ortools.graph.pywrapgraph"]

from openlanev2.lanesegment.evaluation import evaluate  # noqa: E402  (after the stand-in)


def area(number: int, **more: object) -> dict:
    """A crossing, thirty metres from the next one."""
    square = np.array([[0, 0, 0], [3, 0, 0], [3, 4, 0], [0, 4, 0]], np.float64)
    return {"id": number, "category": 1, "points": square + [30.0 * number, 0, 0], **more}


def frame(areas: list) -> dict:
    """Areas and nothing else."""
    nothing = np.zeros((0, 0), np.float32)
    return {"lane_segment": [], "traffic_element": [], "area": areas, "topology_lsls": nothing, "topology_lste": nothing}


truth = {"f": {"annotation": frame([area(k) for k in range(10)])}}
found = {"results": {"f": {"predictions": frame([area(k, confidence=0.9 - 0.01 * k) for k in range(7)])}}}
det_a = float(evaluate(truth, found, verbose=False)["OpenLane-V2 UniScore"]["DET_a"])
crossings = 2 * det_a - 1  # boundaries, which occur nowhere, count 1
print(f"NumPy {np.__version__}: AP of crossings {crossings:.3f}")
sys.exit(abs(crossings - float(sys.argv[1])) > 1e-3)
END
for versions in "1.26.4 4.11.0.86 0.7273" "2.2.6 4.12.0.88 0.6364"; do
    read -r numpy opencv expected <<< "$versions"
    python3 -m venv "$folder/venv"
    pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
    "${pip[@]}" "numpy==$numpy" scipy==1.15.3 shapely==2.0.7 "opencv-python-headless==$opencv" iso3166==2.1.1 tqdm==4.67.1
    "${pip[@]}" --no-deps similaritymeasures==1.2.0 openlanev2==2.1.0
    "$folder/venv/bin/python" "$folder/score.py" "$expected" || { echo "changed: expected $expected"; exit 1; }
    rm -rf "$folder/venv"
done
echo "as described"
