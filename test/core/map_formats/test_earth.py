"""Where on Earth a map lies: zones as Lanelet2 has them, metres that come back."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.map_formats.earth import (
    EarthFrame,
    at_place,
    check_near,
    mgrs_corner,
    mgrs_square,
    place_of,
    utm_epsg,
)
from mapkd_core.mapping.street_map import MapOrigin

pytest.importorskip("pyproj")


@pytest.mark.parametrize(
    ("latitude", "longitude", "epsg"),
    [
        (60.39, 5.32, 32632),  # Bergen: 31 by six degrees
        (60.39, 2.9, 32631), (55.9, 5.0, 32631), (64.1, 5.0, 32631),
        (78.2, 15.6, 32633), (78.2, 8.0, 32631), (78.2, 33.5, 32637), (78.2, 44.0, 32638),
        (-33.9, 18.4, 32734), (0.0, -180.0, 32601), (48.0, 180.0, 32601),
    ],
)  # fmt: skip
def test_zone(latitude: float, longitude: float, epsg: int) -> None:
    assert utm_epsg(latitude, longitude) == epsg


def test_no_zone_at_the_poles() -> None:
    with pytest.raises(ValueError, match="has no UTM zone; expected latitude -80 to 84"):
        utm_epsg(84.5, 0.0)
    assert at_place(84.5, 0.0).utm_epsg is None


@pytest.mark.parametrize("with_zone", [True, False])
def test_places_are_those_of_lanelet2(with_zone: bool) -> None:
    """At 150 places, half of them where zones are irregular."""
    io, projection = pytest.importorskip("lanelet2.io"), pytest.importorskip("lanelet2.projection")
    from lanelet2.core import BasicPoint3d

    rng = np.random.default_rng(3)
    for number in range(150):
        latitude, longitude = rng.uniform(-79, 83), rng.uniform(-180, 180)
        if number % 2:
            latitude, longitude = rng.uniform(55, 83), rng.uniform(0, 43)
        if abs(latitude) < 0.3:
            continue
        origin = at_place(latitude, longitude, 30.0) if with_zone else MapOrigin(latitude, longitude, 30.0)
        earth = EarthFrame(origin)
        points = np.concatenate([rng.uniform(-20_000, 20_000, (4, 2)), rng.uniform(-5, 5, (4, 1))], 1)
        degrees = earth.degrees(points)
        assert np.abs(earth.metres(degrees) - points).max() < 1e-6
        kind = projection.UtmProjector if with_zone else projection.LocalCartesianProjector
        projector = kind(io.Origin(latitude, longitude, 30.0))
        for point, (lon, lat, up) in zip(points, degrees, strict=True):
            theirs = projector.reverse(BasicPoint3d(*point))
            assert abs((theirs.lon - lon + 180) % 360 - 180) < 1e-10 and abs(theirs.lat - lat) < 1e-10
            assert with_zone or abs(theirs.alt - up) < 1e-6


def test_a_point_due_north_is_due_north_without_zone() -> None:
    degrees = EarthFrame(MapOrigin(48.0, 5.1)).degrees([[0.0, 1000.0, 0.0]])
    assert abs(degrees[0, 0] - 5.1) < 1e-12 and degrees[0, 1] > 48.008


@pytest.mark.parametrize(
    ("latitude", "longitude", "square"),
    [(35.6762, 139.6503, "54SUE"), (60.39, 5.32, "32VKN"), (-33.9249, 18.4241, "34HBH"), (40.7484, -73.9857, "18TWL")],
)
def test_mgrs(latitude: float, longitude: float, square: str) -> None:
    origin = at_place(latitude, longitude)
    assert origin.utm_epsg is not None
    place = EarthFrame(origin).origin_utm_m
    assert mgrs_square(origin.utm_epsg, latitude, *place) == square
    corner = mgrs_corner(square)
    inside = place - EarthFrame(corner).origin_utm_m
    assert corner.utm_epsg == origin.utm_epsg and 0 <= inside.min() and inside.max() < 100_000
    assert mgrs_square(origin.utm_epsg, latitude, *EarthFrame(corner).origin_utm_m) == square


def test_letters_of_no_square_are_refused() -> None:
    with pytest.raises(ValueError, match="'54AUE' is no MGRS square"):
        mgrs_corner("54AUE")


def test_the_middle_of_places_at_the_meridian_of_180_degrees() -> None:
    places = np.array([[179.9, 60.0], [-179.7, 60.2]])
    found = place_of(places)
    assert (found.latitude_deg, found.longitude_deg) == (60.1, -179.9)
    check_near(found, places, "a place")
    assert place_of(np.array([[-1.0, 10.0], [2.0, 10.0]])).longitude_deg == 0.5


def test_places_that_are_not_of_one_map() -> None:
    with pytest.raises(ValueError, match=r"a place: longitude 5, latitude 70 is 1[01]\d\d km from the map's origin"):
        check_near(MapOrigin(60.0, 5.0), np.array([[5.0, 61.0], [5.0, 70.0]]), "a place")
    check_near(MapOrigin(60.0, 5.0), np.zeros((0, 2)), "a place")


def test_meridians_are_nearer_to_each_other_in_the_north() -> None:
    check_near(MapOrigin(60.0, 5.0), np.array([[22.5, 60.0]]), "971 km away")
    with pytest.raises(ValueError, match=r"is 111\d km from the map's origin"):
        check_near(MapOrigin(0.0, 5.0), np.array([[15.0, 0.0], [14.9, 1.0]]), "a place")
