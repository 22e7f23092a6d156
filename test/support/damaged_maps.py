"""Readers of maps, with small sound files for each: street maps, map expansions, SD maps."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from damaged_reader import Reader, write_json

from mapkd_core.data import nuscenes_map
from mapkd_core.data.labels import map_elements
from mapkd_core.data.sd_map import ORIGINS, degrees_from_metres, read_roads
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import BevGrid
from mapkd_core.map_formats.geojson import read_geojson
from mapkd_core.map_formats.lanelet2_read import read_lanelet2
from mapkd_core.map_formats.opendrive_read import read_opendrive
from mapkd_core.map_formats.projector_info import read_projector_info
from mapkd_core.mapping.street_map import MapOrigin, StreetElement, StreetMap

_CITY = "boston-seaport"

_GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)


def _make_street_map(folder: Path) -> None:
    line, ring = np.zeros((2, 3)), np.array([[0.0, 0, 0], [3, 0, 0], [3, 4, 0], [0, 0, 0]])
    elements = StreetElement(1, "divider", line, 0.5, 3), StreetElement(2, "ped_crossing", ring, closed=True)
    StreetMap(elements, origin=MapOrigin(60.4, 5.3, 1.0, 32632), metadata={"a": 1}).write(folder / "a.jsonl")

_OSM = """<?xml version='1.0'?>
<osm version="0.6"><MetaInfo generator="mapkd" frame="map" metadata="{}" origin="null" />
<node id="1" lat="1.0" lon="3.0"><tag k="local_x" v="0" /><tag k="local_y" v="0" /><tag k="ele" v="1" /></node>
<node id="2" lat="1.0001" lon="3.0" /><node id="3" lat="1.0001" lon="3.0001" /><node id="4" lat="1.0" lon="3.0001" />
<way id="5"><nd ref="1" /><nd ref="2" /><tag k="type" v="line_thin" /><tag k="mapkd:id" v="7" />
<tag k="mapkd:label" v="divider" /><tag k="mapkd:part" v="1/1" /><tag k="mapkd:score" v="0.5" />
<tag k="mapkd:sightings" v="3" /><tag k="mapkd:closed" v="no" /></way>
<way id="6"><nd ref="4" /><nd ref="3" /><tag k="type" v="curbstone" /></way>
<relation id="8"><member type="way" ref="5" role="left" /><member type="way" ref="6" role="right" />
<tag k="type" v="lanelet" /><tag k="subtype" v="crosswalk" /></relation></osm>
"""

_XODR = """<OpenDRIVE><header/><road id="1" length="20"><planView><geometry s="0" x="0" y="0" hdg="0" length="20">
<arc curvature="0.01"/></geometry></planView><lanes><laneSection s="0"><center><lane id="0"/></center><right>
<lane id="-1" type="driving"><width sOffset="0" a="3" b="0" c="0" d="0"/></lane></right></laneSection></lanes>
</road></OpenDRIVE>"""


def _make_maps(folder: Path) -> None:
    (folder / "a.xodr").write_text(_XODR)
    line = {"type": "LineString", "coordinates": [[5.3, 60.4, 1.0], [5.31, 60.4, 2.0]]}
    own = {"label": "divider", "score": 0.5, "sightings": 2, "closed": False, "attributes": {}, "reversed": False}
    features = [{"type": "Feature", "id": 3, "geometry": line, "properties": own},
                {"type": "Feature", "geometry": line, "properties": {"type": "curb"}}]  # fmt: skip
    origin = {"latitude_deg": 60.4, "longitude_deg": 5.3, "altitude_m": 0.0, "utm_epsg": 32632}
    head = {"format": "mapkd-geojson-1", "frame": "map", "metadata": {}, "origin": origin}
    text = json.dumps({"type": "FeatureCollection", "mapkd": head, "features": features})
    (folder / "a.geojson").write_text(text)


def _make_lanelet2(folder: Path) -> None:
    (folder / "a.osm").write_text(_OSM)
    (folder / "map_projector_info.yaml").write_text("projector_type: Local\n")


def _expansion() -> dict[str, object]:
    corners = [(0, -8), (60, -8), (60, 8), (0, 8), (10, -6), (13, -6), (13, 6), (10, 6), (0, 0), (30, 1), (60, 0)]
    path = {"start_pose": [0, -2, 0.1], "shape": "LSR", "radius": 20.0, "segment_length": [3.0, 40.0, 2.0]}
    return {
        "version": "1.3",
        "node": [{"token": f"n{k}", "x": float(x), "y": float(y)} for k, (x, y) in enumerate(corners)],
        "line": [{"token": "l0", "node_tokens": ["n8", "n9", "n10"]}],
        "polygon": [
            {"token": "p0", "exterior_node_tokens": ["n0", "n1", "n2", "n3"],
             "holes": [{"node_tokens": ["n4", "n5", "n9"]}]},
            {"token": "p1", "exterior_node_tokens": ["n4", "n5", "n6", "n7"], "holes": []},
        ],
        "ped_crossing": [{"token": "c0", "polygon_token": "p1"}], "walkway": [{"token": "w0", "polygon_token": "p1"}],
        "road_segment": [{"token": "r0", "polygon_token": "p0"}], "lane": [{"token": "a0", "polygon_token": "p0"}],
        "lane_connector": [{"token": "a1"}],
        "road_divider": [{"token": "d0", "line_token": "l0"}],
        "lane_divider": [{"line_token": "l0", "lane_divider_segments": [{"segment_type": "DOUBLE_SOLID_WHITE"}]}],
        "arcline_path_3": {"a0": [path], "a1": [path]}, "connectivity": {"a0": {"outgoing": ["a1"]}},
    }  # fmt: skip


def _make_map(folder: Path) -> None:
    write_json(folder / "maps" / "expansion" / f"{_CITY}.json", _expansion())
    square = [{"centre": [30, 0], "half_size": 80}]
    cities = {_CITY: {"squares": square, "squares_with_ped_crossing": square}}
    write_json(folder / "map_coverage.json", {"cities": cities})


def _read_map(folder: Path) -> None:
    nuscenes_map.coverage.cache_clear()
    if nuscenes_map.covers(folder, _CITY, 20.0, 0.0):
        read = nuscenes_map.load_vector_map.__wrapped__(folder, _CITY)
        map_elements(read, transform_from_yaw(20.0, 0.0, 0.1), _GRID, "polygon")


def _make_geojson(folder: Path) -> None:
    line = degrees_from_metres(np.array([[0, 0], [30, 40.0], [60, 40]]), ORIGINS[_CITY]).tolist()
    kinds = [("LineString", line, "residential"), ("MultiLineString", [line, line[:2]], "primary"),
             ("Point", line[0], "road")]  # fmt: skip
    features = [
        {"type": "Feature", "properties": {"highway": road}, "geometry": {"type": kind, "coordinates": coordinates}}
        for kind, coordinates, road in kinds
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    write_json(folder / f"{_CITY}.geojson", {"type": "FeatureCollection", "features": features, "crs": crs})


def _make_shapefile(folder: Path) -> None:
    import shapefile

    line = degrees_from_metres(np.array([[0, 0], [30, 40.0], [60, 40]]), ORIGINS[_CITY]).tolist()
    with shapefile.Writer(str(folder / _CITY)) as writer:
        writer.field("highway", "C", 20)
        writer.field("lanes", "N", 4)
        for parts in ([line], [line, line[:2]]):
            writer.line(parts)
            writer.record("residential", 2)
    (folder / f"{_CITY}.prj").write_text('GEOGCS["GCS_WGS_1984"]')


def _make_projector(folder: Path) -> None:
    (folder / "map_projector_info.yaml").write_text(
        "projector_type: LocalCartesianUTM\nvertical_datum: WGS84\n"
        "map_origin: {latitude: 42.336, longitude: -71.057, altitude: 3.5}\n"
    )

READERS = (
    Reader("street maps", _make_street_map, lambda folder: StreetMap.read(folder / "a.jsonl")),
    Reader("Lanelet2 maps", _make_lanelet2, lambda folder: read_lanelet2(folder / "a.osm")),
    Reader("OpenDRIVE maps", _make_maps, lambda folder: read_opendrive(folder / "a.xodr"), keep=(".geojson",)),
    Reader("street maps as GeoJSON", _make_maps, lambda folder: read_geojson(folder / "a.geojson"), keep=(".xodr",)),
    Reader("map expansions", _make_map, _read_map),
    Reader("SD maps as GeoJSON", _make_geojson, lambda folder: read_roads(folder / f"{_CITY}.geojson")),
    Reader("SD maps as shapefiles", _make_shapefile, lambda folder: read_roads(folder / f"{_CITY}.shp")),
    Reader("projector infos", _make_projector,
           lambda folder: read_projector_info(folder / "map_projector_info.yaml")),
)  # fmt: skip
