import json

import numpy as np
import pytest
import shapely
from real_data import NUSCENES, needs_nuscenes

from mapkd_core.data.nuscenes_map import load_vector_map
from mapkd_core.data.sd_map import (
    ORIGINS,
    degrees_from_metres,
    find_sd_map,
    metres_from_degrees,
    rasterize_sd,
    read_roads,
)
from mapkd_core.grid import GRID_60X30
from mapkd_core.schema import FileFault

BOSTON = ORIGINS["boston-seaport"]


def test_a_minute_of_arc_in_metres_and_back():
    lat, lon = BOSTON
    x, y = metres_from_degrees(np.array([lon + 1 / 60, lat + 1 / 60]), BOSTON)
    assert y == pytest.approx(1855.325, abs=1e-3)  # 2 pi 6378137 / 21600
    assert x == pytest.approx(1855.325 * np.cos(np.radians(lat)), abs=1e-3)
    points = np.array([[0, 0], [1234.5, -987.6]])
    back = metres_from_degrees(degrees_from_metres(points, BOSTON), BOSTON)
    np.testing.assert_allclose(back, points, atol=1e-6)


def geojson(path, features, **members):
    items = [
        {"type": "Feature", "properties": p, "geometry": {"type": kind, "coordinates": c}} for p, kind, c in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items, **members}))
    return path


def test_geojson_of_any_place(tmp_path):
    line = degrees_from_metres(np.array([[0, 0], [30, 40.0]]), (48, 9)).tolist()
    two = [[[*point, 250.0] for point in line], line]
    path = geojson(
        tmp_path / "stuttgart.geojson",
        [({"highway": "residential"}, "LineString", line), ({"fclass": "primary"}, "MultiLineString", two),
         ({"highway": "footway"}, "LineString", line), ({"type": "road"}, "Point", line[0])],
    )
    with pytest.raises(ValueError, match="origin_lat_lon"):
        read_roads(path)
    roads = read_roads(path, (48, 9))
    assert len(roads) == 3
    for road in roads:
        np.testing.assert_allclose(road, [[0, 0], [30, 40]], atol=1e-6)
    with pytest.raises(ValueError, match="'footway', 'primary', 'residential'"):
        read_roads(path, (48, 9), road_types={"trunk"})
    named = geojson(tmp_path / "b.json", [({"type": "road"}, "LineString", line)], map_origin_lat_lon=[48, 9])
    np.testing.assert_allclose(read_roads(named)[0][1], [30, 40], atol=1e-6)


def test_errors_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no SD map"):
        read_roads(tmp_path / "none.shp")
    (tmp_path / "map.osm").write_text("<osm/>")
    with pytest.raises(ValueError, match="neither a shapefile"):
        read_roads(tmp_path / "map.osm")
    (tmp_path / "bad.geojson").write_text("[]")
    with pytest.raises(ValueError, match="not a GeoJSON"):
        read_roads(tmp_path / "bad.geojson", (0, 0))


@needs_nuscenes
def test_nuscenes_lanes_lie_by_the_roads():
    """Median distance of the lane centres to the nearest road: a wrong projection doubles it."""
    assert find_sd_map(NUSCENES / "osm", "boston-seaport") == NUSCENES / "osm" / "boston-seaport.shp"
    for name, limit_m in (("boston-seaport", 2.6), ("singapore-onenorth", 2.1), ("singapore-hollandvillage", 2.5)):
        vector_map = load_vector_map(NUSCENES, name)
        centres = np.concatenate(vector_map.lane_centres_m)[::10]
        roads = shapely.MultiLineString(list(vector_map.sd_roads_m))
        distances = shapely.distance(roads, shapely.points(centres))
        assert 1.0 < np.median(distances) < limit_m


def test_raster_is_minus_one_and_one():
    raster = rasterize_sd([np.array([[-99, 0.05], [99, 0.05]]), np.array([[40, 0], [50, 0.0]])], GRID_60X30)
    assert raster.shape == (1, 200, 400) and raster.dtype == np.int8
    assert (raster[0, 97:104] == 1).all() and (np.delete(raster[0], slice(97, 104), axis=0) == -1).all()
    assert (rasterize_sd([], GRID_60X30) == -1).all()


def mercator(lon_lat):
    lon, lat = np.radians(lon_lat).T
    return (6378137 * np.stack([lon, np.log(np.tan(np.pi / 4 + lat / 2))], -1)).tolist()


HERE = [[-71.057, 42.337], [-71.056, 42.338]]


@pytest.mark.parametrize(
    ("line", "members", "words"),
    [
        (mercator(HERE), {"crs": {"type": "name", "properties": {"name": "EPSG:3857"}}}, "crs is 'EPSG:3857'"),
        (mercator(HERE), {}, "metres of a projection"),
        ([point[::-1] for point in HERE], {}, "latitude stands first"),
        ([[float("nan"), 42.3], *HERE], {}, "a coordinate is nan"),
        ([[2.35, 48.85], [2.36, 48.86]], {}, "nearest road begins at .* km"),
        ([*HERE, [2.35, 48.85]], {}, "one after the other, are [0-9]+ km apart"),
        ([[-71.057, None], *HERE], {}, r"coordinates\[0\] is .*; expected a position"),
        ([[10**400, 42.3], *HERE], {}, "degrees|no JSON"),
        ("a", {}, "coordinates is 'a'; expected a list"),
    ],
)
def test_roads_that_cannot_be_here_are_refused(tmp_path, line, members, words):
    path = geojson(tmp_path / "city.geojson", [({"highway": "residential"}, "LineString", line)], **members)
    with pytest.raises(FileFault, match=words):
        read_roads(path, BOSTON)


def test_an_extract_that_reaches_far_is_taken(tmp_path):
    far = [[-73.0, 42.4], [-73.1, 42.4]]
    kinds = [({"highway": "residential"}, "LineString", line) for line in (far, HERE)]
    assert len(read_roads(geojson(tmp_path / "state.geojson", kinds), BOSTON)) == 2


@pytest.fixture
def shapes(tmp_path):
    """A shapefile of two roads and a point of no concern."""
    shapefile = pytest.importorskip("shapefile")
    with shapefile.Writer(str(tmp_path / "city")) as writer:
        writer.field("highway", "C")
        for lines in ([HERE], [HERE, HERE[::-1]]):
            writer.line(lines)
            writer.record("residential")
    return tmp_path / "city.shp"


def test_a_shapefile_is_read_unless_it_is_in_a_projection(shapes):
    assert len(read_roads(shapes, BOSTON)) == 3
    shapes.with_suffix(".prj").write_text('PROJCS["WGS 84 / UTM zone 19N"]')
    with pytest.raises(FileFault, match="names a projection"):
        read_roads(shapes, BOSTON)
    shapes.with_suffix(".prj").write_text('GEOGCS["GCS_WGS_1984"]')
    shapes.with_suffix(".shx").unlink()
    assert len(read_roads(shapes, BOSTON)) == 3


@pytest.mark.parametrize(
    ("suffix", "place", "value", "words"),
    [
        (".shp", slice(-20, None), b"", "no header that fits its"),
        (".shp", slice(100, 108), b"\0\0\0\1\xff\xff\xff\xfc", "shape 0 has no length that fits it"),
        (".shp", slice(104, 108), b"\0\0\0\2", "shape 0 has no length|shape 1 has no length"),
        (".shp", slice(144, 148), b"\xff\xff\xff\x7f", "shape 0 has no length"),
        (".dbf", slice(4, 8), b"\1\0\0\0", "has 2 shapes, city.dbf 1 rows"),
        (".dbf", slice(4, 8), b"\xff\xff\xff\xff", "holds 4294967295 rows"),
        (".dbf", slice(10, 12), b"\1\0", "columns need"),
        (".dbf", slice(20, None), b"", "has no header"),
        (".shx", slice(-8, None), b"", "has 2 shapes, city.shx 108 bytes"),
        (".shx", slice(100, 104), b"\xff\xff\xff\xff", "says that shape 0 begins at -1"),
    ],
)
def test_a_shapefile_whose_numbers_do_not_fit_is_refused_before_pyshp_follows_them(
    shapes, suffix, place, value, words
):
    data = bytearray(shapes.with_suffix(suffix).read_bytes())
    data[place] = value
    shapes.with_suffix(suffix).write_bytes(data)
    with pytest.raises(FileFault, match=words):
        read_roads(shapes, BOSTON)
