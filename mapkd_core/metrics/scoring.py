"""Scores predicted frames against their truth by every definition at once, and groups them."""
from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.labels import resample_1m
from mapkd_core.data.raster import rasterize
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.alignment import AlignBounds, Alignment, best_alignment
from mapkd_core.metrics.ap_chamfer import ChamferAp
from mapkd_core.metrics.ap_hdmapnet import hdmapnet_definition
from mapkd_core.metrics.ap_pmapnet import pmapnet_definition
from mapkd_core.metrics.ap_result import THRESHOLDS_HDMAPNET_M, THRESHOLDS_MAPTR_M, ApResult
from mapkd_core.metrics.bands import Band, bands_of
from mapkd_core.metrics.crossings import in_side_form
from mapkd_core.metrics.frame_file import FrameRecord
from mapkd_core.metrics.iou import IouMeter
from mapkd_core.metrics.line_agreement import LineCounts, count_lines
from mapkd_core.metrics.openlane_area import AreaAp
from mapkd_core.metrics.pooled import FrameMatches
from mapkd_core.metrics.raster_ap import RasterAp
from mapkd_core.types import CLASSES, MapElement

Definition = RasterAp | ChamferAp
THRESHOLD_SETS: tuple[tuple[float, ...], ...] = (THRESHOLDS_HDMAPNET_M, THRESHOLDS_MAPTR_M)


LINE_BAND_M = 15.0
"""Width of the rings in which lengths of lines are counted: near the vehicle, and beyond."""


@dataclass(frozen=True, eq=False)
class AlignedScore:
    """The same frame against its truth moved to where it agrees best."""

    alignment: Alignment
    lines: LineCounts
    iou_exact: IouMeter | None


@dataclass(frozen=True, eq=False)
class FrameScore:
    """One frame's contribution to every number."""

    token: str
    conditions: tuple[str, ...]
    known: tuple[str, ...]
    """Classes that are scored here."""
    iou: IouMeter | None
    """Against the labels that the papers draw: lines re-sampled every metre."""
    iou_exact: IouMeter | None
    """Against exact lines."""
    ap: Mapping[str, Any]
    """Partial score by definition."""
    iou_bands: Mapping[str, IouMeter]
    ap_bands: Mapping[str, FrameMatches]
    lines: LineCounts
    """Lengths found and right."""
    area: FrameMatches | None
    """By OpenLane-V2's area metric."""
    aligned: AlignedScore | None = None

    @property
    def quality(self) -> float:
        """How good this frame alone is, 0..1, to rank frames: mean IoU of the classes it has, else corrected AP."""
        if self.iou is not None:
            union = self.iou.union[1:]
            present = union > 0
            return float(np.mean(self.iou.intersection[1:][present] / union[present])) if present.any() else 1.0
        ap = self.ap["ap_hdmapnet_corrected"]
        return 1.0 if np.isnan(ap).all() else float(np.nanmean(ap))


@dataclass(frozen=True)
class Scorer:
    """What is computed for every frame; a small object that travels to worker processes."""

    grid: BevGrid
    threshold_sets: tuple[tuple[float, ...], ...] = THRESHOLD_SETS
    bands: tuple[Band, ...] = ()
    align: AlignBounds | None = None
    """How far a frame's truth may be moved for the aligned scores; None for no such scores."""
    areas: bool = False
    """Whether OpenLane-V2's area metric is computed; it means something where crossings are rings."""
    definitions: Mapping[str, Definition] = field(init=False)

    def __post_init__(self) -> None:
        thresholds = tuple(sorted({t for chosen in self.threshold_sets for t in chosen}))
        found: list[Definition] = []
        found += [hdmapnet_definition(self.grid, thresholds, corrected) for corrected in (False, True)]
        found += [pmapnet_definition(self.grid, thresholds, corrected) for corrected in (False, True)]
        found += [ChamferAp(thresholds, corrected) for corrected in (False, True)]
        object.__setattr__(self, "definitions", {d.definition: d for d in found})

    def frame(self, predicted: FrameRecord, truth: FrameRecord) -> FrameScore:
        """All scores of one frame; classes whose truth is unknown there are left out on both sides.

        The compatible raster definitions and `iou` use truth re-sampled every metre, as the papers' labels are; the
        others use exact lines. `ap_chamfer` compares crossings as rings where the truth has rings, else as sides.
        """
        known = truth.known
        found = _only(predicted.elements, known)
        exact = _only(truth.elements, known)
        sampled = resample_1m(exact) if truth.outlines is not None else exact
        rings = [e for e in exact if e.label != "ped_crossing"] + _only(truth.outlines or (), known)
        same_form = (in_side_form(found), exact) if truth.outlines is None else (found, rings)
        partial: dict[str, Any] = {}
        for name, definition in self.definitions.items():
            rasters = (found, exact if definition.corrected else sampled)
            partial[name] = definition.frame(*(same_form if isinstance(definition, ChamferAp) else rasters))
        classes = predicted.semantic
        meters: dict[str, IouMeter] = {}
        whole = drawn = None
        if classes is not None:
            target = rasterize(sampled, self.grid, with_direction=False).semantic != 0
            whole = IouMeter()
            whole.update_classes(classes, target, known=known)
            drawn = self._iou_exact(classes, exact, known)
            for band in self.bands:
                meters[band.name] = IouMeter()
                meters[band.name].update_classes(classes, target, band.cells(self.grid), known)
        cut = {band.name: self._far().frame(band.cut(found), band.cut(exact)) for band in self.bands}
        lines = count_lines(*same_form, bands_of(self.grid, LINE_BAND_M), self.grid)
        area = AreaAp().frame(found, rings) if self.areas else None
        aligned = self._aligned(same_form, classes, exact, known) if self.align is not None else None
        return FrameScore(
            predicted.token, truth.conditions, known, whole, drawn, partial, meters, cut, lines, area, aligned
        )

    def _aligned(
        self, same_form: tuple[list[MapElement], list[MapElement]], classes: NDArray[np.uint8] | None,
        exact: Sequence[MapElement], known: Sequence[str],
    ) -> AlignedScore:
        """Against the truth where it agrees best with the prediction."""
        assert self.align is not None
        alignment = best_alignment(*same_form, self.align, self.grid)
        lines = count_lines(*same_form, bands_of(self.grid, LINE_BAND_M), self.grid, alignment)
        iou = None if classes is None else self._iou_exact(classes, alignment.moved(exact), known)
        return AlignedScore(alignment, lines, iou)

    def _iou_exact(
        self, classes: NDArray[np.uint8], exact: Sequence[MapElement], known: Sequence[str]
    ) -> IouMeter:
        meter = IouMeter()
        meter.update_classes(classes, rasterize(exact, self.grid, with_direction=False).semantic, known=known)
        return meter

    def summary(self, frames: Sequence[FrameScore]) -> dict[str, Any]:
        """IoU and all APs of some frames, as plain values."""
        known = _known(frames)
        return {
            "frames": len(frames),
            "iou": _iou([f.iou for f in frames], known),
            "iou_exact_lines": _iou([f.iou_exact for f in frames], known),
            "ap": self.aps(frames),
        }

    def _far(self) -> ChamferAp:
        definition = self.definitions["ap_chamfer_corrected"]
        assert isinstance(definition, ChamferAp)
        return definition

    def aps(self, frames: Sequence[FrameScore]) -> dict[str, Any]:
        """{definition: {threshold set: result}} as plain values."""
        return {
            name: {
                set_name(chosen): _select(definition.total([f.ap[name] for f in frames]), chosen).as_dict()
                for chosen in self.threshold_sets
            }
            for name, definition in self.definitions.items()
        }

    def by_distance(self, frames: Sequence[FrameScore]) -> dict[str, Any]:
        """IoU and `ap_chamfer_corrected` of the map in each ring round the vehicle (lines cut, crossings as sides)."""
        table = {}
        for band in self.bands:
            result = self._far().total([f.ap_bands[band.name] for f in frames])
            table[band.name] = {
                "iou": _iou([f.iou_bands.get(band.name) for f in frames], _known(frames)),
                "ap_chamfer_corrected": {
                    set_name(chosen): _select(result, chosen).as_dict() for chosen in self.threshold_sets
                },
            }
        return table

    def area_ap(self, frames: Sequence[FrameScore]) -> dict[str, Any] | None:
        """OpenLane-V2's area metric, of the classes that each frame's truth knows, as plain values; None without it."""
        return AreaAp().total([f.area for f in frames if f.area is not None]).as_dict() if self.areas else None

    def lines(self, frames: Sequence[FrameScore]) -> dict[str, Any]:
        """Recall and precision of lines by length, class and ring, as plain values."""
        return _summed([f.lines for f in frames])

    def aligned(self, frames: Sequence[FrameScore]) -> dict[str, Any] | None:
        """Lines and IoU against the moved truth, and every frame's motion; None where none was asked for."""
        scores = {f.token: f.aligned for f in frames if f.aligned is not None}
        if self.align is None or not scores:
            return None
        return {
            "bounds": asdict(self.align),
            "lines": _summed([s.lines for s in scores.values()]),
            "iou_exact_lines": _iou([s.iou_exact for s in scores.values()], _known(frames)),
            "motions": {token: asdict(s.alignment) for token, s in scores.items()},
        }

    def by_condition(self, frames: Sequence[FrameScore]) -> dict[str, Any]:
        """The summary of the frames under each condition, by its name."""
        words = sorted({word for f in frames for word in f.conditions})
        return {word: self.summary([f for f in frames if word in f.conditions]) for word in words}


def _summed(counts: Sequence[LineCounts]) -> dict[str, Any]:
    return functools.reduce(operator.add, counts).as_dict() if counts else {}


def set_name(thresholds_m: Sequence[float]) -> str:
    """Such as `0.5/1/1.5`."""
    return "/".join(f"{t:g}" for t in thresholds_m)


def _only(elements: Sequence[MapElement], known: Sequence[str]) -> list[MapElement]:
    return [e for e in elements if e.label in known]


def _select(result: ApResult, thresholds_m: tuple[float, ...]) -> ApResult:
    columns = [result.thresholds_m.index(t) for t in thresholds_m]
    return ApResult(result.definition, thresholds_m, result.ap[:, columns], result.frames)


def _known(frames: Sequence[FrameScore]) -> list[str]:
    return [c for c in CLASSES if any(c in f.known for f in frames)]


def _iou(meters: Sequence[IouMeter | None], known: Sequence[str]) -> dict[str, float | None] | None:
    """The IoU of all frames together, None for a class that no frame knows; None if a frame has no semantic raster."""
    if not meters or any(m is None for m in meters):
        return None
    total = IouMeter()
    for meter in meters:
        if meter is not None:
            total.merge(meter)
    iou = total.result()
    mean = float(np.mean([iou[c] for c in known])) if known else None
    return {"miou": mean, **{c: iou[c] if c in known else None for c in CLASSES}}
