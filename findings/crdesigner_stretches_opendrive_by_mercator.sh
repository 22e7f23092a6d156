#!/usr/bin/env bash
# Seen: 2026-11-30 with commonroad-scenario-designer 0.8.5, commonroad-io 2024.3, pyproj 3.7.2, Python 3.11, Linux x86_64
# Expected: A map converted from OpenDRIVE to CommonRoad keeps its sizes: roads of 400 m with lanes of 3.5 m are lanelets of 400 m and 3.5 m.
# Happens: If the file has a geoReference, all points are projected to Web Mercator (EPSG:3857), the default of proj_string_odr, whose
#   "meters" are longer by 1 / cos(latitude): 400 m and 3.5 m become 609 m and 5.34 m in Karlsruhe, 798 m and 6.99 m at 60 degrees. Without
#   a geoReference, or at the equator, they stay as they are. Speed limits stay in true m/s. Nothing is said.
# Matters: CommonRoad's planners, vehicle models and criticality measures take the coordinates for meters: lanes are half as wide again as true,
#   trips take half as long again, and the same map gives other results from a file with a geoReference than from one without.
# Do instead: open_drive_config.proj_string_odr = None (the file's own metric frame), or the UTM zone of the place.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check numpy==2.2.6 scipy==1.16.3 shapely==2.1.2 \
    pyproj==3.7.2 matplotlib==3.10.8 networkx==3.5 PyYAML==6.0.3 protobuf==6.33.1 rtree==1.4.1 lxml==6.0.2 mgrs==1.6.0 \
    pandas==2.3.3 requests==2.32.5 setuptools==79.0.1
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --no-deps \
    commonroad-scenario-designer==0.8.5 commonroad-io==2024.3 commonroad-clcs==2025.2.0 iso3166==2.1.1 ordered-set==4.1.0 kdtree==0.16 \
    mercantile==1.2.1 omegaconf==2.3.0 antlr4-python3-runtime==4.9.3 pyclothoids==0.2.0 \
    PyQt6==6.10.0 PyQt6-Qt6==6.10.0 PyQt6-sip==13.10.2
QT_QPA_PLATFORM=offscreen env -u PYTHONPATH "$folder/venv/bin/python" -W ignore - "$folder" <<'END'
import math
import sys
from pathlib import Path

import numpy as np
from crdesigner.common.config.opendrive_config import open_drive_config
from crdesigner.map_conversion.opendrive.odr2cr.opendrive_conversion.network import Network
from crdesigner.map_conversion.opendrive.odr2cr.opendrive_parser.parser import parse_opendrive

file = Path(sys.argv[1]) / "road.xodr"


def sizes(latitude=None):
    """Length and width of the lanelet of a road of 400 m with one lane of 3.5 m."""
    frame = f"+proj=tmerc +lat_0={latitude} +lon_0=8.4 +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m"
    reference = "" if latitude is None else f"<geoReference><![CDATA[{frame}]]></geoReference>"
    file.write_text(f"""<?xml version="1.0"?><OpenDRIVE>
<header revMajor="1" revMinor="6" name="" version="1" north="0" south="0" east="0" west="0">{reference}</header>
<road name="r" length="400" id="1" junction="-1"><link/>
<planView><geometry s="0" x="0" y="0" hdg="0.5" length="400"><line/></geometry></planView>
<elevationProfile/><lateralProfile/>
<lanes><laneSection s="0"><center><lane id="0" type="none" level="false"/></center>
<right><lane id="-1" type="driving" level="false"><link/><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane></right>
</laneSection></lanes></road></OpenDRIVE>""")
    network = Network()
    network.load_opendrive(parse_opendrive(file))
    lanelet = network.export_commonroad_scenario().lanelet_network.lanelets[0]
    left, right = lanelet.left_vertices, lanelet.right_vertices
    length = np.linalg.norm(np.diff(lanelet.center_vertices, axis=0), axis=1).sum()
    return float(length), float(np.linalg.norm(left[0] - right[0]))


found = {latitude: sizes(latitude) for latitude in (0, 49, 60)}
bare = sizes()
open_drive_config.proj_string_odr = None
own_frame = sizes(49)
for latitude, (length, width) in found.items():
    print(f"geoReference at {latitude} degrees: {length:.1f} m long, {width:.2f} m wide")
print("without geoReference:", bare, "with proj_string_odr None at 49 degrees:", own_frame)
as_seen = all(
    abs(length * math.cos(math.radians(latitude)) / 400 - 1) < 0.01 and abs(width * math.cos(math.radians(latitude)) / 3.5 - 1) < 0.01
    for latitude, (length, width) in found.items()
) and np.allclose([bare, own_frame], (400, 3.5), rtol=1e-3)  # fmt: skip
if not as_seen:
    print("changed: lengths and widths were those of Web Mercator")
sys.exit(not as_seen)
END
echo "as described"
