"""What each definition is given of a frame, which cells and classes count in which ring, and how frames are ranked."""
from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.data.labels import resample_1m
from mapkd_core.grid import BevGrid
from mapkd_core.metrics import scoring
from mapkd_core.metrics.ap_chamfer import ChamferAp
from mapkd_core.metrics.ap_result import ApResult
from mapkd_core.metrics.bands import Band
from mapkd_core.metrics.crossings import in_side_form
from mapkd_core.metrics.frame_file import FrameRecord, encode_semantic
from mapkd_core.metrics.iou import IouMeter
from mapkd_core.metrics.scoring import FrameScore, Scorer
from mapkd_core.types import CLASSES, MapElement

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.5)
BANDS = (Band(0, 6), Band(6, 14))


def line(label, *points, score=1.0, closed=False):
    return MapElement(label, np.array(points, np.float32), score, closed)


def ring(x, score=1.0):
    return line("ped_crossing", (x, -3), (x + 2, -3), (x + 2, 3), (x, 3), (x, -3), score=score, closed=True)


FOUND = [line("divider", (-11, 0), (11, 0), score=0.9), line("boundary", (-11, 5), (11, 5), score=0.8), ring(2, 0.7)]
TRUE = [line("divider", (-11, 0.2), (10.6, 0.2)), line("boundary", (-11, 5), (11, 5)), *in_side_form([ring(3)])]


class KeptChamfer(ChamferAp):
    """Keeps what it is given."""

    def frame(self, predicted, truth):
        given.append((self.definition, list(predicted), list(truth)))
        return super().frame(predicted, truth)


class KeptRaster:
    def __init__(self, name, corrected):
        self.definition, self.corrected = name, corrected

    def frame(self, predicted, truth):
        given.append((self.definition, list(predicted), list(truth)))
        return np.full((3, 3), 0.5)

    def total(self, frames):
        return ApResult(self.definition, (0.5, 1.0, 1.5), np.mean(frames, 0), len(frames))


given = []


@pytest.fixture
def scorer():
    given.clear()
    made = Scorer(GRID, threshold_sets=((0.5, 1.0, 1.5),), bands=BANDS)
    kinds = {}
    for name in made.definitions:
        corrected = name.endswith("_corrected")
        kinds[name] = KeptChamfer((0.5, 1.0, 1.5), corrected) if "chamfer" in name else KeptRaster(name, corrected)
    object.__setattr__(made, "definitions", kinds)
    return made


def same(elements, expected):
    assert [(e.label, e.closed, e.score) for e in elements] == [(e.label, e.closed, e.score) for e in expected]
    for one, other in zip(elements, expected, strict=True):
        np.testing.assert_allclose(one.points_m, other.points_m, atol=1e-5)


def test_thresholds_and_forms_of_the_definitions():
    made = Scorer(GRID, threshold_sets=((1.0, 0.2), (0.5, 1.0)))
    assert {name: (d.definition, d.corrected, d.thresholds_m) for name, d in made.definitions.items()} == {
        f"{kind}{end}": (f"{kind}{end}", bool(end), (0.2, 0.5, 1.0))
        for kind in ("ap_hdmapnet", "ap_pmapnet", "ap_chamfer") for end in ("", "_corrected")
    }
    assert Scorer(GRID).threshold_sets == ((0.2, 0.5, 1.0), (0.5, 1.0, 1.5)) and not Scorer(GRID).bands
    assert scoring.LINE_BAND_M == 15.0


@pytest.mark.parametrize("known", [CLASSES, ("divider", "ped_crossing"), ("boundary",)])
def test_rasters_see_the_papers_labels_and_their_corrected_forms_exact_lines_and_chamfer_sees_rings(scorer, known):
    def of(elements):
        return [e for e in elements if e.label in known]

    scorer.frame(FrameRecord("a", FOUND), FrameRecord("a", TRUE, outlines=[ring(3)], known=known))
    rings = [e for e in of(TRUE) if e.label != "ped_crossing"] + of([ring(3)])
    whole, cut = given[:6], given[6:]
    assert [name for name, *_ in whole] == list(scorer.definitions)
    for name, found, true in whole:
        same(found, of(FOUND))
        exact = of(TRUE) if name.endswith("_corrected") else resample_1m(of(TRUE))
        same(true, rings if "chamfer" in name else exact)
    assert [name for name, *_ in cut] == ["ap_chamfer_corrected"] * 2
    for band, (_, found, true) in zip(BANDS, cut, strict=True):
        same(found, band.cut(of(FOUND)))
        same(true, band.cut(of(TRUE)))


def test_where_the_truth_has_edges_alone_everything_is_compared_as_edges_and_exact(scorer):
    scorer.frame(FrameRecord("a", FOUND), FrameRecord("a", TRUE))
    for name, found, true in given[:6]:
        same(found, in_side_form(FOUND) if "chamfer" in name else FOUND)
        same(true, TRUE)


def test_the_area_metric_and_lengths_of_lines_see_rings(scorer, monkeypatch):
    seen = []
    monkeypatch.setattr(scoring.AreaAp, "frame", lambda self, found, true: seen.append((found, true)))
    lines = scoring.count_lines
    monkeypatch.setattr(scoring, "count_lines", lambda *args: seen.append(args[:2]) or lines(*args))
    frame = FrameRecord("a", FOUND), FrameRecord("a", TRUE, outlines=[ring(3)])
    replace(scorer, areas=True).frame(*frame)
    for found, true in seen:
        same(found, FOUND)
        same(true, [*TRUE[:2], ring(3)])
    assert len(seen) == 2
    assert scorer.frame(*frame).area is None and scorer.area_ap([]) is None and len(seen) == 3, "only if asked for"


def classes(value):
    return np.full(GRID.shape, value, np.uint8)


def test_a_class_counts_in_each_ring_in_the_frames_that_know_it(scorer):
    """Crossings everywhere in both frames; the second one's truth does not know crossings."""
    png = encode_semantic(classes(2))
    first = scorer.frame(FrameRecord("a", [], semantic_png=png), FrameRecord("a", TRUE, outlines=[ring(3)]))
    second = scorer.frame(
        FrameRecord("b", [], semantic_png=png), FrameRecord("b", TRUE[:2], outlines=[], known=("divider", "boundary"))
    )
    both, alone = scorer.by_distance([first, second]), scorer.by_distance([first])
    for band in BANDS:
        iou = both[band.name]["iou"]
        assert iou["ped_crossing"] == pytest.approx(alone[band.name]["iou"]["ped_crossing"])
        assert iou["miou"] == pytest.approx(np.mean([iou[c] for c in CLASSES]))
    assert both["0-6 m"]["iou"]["ped_crossing"] > 2 * both["6-14 m"]["iou"]["ped_crossing"] > 0
    known = scorer.summary([second])
    assert known["iou"]["ped_crossing"] is None and known["iou"]["divider"] == 0 and known["frames"] == 1
    assert scorer.summary([first, second])["iou"]["ped_crossing"] == pytest.approx(
        scorer.summary([first])["iou"]["ped_crossing"]
    )
    vectors = scorer.frame(FrameRecord("c", []), FrameRecord("c", TRUE, outlines=[ring(3)]))
    assert scorer.summary([first, vectors])["iou"] is None, "a frame without a raster has no IoU"
    assert scorer.by_distance([first, vectors])["0-6 m"]["iou"] is None


def test_iou_is_against_resampled_lines_and_against_exact_ones(scorer, monkeypatch):
    drawn = []
    raster = scoring.rasterize
    monkeypatch.setattr(
        scoring, "rasterize", lambda elements, *rest, **more: drawn.append(elements) or raster(elements, *rest, **more)
    )
    frame = scorer.frame(
        FrameRecord("a", [], semantic_png=encode_semantic(classes(0))), FrameRecord("a", TRUE, outlines=[ring(3)])
    )
    same(drawn[0], resample_1m(TRUE))
    same(drawn[1], TRUE)
    meters = [IouMeter(), IouMeter()]
    for meter, elements in zip(meters, drawn, strict=True):
        meter.update_classes(classes(0), raster(elements, GRID, with_direction=False).semantic != 0)
    assert frame.iou.union.tolist() == meters[0].union.tolist()
    assert frame.iou_exact.union.tolist() == meters[1].union.tolist() != frame.iou.union.tolist()


def test_conditions_are_summed_up_each_with_its_own_frames(scorer):
    frames = [
        scorer.frame(FrameRecord(token, FOUND), FrameRecord(token, TRUE, outlines=[ring(3)], conditions=conditions))
        for token, conditions in (("a", ("night", "rain")), ("b", ("night",)), ("c", ()))
    ]
    assert {word: summary["frames"] for word, summary in scorer.by_condition(frames).items()} == {"night": 2, "rain": 1}
    assert list(scorer.by_condition(frames)) == ["night", "rain"] and scorer.by_condition(frames[2:]) == {}


def scored(iou=None, ap=None):
    return FrameScore("a", (), CLASSES, iou, None, {"ap_hdmapnet_corrected": ap}, {}, {}, None, None)


def test_a_frame_is_ranked_by_the_classes_that_it_has_and_an_empty_one_is_right():
    meter = IouMeter(np.array([9, 2, 0, 0]), np.array([10, 4, 0, 5]))
    assert scored(meter).quality == pytest.approx((0.5 + 0.0) / 2), "dividers and boundaries, not crossings"
    assert scored(IouMeter(np.array([9, 0, 0, 0]), np.array([10, 0, 0, 0]))).quality == 1.0
    nan = np.nan
    assert scored(ap=np.array([[0.2, 0.4], [nan, nan], [0.6, 1.0]])).quality == pytest.approx(0.55)
    assert scored(ap=np.full((3, 2), nan)).quality == 1.0
    assert scored(meter, np.ones((3, 2))).quality == pytest.approx(0.25), "IoU where there is one"


def test_the_aligned_iou_and_motions_are_those_of_the_moved_truth():
    made = Scorer(GRID, align=scoring.AlignBounds(1.0, 1.0, 0.0))
    moved = [replace(e, points_m=e.points_m + np.float32((0, 0.6))) for e in TRUE]
    raster = scoring.rasterize(moved, GRID, with_direction=False).semantic.argmax(0).astype(np.uint8)
    frame = made.frame(FrameRecord("a", moved, semantic_png=encode_semantic(raster)), FrameRecord("a", TRUE))
    assert (frame.aligned.alignment.x_m, frame.aligned.alignment.y_m) == pytest.approx((0, 0.6), abs=0.11)
    found = made.aligned([frame])
    expected = IouMeter()
    there = scoring.rasterize(frame.aligned.alignment.moved(TRUE), GRID, with_direction=False).semantic
    expected.update_classes(raster, there)
    assert found["iou_exact_lines"] == pytest.approx(expected.result())
    assert found["iou_exact_lines"]["divider"] > made.summary([frame])["iou_exact_lines"]["divider"] + 0.1
    recall = [lines["0-14 m"]["divider"]["recall"]["0.5"] for lines in (found["lines"], made.lines([frame]))]
    assert recall[0] == pytest.approx(1) and recall[1] < 0.2, "moved, and as it stands"
    assert found["bounds"] == {"x_m": 1.0, "y_m": 1.0, "yaw_deg": 0.0} and set(found["motions"]) == {"a"}
