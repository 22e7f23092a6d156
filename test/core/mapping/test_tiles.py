"""Places by tiles: also those before the origin."""
from __future__ import annotations

import numpy as np

from mapkd_core.mapping.tiles import TILE_M, TileIndex, tiles_of


def test_a_rectangle_touches_tiles_on_both_sides_of_the_origin() -> None:
    assert set(tiles_of((-1.0, -TILE_M - 1, 1.0, 0.0))) == {(x, y) for x in (-1, 0) for y in (-2, -1, 0)}
    assert list(tiles_of((-1.0, 1.0, -0.5, 2.0))) == [(-1, 0)]


def test_things_are_found_near_their_place_until_they_are_gone() -> None:
    index, places = TileIndex(), np.array([[-0.5, 3.0], [0.5, 3.0], [-40.0, 3.0]])
    index.add(np.arange(3), places)
    assert index.near((-1, 2, -0.2, 4)).tolist() == [0] and sorted(index.near((-1, 2, 1, 4)).tolist()) == [0, 1]
    index.drop(np.array([True, False, True]), (-1, 2, 1, 4))
    assert index.near((-1, 2, 1, 4)).tolist() == [1] and index.near((-41, 2, -39, 4)).tolist() == [2]
