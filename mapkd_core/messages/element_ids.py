"""Gives map elements ids that stay with them from one map to the next."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mapkd_core.geometry import evenly_spaced
from mapkd_core.types import MapElement

SAMPLES = 20
MAX_DISTANCE_M = {"divider": 1.2, "boundary": 1.2, "ped_crossing": 3.0}
"""How far an element may seem to move between two maps. Lines run along the drive and stay beside their lane; a
crossing comes nearer by what the vehicle drives in a period."""
REMEMBERED_MAPS = 3
"""An element may be missed in so many maps in a row and still come back under its id."""
MAX_ID = 2**31 - 1
"""Markers have signed 32 bit ids."""


@dataclass
class _Known:
    label: str
    points: NDArray[np.float64]
    missed: int = 0


class ElementIds:
    """Matches the elements of consecutive maps, class by class, so that most keep their ids as the vehicle moves.

    The cost is the mean distance of the better covered of two elements to the other one (so that a line cut
    shorter at the grid's edge is still the same line); the best assignment overall is taken.
    """

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._next_id = 1

    def reset(self) -> None:
        """Forgets all elements, for instance after a jump in time; ids are not used again."""
        self._known.clear()

    def assign(self, elements: Sequence[MapElement]) -> list[int]:
        """One id for each element of the next map."""
        ids = [0] * len(elements)
        sampled = [evenly_spaced(element.points_m[:, :2], SAMPLES) for element in elements]
        for label in {element.label for element in elements}:
            new = [i for i, element in enumerate(elements) if element.label == label]
            old = [key for key, known in self._known.items() if known.label == label]
            if not old:
                continue
            cost = _distances([sampled[i] for i in new], [self._known[key].points for key in old])
            for row, column in zip(*linear_sum_assignment(cost), strict=True):
                if cost[row, column] <= MAX_DISTANCE_M[label]:
                    ids[new[row]] = old[column]
        for i, element in enumerate(elements):
            if ids[i] == 0:
                ids[i] = self._next_id
                self._next_id = self._next_id % MAX_ID + 1
            self._known[ids[i]] = _Known(element.label, sampled[i])
        seen = set(ids)
        for key in [key for key in self._known if key not in seen]:
            self._known[key].missed += 1
            if self._known[key].missed > REMEMBERED_MAPS:
                del self._known[key]
        return ids


def _distances(new: Sequence[NDArray[np.float64]], old: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(N, O) distances of lines of SAMPLES points: all pairs at once, as single ones would cost more than the map's
    messages."""
    x_new, y_new = np.stack(new).transpose(2, 0, 1)[:, :, None, :, None]
    x_old, y_old = np.stack(old).transpose(2, 0, 1)[:, None, :, None, :]
    squared = (x_new - x_old) ** 2 + (y_new - y_old) ** 2  # N O SAMPLES SAMPLES
    return np.asarray(np.minimum(*(np.sqrt(squared.min(axis)).mean(2) for axis in (2, 3))))
