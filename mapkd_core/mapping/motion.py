"""How the vehicle moves between sets, and where its localization jumps instead."""
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

JUMP_M = 0.4
MOST_ACCELERATION = 4.0
"""m/s^2. A pose that is farther than JUMP_M from where no such acceleration leads has jumped."""
LONGEST_S = 2.0
"""After a longer pause nobody knows where the vehicle might be."""


class Motion:
    """Watches poses in order of time."""

    def __init__(self) -> None:
        self._place: NDArray[np.float64] | None = None
        self._velocity: NDArray[np.float64] | None = None
        self._stamp_ns = 0

    def step(self, map_from_base: NDArray[np.float64], stamp_ns: int) -> tuple[float, bool]:
        """Metres from the pose before, and whether the pose has jumped."""
        place, last = np.array(map_from_base[:2, 3]), self._place
        seconds = (stamp_ns - self._stamp_ns) / 1e9
        self._place, self._stamp_ns = place, stamp_ns
        if last is None or not 0 < seconds <= LONGEST_S:
            self._velocity = None
            return 0.0 if last is None else float(np.linalg.norm(place - last)), False
        way, velocity = place - last, self._velocity
        slack = JUMP_M + MOST_ACCELERATION * seconds**2
        jumped = velocity is not None and float(np.linalg.norm(way - velocity * seconds)) > slack
        self._velocity = None if jumped else way / seconds  # it may go on in another direction
        return float(np.linalg.norm(velocity * seconds if jumped and velocity is not None else way)), jumped
