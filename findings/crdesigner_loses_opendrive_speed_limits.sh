#!/usr/bin/env bash
# Seen: 2026-11-30 with commonroad-scenario-designer 0.8.5, commonroad-io 2024.3, pyproj 3.7.2, Python 3.11, Linux x86_64
# Expected: The speed limits of an OpenDRIVE map, in m/s, km/h or mph, of roads, lanes and signs, become those of its CommonRoad lanelets.
# Happens: A lane's speed without a unit or in m/s (m/s is what OpenDRIVE means without one) is passed over: the lanelet has
#   the road's limit or none. Of several limits of a road or a lane the first holds for all of it: 50 km/h to s = 200 and 100 after give 50
#   throughout, even with a lane section of its own from 200 on. A sign of 30 mph is read as 30 m/s (108 km/h); km/h is converted. A
#   road's 50 km/h are 13.85 m/s, a lane's 13.89. Nothing is said.
# Matters: Lanelets have no limit where the map has one, too low ones after a town's end, or more than twice the sign's in the USA.
# Do instead: Rewrite every speed and sign to km/h, one lane section and lane speed for each limit, before the conversion.
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
import sys
from pathlib import Path

from crdesigner.map_conversion.opendrive.odr2cr.opendrive_conversion.network import Network
from crdesigner.map_conversion.opendrive.odr2cr.opendrive_parser.parser import parse_opendrive

file = Path(sys.argv[1]) / "road.xodr"


def section(start, speeds=""):
    """A lane section with one lane."""
    return f"""<laneSection s="{start}"><center><lane id="0" type="none" level="false"/></center>
<right><lane id="-1" type="driving" level="false"><link/><width sOffset="0" a="3.5" b="0" c="0" d="0"/>{speeds}</lane></right></laneSection>"""


def limits(sections, types="", signals=""):
    """The limits in m/s of the lanelets of a road of 400 m, in its direction."""
    file.write_text(f"""<?xml version="1.0"?><OpenDRIVE>
<header revMajor="1" revMinor="6" name="" version="1" north="0" south="0" east="0" west="0"/>
<road name="r" length="400" id="1" junction="-1"><link/>{types}
<planView><geometry s="0" x="0" y="0" hdg="0" length="400"><line/></geometry></planView>
<elevationProfile/><lateralProfile/><lanes>{sections}</lanes><objects/><signals>{signals}</signals></road></OpenDRIVE>""")
    network = Network()
    network.load_opendrive(parse_opendrive(file))
    lanelets = network.export_commonroad_scenario().lanelet_network
    found = []
    for lanelet in sorted(lanelets.lanelets, key=lambda lanelet: lanelet.center_vertices[0, 0]):
        signs = [lanelets.find_traffic_sign_by_id(sign) for sign in lanelet.traffic_signs]
        found.append([round(float(part.additional_values[0]), 2) for sign in signs for part in sign.traffic_sign_elements])
    return found


def lane(value, unit=None, offset=0):
    return f'<speed sOffset="{offset}" max="{value}"' + (f' unit="{unit}"/>' if unit else "/>")


def road(start, value):
    return f'<type s="{start}" type="rural"><speed max="{value}" unit="km/h"/></type>'


def sign(kind, value, unit, country):
    return (
        f'<signal s="50" t="-4" id="9" name="s" dynamic="no" orientation="+" zOffset="2" type="{kind}" subtype="-1" '
        f'country="{country}" value="{value}" unit="{unit}" height="0.6" width="0.6"/>'
    )


seen = {
    "lane 50 km/h": limits(section(0, lane(50, "km/h"))),
    "lane 13.89 m/s": limits(section(0, lane(13.89, "m/s"))),
    "lane 13.89": limits(section(0, lane(13.89))),
    "lane 8.33 m/s on a road of 50 km/h": limits(section(0, lane(8.33, "m/s")), road(0, 50)),
    "road 50, from 200 on 100 km/h": limits(section(0) + section(200), road(0, 50) + road(200, 100)),
    "lane 50, from 200 on 100 km/h": limits(section(0, lane(50, "km/h") + lane(100, "km/h", 200))),
    "sign 50 km/h": limits(section(0), signals=sign("274", 50, "km/h", "DEU")),
    "sign 30 mph": limits(section(0), signals=sign("R2-1", 30, "mph", "USA")),
}
for name, found in seen.items():
    print(f"{name}: {found}")
as_seen = list(seen.values()) == [[[13.89]], [[]], [[]], [[13.85]], [[13.85], [13.85]], [[13.89]], [[13.89]], [[30.0]]]
if not as_seen:
    print("changed: speeds in m/s were left out, the first limit held for all, and mph were m/s")
sys.exit(not as_seen)
END
echo "as described"
