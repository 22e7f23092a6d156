"""Crossings as cells: what one set says for and against them."""
from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.data.polylines import Range
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.mapping.crossing_cells import AGAINST, CELL_M, FAVOR, HEIGHT, SEEN, SIDE, CrossingCells
from mapkd_core.mapping.options import MappingOptions
from mapkd_core.mapping.sighting import Sighting, distance_weight, sighting
from mapkd_core.mapping.tiles import TILE_M
from mapkd_core.types import MapElement

OPTIONS = MappingOptions()
VIEW = Range((-30.0, 30.0), (-15.0, 15.0))
RING = np.array([[2.1, 1.1], [6.15, 1.1], [6.15, 11.15], [2.1, 11.15], [2.1, 1.1]])
"""Its edges run a little outside of centers of cells."""
CENTRES_M = (np.arange(SIDE) + 0.5) * CELL_M


def shown(*rings: np.ndarray, score: float = 0.5, z_m: float = 0.0) -> Sighting:
    elements = [MapElement("ped_crossing", ring.astype(np.float32), score, True) for ring in rings]
    return sighting(elements, transform_from_yaw(0, 0, 0, z_m), VIEW, OPTIONS.far_m)


def weights() -> np.ndarray:
    """(SIDE, SIDE) of the tile at the origin, which is in view but for its last metre and more along y."""
    places = np.stack(np.meshgrid(CENTRES_M, CENTRES_M), -1).reshape(-1, 2)
    found = np.where(places[:, 1] < 14, distance_weight(places, OPTIONS.far_m), 0)
    return found.reshape(SIDE, SIDE)


def inside() -> np.ndarray:
    x, y = np.meshgrid(CENTRES_M, CENTRES_M)
    return (x > 2.1) & (x < 6.15) & (y > 1.1) & (y < 11.15)


def test_cells_inside_get_the_score_and_cells_in_view_outside_are_doubted() -> None:
    cells = CrossingCells()
    cells.update(shown(RING), OPTIONS)
    tile, within = cells.tiles[0, 0], inside()
    assert np.array_equal(tile[SEEN] > 0, within)
    assert tile[FAVOR][within] == pytest.approx(0.5 * weights()[within]) and not tile[FAVOR][~within].any()
    assert tile[AGAINST][~within] == pytest.approx(OPTIONS.against * weights()[~within])
    assert not tile[AGAINST][within].any() and tile[SEEN].max() == 1
    cells.update(shown(), OPTIONS)
    assert tile[AGAINST][within] == pytest.approx(OPTIONS.against * weights()[within]) and tile[SEEN].max() == 1


def test_heights_are_averaged_by_weight() -> None:
    cells = CrossingCells()
    cells.update(shown(RING, z_m=4.0, score=0.9), OPTIONS)
    cells.update(shown(RING, z_m=7.0, score=0.3), OPTIONS)
    assert cells.tiles[0, 0][HEIGHT][inside()] == pytest.approx(4.75)
    cells.insert(np.column_stack([RING, np.full(5, 10.0)]), 1.2, 0.0, 1)
    favor = 1.2 * weights()[inside()]
    expected = 4.75 + 1.2 / (favor + 1.2) * (10 - 4.75)
    assert cells.tiles[0, 0][HEIGHT][inside()] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("way_m", [(7.0, 0.0), (-TILE_M, 0.0)])
def test_a_crossing_that_is_kept_is_not_made_again(way_m: tuple[float, float]) -> None:
    """Beside another one in the same tile, and in a tile of its own."""
    cells, other = CrossingCells(), RING + way_m
    for _ in range(OPTIONS.least_sightings):
        cells.update(shown(RING, other), OPTIONS)
    rings = cells.rings(OPTIONS)
    assert len(rings) == 2 and {ring.sightings for ring in rings} == {OPTIONS.least_sightings}
    (left,) = cells.rings(OPTIONS, None, [np.column_stack([RING, np.zeros(5)])])
    assert left.ring_m[:, :2].min(0) == pytest.approx(other.min(0), abs=0.15)


def test_what_is_no_crossing_fills_no_memory() -> None:
    cells = CrossingCells()
    cells.update(shown(RING * 100), OPTIONS)
    assert not cells.tiles
