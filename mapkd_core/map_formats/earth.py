"""Where on Earth a map lies: metres of its frame from degrees and back, and the UTM zone, chosen once and kept.

With a zone, x and y are UTM easting and northing from the origin's; without one the frame is the tangent plane at the
origin (east, north, up). Zones are those of Lanelet2 and of UTM's standard: 32V reaches west over Norway's coast, and
Svalbard has four wide zones. pyproj's own search knows neither, so it is never asked. Source: EPSG, ours.
"""
from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.data.sd_map import EARTH_RADIUS_M
from mapkd_core.mapping.street_map import MapOrigin

if TYPE_CHECKING:
    import pyproj

Points = NDArray[np.float64]
UTM_LIMITS_DEG = (-80.0, 84.0)
"""Latitudes between which UTM is defined."""
FARTHEST_KM = 1000.0
"""From a map's origin: the largest countries' maps are cut into pieces of less."""
_SVALBARD = ((9.0, 31), (21.0, 33), (33.0, 35), (42.0, 37))
_BANDS = "CDEFGHJKLMNPQRSTUVWXX"
_EASTINGS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_NORTHINGS = "ABCDEFGHJKLMNPQRSTUV"


def utm_epsg(latitude_deg: float, longitude_deg: float) -> int:
    """EPSG code of the UTM zone of a place, 32601 to 32660 north and 32701 to 32760 south of the equator.

    Raises ValueError beyond 80 degrees south or 84 degrees north, where UTM ends.
    """
    low, high = UTM_LIMITS_DEG
    if not (low <= latitude_deg <= high and -180 <= longitude_deg <= 180):
        raise ValueError(
            f"latitude {latitude_deg:g}, longitude {longitude_deg:g} has no UTM zone; expected latitude {low:g} to "
            f"{high:g} and longitude -180 to 180: use a map without a zone"
        )
    zone = int((longitude_deg + 180) // 6) % 60 + 1
    if 56 <= latitude_deg < 64 and 3 <= longitude_deg < 6:
        zone = 32
    if latitude_deg >= 72 and 0 <= longitude_deg < 42:
        zone = next(number for end, number in _SVALBARD if longitude_deg < end)
    return (32600 if latitude_deg >= 0 else 32700) + zone


def at_place(latitude_deg: float, longitude_deg: float, altitude_m: float = 0.0) -> MapOrigin:
    """An origin in the UTM zone of its place, or without one near the poles."""
    low, high = UTM_LIMITS_DEG
    zone = utm_epsg(latitude_deg, longitude_deg) if low <= latitude_deg <= high else None
    return MapOrigin(latitude_deg, longitude_deg, altitude_m, zone)


def place_in_words(text: str) -> tuple[float, ...]:
    """Latitude and longitude in degrees, and altitude in metres where it is there, of `LAT,LON` or `LAT,LON,ALT`.

    Raises ValueError for another form, and for a place that is none.
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (2, 3) or not (abs(values[0]) <= 90 and abs(values[1]) <= 180 and np.isfinite(values[-1])):
        raise ValueError(f"{text!r} is not LATITUDE,LONGITUDE or LATITUDE,LONGITUDE,ALTITUDE, degrees and metres")
    return values


def place_of(lon_lat_deg: Points) -> MapOrigin:
    """The origin in the middle of (N, 2 or more) longitudes and latitudes, also of some round the 180th meridian."""
    lon, lat = lon_lat_deg[:, 0], lon_lat_deg[:, 1]
    if np.ptp(lon) > 180:
        lon = np.where(lon < 0, lon + 360, lon)
    longitude, latitude = (float(np.round((of.min() + of.max()) / 2, 7)) for of in (lon, lat))
    return at_place(latitude, longitude - 360 if longitude > 180 else longitude)


def check_near(origin: MapOrigin, lon_lat_deg: Points, where: str) -> None:
    """Raises ValueError that begins with `where` for places of which one is farther from the origin than a map reaches.

    In metres round the origin they would lie at places without meaning.
    """
    first = np.radians([origin.longitude_deg, origin.latitude_deg])
    lon, lat = np.radians(lon_lat_deg[:, 0]), np.radians(lon_lat_deg[:, 1])
    halves = np.sin((lat - first[1]) / 2) ** 2 + np.cos(lat) * np.cos(first[1]) * np.sin((lon - first[0]) / 2) ** 2
    away_km = EARTH_RADIUS_M / 1000 * 2 * np.arcsin(np.sqrt(np.clip(halves, 0, 1)))
    if len(away_km) and away_km.max() > FARTHEST_KM:
        far = lon_lat_deg[int(away_km.argmax())]
        raise ValueError(
            f"{where}: longitude {far[0]:.6g}, latitude {far[1]:.6g} is {away_km.max():.0f} km from the map's origin, "
            f"longitude {origin.longitude_deg:.6g}, latitude {origin.latitude_deg:.6g}; expected all within "
            f"{FARTHEST_KM:.0f} km: longitude and latitude may be exchanged, or the map be of two places"
        )


class EarthFrame:
    """Turns metres of a map's frame into WGS84 and back, both to less than a micrometre within 100 km.

    Raises ModuleNotFoundError without pyproj.
    """

    def __init__(self, origin: MapOrigin) -> None:
        self.origin = origin
        self._transformer = _transformer(origin)

    @cached_property
    def origin_utm_m(self) -> Points:
        """(2,) easting and northing of the origin. Raises ValueError for a frame without zone."""
        if self.origin.utm_epsg is None:
            raise ValueError("the frame of the map has no UTM zone; expected one")
        place = self._transformer.transform(self.origin.longitude_deg, self.origin.latitude_deg)
        return np.array(place[:2], np.float64)

    def degrees(self, points_m: ArrayLike) -> Points:
        """(N, 3) longitude, latitude and metres above the ellipsoid of (N, 3) points of the frame."""
        points = np.asarray(points_m, np.float64).reshape(-1, 3)
        if self.origin.utm_epsg is None:
            x, y, z = points.T
            lon, lat, up = self._transformer.transform(x, y, z, direction="INVERSE")
            return np.stack([lon, lat, up], -1)
        east, north = (points[:, :2] + self.origin_utm_m).T
        lon, lat = self._transformer.transform(east, north, direction="INVERSE")
        return np.stack([lon, lat, points[:, 2] + self.origin.altitude_m], -1)

    def metres(self, lon_lat_up: ArrayLike) -> Points:
        """The inverse of `degrees`."""
        points = np.asarray(lon_lat_up, np.float64).reshape(-1, 3)
        if self.origin.utm_epsg is None:
            return np.stack(self._transformer.transform(*points.T), -1)
        flat = np.stack(self._transformer.transform(points[:, 0], points[:, 1]), -1) - self.origin_utm_m
        return np.concatenate([flat, points[:, 2:] - self.origin.altitude_m], 1)


def mgrs_square(epsg: int, latitude_deg: float, easting_m: float, northing_m: float) -> str:
    """The MGRS name of the 100 km square of a place in UTM, such as `54SUE`.

    Source: NGA.STND.0037 (the grid and its letters; I and O are left out).
    """
    zone = epsg % 100
    column, row = (int(round(value, 6) // 100_000) for value in (easting_m, northing_m))
    band = _BANDS[int((latitude_deg + 80) // 8)]
    return f"{zone:02d}{band}{_EASTINGS[(zone - 1) % 3][column - 1]}{_NORTHINGS[(row + 5 * (zone % 2 == 0)) % 20]}"


def mgrs_corner(square: str) -> MapOrigin:
    """The south-western corner of a 100 km square such as `54SUE`: where Autoware's metres of that square begin.

    Raises ValueError for letters that no square of the zone has.
    """
    zone, band, column, row = int(square[:-3]), square[-3], square[-2], square[-1]
    columns = _EASTINGS[(zone - 1) % 3]
    if not 1 <= zone <= 60 or band not in _BANDS or column not in columns or row not in _NORTHINGS:
        raise ValueError(f"{square!r} is no MGRS square: zone {zone} has the columns {columns}, the rows {_NORTHINGS}")
    south = -80.0 + 8 * _BANDS.index(band)
    epsg = (32600 if south >= 0 else 32700) + zone
    lowest_m = EarthFrame(MapOrigin(south, zone * 6 - 183.0, 0.0, epsg)).origin_utm_m[1] - 100_000
    north = 100_000.0 * ((_NORTHINGS.index(row) - 5 * (zone % 2 == 0)) % 20)
    north += 2_000_000 * np.ceil((lowest_m - north) / 2_000_000)  # the rows' letters repeat
    return utm_origin(epsg, 100_000.0 * (columns.index(column) + 1), float(north))


def utm_origin(epsg: int, easting_m: float, northing_m: float) -> MapOrigin:
    """The origin of a frame that begins at a place in UTM."""
    zone = _transformer(MapOrigin(0.0, 0.0, 0.0, epsg))
    lon, lat = zone.transform(easting_m, northing_m, direction="INVERSE")
    return MapOrigin(float(lat), float(lon), 0.0, epsg)


def _transformer(origin: MapOrigin) -> pyproj.Transformer:
    import pyproj

    if origin.utm_epsg is not None:
        return pyproj.Transformer.from_crs(4326, origin.utm_epsg, always_xy=True)
    return pyproj.Transformer.from_pipeline(
        "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=cart +ellps=WGS84 "
        f"+step +proj=topocentric +ellps=WGS84 +lat_0={origin.latitude_deg!r} +lon_0={origin.longitude_deg!r} "
        f"+h_0={origin.altitude_m!r}"
    )
