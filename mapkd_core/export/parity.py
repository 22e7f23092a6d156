"""Proof that an exported network is the network: probabilities and map elements of both on the same frames."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mapkd_core.frame_sources import open_frames
from mapkd_core.predictor import MapPredictor
from mapkd_core.progress import each
from mapkd_core.types import Frame, MapElement

SAME_POINT_M = 1e-3
"""Points of two elements that lie closer are the same point: a millimetre."""
NO_FRAMES = "no frame to compare on; expected at least one: name data that holds some with --data"


def agreement(reference: MapPredictor, other: MapPredictor, frames: Iterable[Frame]) -> dict[str, float]:
    """Intersection over union of the cells that two predictors give to each class, over all frames.

    A class that neither finds anywhere has 1. Raises ValueError if there are no frames.
    """
    classes = reference.card.classes
    both, either, seen = np.zeros(len(classes)), np.zeros(len(classes)), False
    for frame in each(frames, "proof of eight bits"):
        one, two = _cells(reference, frame), _cells(other, frame)
        seen = True
        for index in range(len(classes)):
            mine, theirs = one[index], two[index]
            both[index] += (mine & theirs).sum()
            either[index] += (mine | theirs).sum()
    if not seen:
        raise ValueError(NO_FRAMES)
    return {name: float(b / e) if e else 1.0 for name, b, e in zip(classes, both, either, strict=True)}


def _cells(predictor: MapPredictor, frame: Frame) -> NDArray[np.bool_]:
    """(classes, Y, X): where each class is; of elements, where those lie that are shown."""
    predicted = predictor.predict_frame(frame)
    if predictor.card.model == "vector_student":
        return predicted.probabilities[1:] > 0
    return predicted.semantic == np.arange(1, len(predictor.card.classes) + 1)[:, None, None]


@dataclass
class Parity:
    """What a comparison found."""

    frames: int = 0
    probability_error: float = 0.0
    """Largest difference of a class probability, or of an element's score."""
    elements: int = 0
    """Map elements of the reference."""
    differences: list[str] = field(default_factory=list)
    """In words, one for each frame whose elements are not identical."""


def compare(reference: MapPredictor, exported: MapPredictor, frames: Iterable[Frame]) -> Parity:
    """Runs both on every frame. Raises ValueError if there are no frames."""
    parity = Parity()
    for frame in each(frames, "proof"):
        expected, found = reference.predict_frame(frame), exported.predict_frame(frame)
        difference = element_difference(expected.elements, found.elements)
        if reference.card.model == "vector_student":  # a line drawn a cell aside differs by its whole score
            pairs = zip(expected.elements, found.elements, strict=False)
            error = np.array([0.0, *(abs(one.score - other.score) for one, other in pairs)])
        else:
            error = np.abs(found.probabilities - expected.probabilities)
        parity.frames += 1
        parity.probability_error = max(parity.probability_error, float(error.max()))
        parity.elements += len(expected.elements)
        if difference:
            parity.differences.append(f"{frame.scene} {frame.token}: {difference}")
    if parity.frames == 0:
        raise ValueError(NO_FRAMES)
    return parity


def element_difference(expected: Sequence[MapElement], found: Sequence[MapElement]) -> str:
    """The first difference of two lists of elements in words; empty if they are identical."""
    if len(expected) != len(found):
        return f"{len(found)} elements, expected {len(expected)}"
    for place, (one, other) in enumerate(zip(expected, found, strict=True)):
        if (one.label, one.closed, one.points_m.shape) != (other.label, other.closed, other.points_m.shape):
            return (
                f"element {place} is a {other.label} of {len(other.points_m)} points, expected a {one.label} of "
                f"{len(one.points_m)}"
            )
        away = float(np.abs(one.points_m - other.points_m).max())
        if away > SAME_POINT_M:
            return f"element {place}, a {one.label}, is up to {1e3 * away:.1f} mm away"
    return ""


def proof_frames(data: str | None, input_size: tuple[int, int], count: int) -> Iterator[Frame]:
    """`count` frames spread over `data` (a name as for `mapkd evaluate`), by default over two simulated drives."""
    frames, _ = open_frames(data or "simdrive-v1:val:2", image_size=input_size)
    for index in np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int)):
        yield frames[int(index)]
