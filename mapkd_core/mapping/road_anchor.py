"""Holds a drive to the roads of a navigation map: a slowly varying motion takes away what odometry drifts.

Navigation maps are metres off, and the vehicle drives beside a road's center line. So what is found is metres good, not
lanes good: it keeps a long drive from going ever farther astray, and says where on Earth it was. Point-to-line least
squares over the last stretch of the way, with the distance beside the center lines as a fourth unknown. Source: ours.
"""
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.geometry import distances_along, flattened, points_at, transform_from_yaw, yaw_of
from mapkd_core.mapping.alignment import about

TRACE_M = 4.0
"""Places of the way that are compared lie so far apart."""
WINDOW_M = 240.0
"""So much of the way behind the vehicle is compared: long enough to hold a turn in most towns."""
LEAST_M = 40.0
"""Before so much of it is there, nothing is corrected."""
REACH_M = 20.0
"""A road farther from the vehicle is not the one that it drives on."""
LEAST_SHARE = 0.6
"""Of the compared places that must have a road in reach."""
SAME_WAY_COS = 0.85
ROAD_STEP_M = 2.0
ROAD_OFF_M, OUTLIER_M = 3.0, 4.0
"""How far navigation maps are off; a place farther from its road than the second, and than most are, counts
less than half."""
BESIDE_M = 2.5
"""So far beside the center lines the vehicle may drive, either side."""
HOLD_M, HOLD_RAD = 3.0, 0.03
"""How far the motion may be from that of before where nothing tells of it."""
TOGETHER = 10.0
"""So many neighboring places are wrong by the same, and count as one."""
GAIN = 0.2
"""Of what is found this share is taken, every `TRACE_M`."""
MOST_SHIFT, MOST_TURN_RAD = 0.05, 0.001
"""At most so much, per metre of the way: more than odometry drifts, and too little to tear lines of the map apart."""
LONGEST_STEP_M = 30.0
"""Farther from one pose to the next is no driving: what was compared before is forgotten."""


class RoadAnchor:
    """Corrects poses one after the other. `begin_drive` before each drive.

    `begin` (4, 4) map_from_odometry brings the poses of each drive near the roads' frame; where there is none they are
    near it. Raises ValueError for roads without a line.
    """

    def __init__(self, roads_m: Iterable[NDArray[np.floating]], begin: NDArray[np.float64] | None = None) -> None:
        self._begin = np.eye(4) if begin is None else np.asarray(begin, np.float64)
        points: list[NDArray[np.float64]] = [np.zeros((0, 2))]
        along: list[NDArray[np.float64]] = [np.zeros((0, 2))]
        for line in (np.asarray(road, np.float64)[:, :2] for road in roads_m):
            length = float(distances_along(line)[-1]) if len(line) > 1 else 0.0
            if length > 0:
                s = np.linspace(0, length, int(np.ceil(length / ROAD_STEP_M)) + 1)
                points.append(points_at(line, s))
                ends = points_at(line, np.maximum(s - 0.5, 0)), points_at(line, np.minimum(s + 0.5, length))
                way = ends[1] - ends[0]
                along.append(way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9))
        self._points, self._along = np.concatenate(points), np.concatenate(along)
        if not len(self._points):
            raise ValueError("there is no road to anchor the map on; expected lines of two or more vertices")
        self._tree = cKDTree(self._points)
        self.states: Counter[str] = Counter()
        """How often the way was compared, by what came of it."""
        self.begin_drive()

    def begin_drive(self) -> None:
        """The next pose is of another drive."""
        self.correction = self._begin
        self.beside_m = 0.0
        """How far to the left of the vehicle the center lines are, as far as is known."""
        self._trace: deque[tuple[float, float, float, float]] = deque(maxlen=int(WINDOW_M / TRACE_M))
        self._last: NDArray[np.float64] | None = None

    def corrected(self, odometry_from_base: NDArray[np.float64]) -> NDArray[np.float64]:
        """`map_from_base` (4, 4) of the next pose in order of time."""
        place = odometry_from_base[:2, 3]
        step = 0.0 if self._last is None else float(np.linalg.norm(place - self._last))
        if step > LONGEST_STEP_M:
            self._trace.clear()
        if self._last is None or step >= TRACE_M:
            yaw = yaw_of(odometry_from_base)
            self._trace.append((float(place[0]), float(place[1]), float(np.cos(yaw)), float(np.sin(yaw))))
            self._last = place.copy()
            if len(self._trace) * TRACE_M >= LEAST_M:
                self._compare(min(step, 2 * TRACE_M))
        return np.asarray(self.correction @ odometry_from_base)

    def _compare(self, step_m: float) -> None:
        trace = np.array(self._trace)
        level = flattened(self.correction)
        places = trace[:, :2] @ level[:2, :2].T + level[:2, 3]
        ahead = trace[:, 2:] @ level[:2, :2].T
        motion = self._fit(places, ahead)
        if motion is None:
            self.states["no road in reach"] += 1
            return
        self.states["held to a road"] += 1
        shift, turn = float(np.linalg.norm(motion[:2])), abs(float(motion[2]))
        # Both by one share: half of a shift with all of its turn would be another motion.
        share = min(GAIN, MOST_SHIFT * step_m / max(shift, 1e-9), MOST_TURN_RAD * step_m / max(turn, 1e-9))
        self.beside_m += GAIN * (motion[3] - self.beside_m)
        self.correction = about(places[-1], share * motion[:2], share * float(motion[2])) @ self.correction

    def _fit(self, places: NDArray[np.float64], ahead: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """(4,) shift, turn about the last place, and distance beside; None where too few places have a road."""
        centre, motion = places[-1], np.array([0.0, 0.0, 0.0, self.beside_m])
        prior = np.diag([HOLD_M**-2, HOLD_M**-2, HOLD_RAD**-2, BESIDE_M**-2])
        for _ in range(4):
            small = transform_from_yaw(0, 0, motion[2])[:2, :2]
            moved, way = (places - centre) @ small.T + motion[:2], ahead @ small.T
            distance, near = self._tree.query(moved + centre, k=12, distance_upper_bound=REACH_M)
            near = np.minimum(near, len(self._points) - 1)
            along = self._along[near]  # N 12 2
            cosine = (along * way[:, None]).sum(-1)
            distance = np.where(np.abs(cosine) >= SAME_WAY_COS, distance, np.inf)
            best = np.argmin(distance, axis=1)
            rows = np.arange(len(best))
            found = np.isfinite(distance[rows, best])
            if found.mean() < LEAST_SHARE:
                return None
            chosen = near[rows, best][found]
            direction = along[rows, best][found] * np.sign(cosine[rows, best][found])[:, None]
            left = np.column_stack([-direction[:, 1], direction[:, 0]])
            off = ((self._points[chosen] - centre - moved[found]) * left).sum(-1)
            residual = off - motion[3]
            usual = max(OUTLIER_M, float(np.median(np.abs(residual))))  # where all are off, none is an outlier
            weight = ROAD_OFF_M**-2 / TOGETHER / (1 + np.square(residual / usual))
            arm = np.column_stack([-moved[found][:, 1], moved[found][:, 0]])
            jacobian = np.column_stack([left, (arm * left).sum(-1), np.ones(len(left))])
            normal = jacobian.T @ (weight[:, None] * jacobian) + prior
            motion = motion + np.linalg.solve(normal, jacobian.T @ (weight * residual) - prior @ motion)
        return np.asarray(motion)
