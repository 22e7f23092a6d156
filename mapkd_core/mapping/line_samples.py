"""The lines of a growing map as samples half a metre apart, each with the evidence for and against it.

A sample knows its place, direction, class, how often it was seen, and how often it should have been and was not. Lines
are made of samples only when somebody wants them (chains.py): so nothing has to be cut, joined or renamed while sets
come in, and a set touches the samples in its view alone. Source: ours.

Legend: M samples of a sighting, S samples of the map in its view.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.mapping.options import STEP_M, MappingOptions
from mapkd_core.mapping.sighting import LINE_LABELS, Sighting
from mapkd_core.mapping.tiles import Bounds, TileIndex

MOST_WEIGHT = 15.0
"""Places move with new sightings however many there were before."""
LEAST_SCORE = 0.05
"""A network that is sure of nothing still sees something."""
EDGE_SLACK_M = 2.0
"""A line that an uncertain network draws a little beyond its grid is still taken."""
ALONG_COS = 0.8
"""Cosine of the largest angle between a sighting and its line."""
NEIGHBOURS = 6
TWIN_M, TWIN_ALONG_M = 0.6, 0.3
"""Lines nearer to each other than this are one: students do not tell them apart. A sighting is for the nearest line and
for its twins, which so run together; of two samples nearer than this, across and along, one is forgotten."""
HOPELESS_SHARE, HOPELESS_AGAINST = 0.08, 2.0
"""A sample is forgotten where less than this share is for it, after so much against it."""

_FIELDS: dict[str, tuple[type, tuple[int, ...]]] = {
    "xyz_m": (np.float64, (3,)), "along": (np.float32, (2,)), "label": (np.int8, ()), "weight": (np.float32, ()),
    "favor": (np.float32, ()), "against": (np.float32, ()), "seen": (np.int32, ()), "score": (np.float32, ()),
    "line_id": (np.int64, ()), "home_m": (np.float64, (2,)), "born_m": (np.float32, ()),
    "of": (np.int32, ()), "step": (np.int32, ()), "touched": (np.bool_, ()), "gone": (np.bool_, ()),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Match:
    """Which samples of the map a sighting shows."""

    sample: NDArray[np.int64]
    """(K,) numbers of samples."""
    sighted: NDArray[np.int64]
    """(K,) the place in the sighting that shows each."""
    explained: NDArray[np.bool_]
    """(M,) whether a sample of the map is there."""
    in_view: NDArray[np.int64]
    """(S,) numbers of all samples that might have been shown."""


class LineSamples:
    """A growing set of samples. All arrays have one entry a sample; those that are `gone` are filled again."""

    xyz_m: NDArray[np.float64]
    along: NDArray[np.float32]
    label: NDArray[np.int8]
    weight: NDArray[np.float32]
    favor: NDArray[np.float32]
    against: NDArray[np.float32]
    seen: NDArray[np.int32]
    score: NDArray[np.float32]
    line_id: NDArray[np.int64]
    home_m: NDArray[np.float64]
    """Where it was when it came: the index knows it there."""
    born_m: NDArray[np.float32]
    """How far the vehicle had driven then."""
    of: NDArray[np.int32]
    """Place of the element that was there before, of which it was made (prior.py); -1 where a sighting made it."""
    step: NDArray[np.int32]
    """Which of that element's samples it is, counted from its first vertex."""
    touched: NDArray[np.bool_]
    """Whether a set has come since that shows it, or should."""
    gone: NDArray[np.bool_]

    def __init__(self) -> None:
        self.count = 0
        self._free: list[int] = []
        self._index = TileIndex()
        for name, (kind, shape) in _FIELDS.items():
            setattr(self, name, np.zeros((256, *shape), kind))

    def __len__(self) -> int:
        return self.count - len(self._free)

    @property
    def memory_bytes(self) -> int:
        """Of the samples' arrays."""
        return sum(int(getattr(self, name).nbytes) for name in _FIELDS)

    def near(self, bounds_m: Bounds) -> NDArray[np.int64]:
        """Numbers of the samples about a rectangle."""
        return self._index.near(bounds_m)

    def all(self) -> NDArray[np.int64]:
        """Numbers of all samples."""
        return np.flatnonzero(~self.gone[: self.count])

    def share(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """(N,) how much of the evidence is for each sample, 0 to 1."""
        favor = self.favor[numbers]
        return np.asarray(favor / np.maximum(favor + self.against[numbers], 1e-6))

    def accepted(self, numbers: NDArray[np.int64], options: MappingOptions) -> NDArray[np.int64]:
        """Those of some samples that belong to the map by their evidence."""
        return numbers[self.is_accepted(numbers, options)]

    def is_accepted(self, numbers: NDArray[np.int64], options: MappingOptions) -> NDArray[np.bool_]:
        """(N,) whether samples belong to the map by their evidence."""
        enough = self.seen[numbers] >= options.least_sightings
        return np.asarray(enough & (self.share(numbers) >= options.least_share))

    def match(self, sight: Sighting, options: MappingOptions) -> Match:
        """Finds for each sample in view what shows it."""
        in_view = self.near(sight.bounds_m(options.across_m))
        explained = np.zeros(len(sight.xyz_m), bool)
        samples, sighted = [], []
        for label in LINE_LABELS:
            own = in_view[self.label[in_view] == label]
            theirs = np.flatnonzero(sight.label == label)
            if not len(own) or not len(theirs):
                continue
            tree = cKDTree(sight.xyz_m[theirs, :2])
            reach = float(np.hypot(options.across_m, 0.75 * STEP_M))
            _, nearest = tree.query(self.xyz_m[own, :2], NEIGHBOURS, distance_upper_bound=reach)
            found = nearest < len(theirs)                                                                     # S 6
            at = theirs[np.where(found, nearest, 0)]
            gap = sight.xyz_m[at][..., :2] - self.xyz_m[own, None, :2]
            along = sight.along[at]
            lateral = np.abs(gap[..., 1] * along[..., 0] - gap[..., 0] * along[..., 1])
            forward = np.abs((gap * along).sum(-1))
            same_way = np.abs((self.along[own, None] * along).sum(-1)) >= ALONG_COS
            fits = found & (lateral <= options.across_m) & (forward <= 0.75 * STEP_M) & same_way
            explained[at[fits]] = True
            lateral = np.where(fits, lateral, np.inf)
            best = (lateral + 0.1 * forward).argmin(1)  # of a line's own samples, the one beside
            rows = np.flatnonzero(np.isfinite(lateral[np.arange(len(own)), best]))
            chosen, distance = at[rows, best[rows]], lateral[rows, best[rows]]
            least = np.full(len(sight.xyz_m) + 2, np.inf)
            np.minimum.at(least, chosen + 1, distance)
            least[1:-1] = np.minimum(least[1:-1], np.minimum(least[:-2], least[2:]))
            kept = distance <= least[chosen + 1] + TWIN_M
            samples.append(own[rows[kept]])
            sighted.append(chosen[kept])
        empty = np.zeros(0, np.int64)
        return Match(
            np.concatenate(samples) if samples else empty, np.concatenate(sighted) if sighted else empty, explained,
            in_view,
        )  # fmt: skip

    def update(self, sight: Sighting, match: Match, options: MappingOptions, driven_m: float) -> None:
        """Takes a sighting in: moves what it shows, doubts what it should show, adds what is new."""
        at = match.sighted
        self.move(match.sample, sight, at, sight.weight[at] * np.maximum(sight.score[at], LEAST_SCORE), 1)
        self._thin(sight, match)
        self._doubt(sight, match, options)
        self._add(sight, np.flatnonzero(~match.explained), driven_m)

    def move(
        self, numbers: NDArray[np.int64], sight: Sighting, at: NDArray[np.int64], weight: NDArray, seen: NDArray | int
    ) -> None:
        """Moves samples towards what shows them, each with its weight (K,) and number of sightings."""
        gain = weight / (self.weight[numbers] + weight)
        new = sight.along[at] * np.sign((self.along[numbers] * sight.along[at]).sum(-1) + 1e-12)[:, None]
        along = self.along[numbers] * (1 - gain)[:, None] + gain[:, None] * new
        along /= np.maximum(np.linalg.norm(along, axis=1), 1e-6)[:, None]
        gap = sight.xyz_m[at] - self.xyz_m[numbers]
        # Across the sighting's own line alone: where along it a sample lies says nothing.
        normal = np.column_stack([-sight.along[at][:, 1], sight.along[at][:, 0]])
        across = (gap[:, :2] * normal).sum(-1)
        self.xyz_m[numbers, :2] += (gain * across)[:, None] * normal
        self.xyz_m[numbers, 2] += gain * gap[:, 2]
        self.along[numbers] = along
        self.weight[numbers] = np.minimum(self.weight[numbers] + weight, MOST_WEIGHT)
        self.favor[numbers] += weight
        self.seen[numbers] += seen
        self.touched[numbers] = True
        self.score[numbers] += gain * (sight.score[at] - self.score[numbers])

    def _thin(self, sight: Sighting, match: Match) -> None:
        """Forgets the weaker of two samples that have come together from both sides of what they are of."""
        gap = self.xyz_m[match.sample, :2] - sight.xyz_m[match.sighted, :2]
        along = sight.along[match.sighted]
        forward, lateral = (gap * along).sum(-1), along[:, 0] * gap[:, 1] - along[:, 1] * gap[:, 0]
        place, line = match.sighted * STEP_M + forward, sight.line[match.sighted]
        order = np.argsort(place)
        here, there = order[:-1], order[1:]
        twins = (
            (line[here] == line[there]) & (place[there] - place[here] < TWIN_ALONG_M)
            & (np.abs(lateral[there] - lateral[here]) < TWIN_M)
        )  # fmt: skip
        a, b = match.sample[here[twins]], match.sample[there[twins]]
        weaker = np.where(self.favor[a] < self.favor[b], a, b)
        before = self.of[a] >= 0, self.of[b] >= 0
        weaker = np.where(before[0] & ~before[1], b, np.where(before[1] & ~before[0], a, weaker))
        two = before[0] & before[1] & (self.of[a] != self.of[b])  # lines of another map may lie so near
        self.forget(np.unique(weaker[~two]))

    def _doubt(self, sight: Sighting, match: Match, options: MappingOptions) -> None:
        missed = np.setdiff1d(match.in_view[~self.gone[match.in_view]], match.sample, assume_unique=True)
        weight = sight.missed_weight(self.xyz_m[missed, :2])
        self.against[missed] += options.against * weight
        self.touched[missed] |= weight > 0
        hopeless = missed[
            (self.against[missed] > HOPELESS_AGAINST) & (self.share(missed) < HOPELESS_SHARE)
        ]
        self.forget(hopeless)

    def forget(self, numbers: NDArray[np.int64]) -> None:
        """Removes samples."""
        if not len(numbers):
            return
        self.gone[numbers] = True
        low, high = self.home_m[numbers].min(0), self.home_m[numbers].max(0)
        self._index.drop(self.gone, (*low, *high))
        self._free.extend(numbers.tolist())

    def _add(self, sight: Sighting, new: NDArray[np.int64], driven_m: float) -> None:
        new = new[sight.seen_weight(sight.xyz_m[new, :2], margin_m=-EDGE_SLACK_M) > 0]
        weight = sight.weight[new] * np.maximum(sight.score[new], LEAST_SCORE)
        self.insert(
            sight.xyz_m[new], sight.along[new], sight.label[new], weight, weight, sight.score[new],
            np.ones(len(new), np.int32), driven_m=driven_m,
        )  # fmt: skip

    def insert(
        self, xyz_m: NDArray, along: NDArray, label: NDArray, weight: NDArray, favor: NDArray, score: NDArray,
        seen: NDArray, line_id: NDArray | int = 0, driven_m: float = -np.inf, against: NDArray | float = 0.0,
        of: NDArray | int = -1, step: NDArray | int = 0,
    ) -> NDArray[np.int64]:  # fmt: skip
        """Adds samples; one entry of each array is a sample. Returns their numbers."""
        reused = [self._free.pop() for _ in range(min(len(self._free), len(xyz_m)))]
        numbers = np.array([*reused, *range(self.count, self.count + len(xyz_m) - len(reused))], np.int64)
        if not len(numbers):
            return numbers
        self.count = max(self.count, int(numbers.max()) + 1)
        if self.count > len(self.xyz_m):
            for name, (kind, shape) in _FIELDS.items():
                old = getattr(self, name)
                grown: NDArray = np.zeros((max(self.count, len(old) * 3 // 2), *shape), kind)
                grown[: len(old)] = old
                setattr(self, name, grown)
        values = (
            xyz_m, along, label, weight, favor, against, seen, score, line_id, xyz_m[:, :2], driven_m, of, step, False,
            False,
        )  # fmt: skip
        for name, value in zip(_FIELDS, values, strict=True):
            getattr(self, name)[numbers] = value
        self._index.add(numbers, self.xyz_m[numbers, :2])
        return numbers

