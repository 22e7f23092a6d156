#!/usr/bin/env bash
# Seen: 2026-11-29 with nuscenes-devkit 1.2.0, shapely 2.0.7 (the devkit asks for ~=2.0.3), numpy 1.26.4, Python 3.11,
#   Linux x86_64
# Expected: get_map_mask draws the union of a layer, whatever the shape of its records.
# Happens: A divider that leaves the patch and comes back, or crosses itself, is several pieces after clipping: TypeError,
#   'MultiLineString' object is not iterable, since the devkit walks it in shapely 1's way. And holes are painted 0 after
#   each record: a ring road drawn after the island inside its hole erases the island, drawn before it does not. (Nor is
#   get_records_in_radius round: it takes a square.)
# Matters: Rasterized labels of drivable area depend on the order of the file, and label making stops at the first winding
#   road. Which scenes fail depends on the patch size.
# Do instead: Take get_map_geom, explode each geometry into its parts, and draw: polygons as shapely's unary_union, holes
#   included, lines part by part.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" cachetools==5.5.2 matplotlib==3.10.3 numpy==1.26.4 opencv-python-headless==4.11.0.86 pillow==11.2.1 \
    pyquaternion==0.9.9 scikit-learn==1.6.1 shapely==2.0.7 tqdm==4.67.1
"${pip[@]}" --no-deps descartes==1.1.0 nuscenes-devkit==1.2.0
FOLDER=$folder "$folder/venv/bin/python" - <<'END'
import json
import os
import sys
from pathlib import Path

from nuscenes.map_expansion.map_api import NuScenesMap

LAYERS = ("polygon", "line", "node", "drivable_area", "road_segment", "road_block", "lane", "ped_crossing", "walkway",
          "stop_line", "carpark_area", "road_divider", "lane_divider", "traffic_light", "lane_connector")  # fmt: skip
PATCH, CANVAS = (500.0, 500.0, 60.0, 60.0), (60, 60)


class SmallMap:
    """A map of the expansion's format, filled record by record."""

    def __init__(self) -> None:
        self.tables = {name: [] for name in LAYERS}

    def _nodes(self, points: list[tuple[float, float]]) -> list[str]:
        first = len(self.tables["node"])
        self.tables["node"] += [{"token": f"n{first + place}", "x": x, "y": y} for place, (x, y) in enumerate(points)]
        return [f"n{first + place}" for place in range(len(points))]

    def add_area(self, outer: list, holes: list[list]) -> None:
        token = f"area{len(self.tables['polygon'])}"
        hole_nodes = [{"node_tokens": self._nodes(hole)} for hole in holes]
        self.tables["polygon"].append(
            {"token": token, "exterior_node_tokens": self._nodes(outer), "holes": hole_nodes}
        )  # fmt: skip
        self.tables["drivable_area"].append({"token": token, "polygon_tokens": [token]})

    def add_divider(self, points: list[tuple[float, float]]) -> None:
        self.tables["line"].append({"token": "line", "node_tokens": self._nodes(points)})
        self.tables["lane_divider"].append({"token": "divider", "line_token": "line", "lane_divider_segments": []})

    def load(self) -> NuScenesMap:
        path = Path(os.environ["FOLDER"], "maps", "expansion", "boston-seaport.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"version": "1.3", "canvas_edge": [1000, 1000], "arcline_path_3": {}, "connectivity": {}}
        path.write_text(json.dumps(content | self.tables))
        return NuScenesMap(os.environ["FOLDER"], "boston-seaport")


def square(half: float) -> list[tuple[float, float]]:
    return [(500 + x * half, 500 + y * half) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]


RING, ISLAND = (square(20), [square(10)]), (square(8), [])
middles = {}
for name, areas in {"island first": (ISLAND, RING), "island last": (RING, ISLAND)}.items():
    small = SmallMap()
    for outer, holes in areas:
        small.add_area(outer, holes)
    mask = small.load().get_map_mask(PATCH, 0.0, ["drivable_area"], CANVAS)[0]
    middles[name] = int(mask[30, 30])
    print(f"{name}: {mask.sum()} pixels drivable, the island's middle is {middles[name]}")

small = SmallMap()
small.add_area(*RING)
near_corner = small.load().get_records_in_radius(528.0, 528.0, 9.0, ["drivable_area"])["drivable_area"]
print(f"records within 9 m of a point 11.3 m from the only one: {len(near_corner)}")

DIVIDERS = {
    "inside": [(490, 500), (510, 500)],
    "leaves and comes back": [(490, 500), (540, 500), (540, 505), (490, 505)],
    "crosses itself": [(490, 490), (510, 510), (510, 490), (490, 510)],
}
answers = {}
for name, points in DIVIDERS.items():
    small = SmallMap()
    small.add_divider(points)
    try:
        mask = small.load().get_map_mask(PATCH, 0.0, ["lane_divider"], CANVAS)[0]
        answers[name] = "drawn" if mask.any() else "empty"
    except TypeError as error:
        answers[name] = f"TypeError: {error}"
    print(f"divider {name}: {answers[name]}")
as_seen = len(near_corner) == 1
as_seen &= middles == {"island first": 0, "island last": 1} and answers["inside"] == "drawn"
as_seen &= all(answers[name].startswith("TypeError") for name in ("leaves and comes back", "crosses itself"))
if not as_seen:
    print("changed: the island drawn last alone was kept, the divider in one piece alone drawn, the corner found")
sys.exit(not as_seen)
END
echo "as described"
