from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.data.raster import rasterize
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.alignment import AlignBounds, Alignment
from mapkd_core.metrics.bands import bands_of
from mapkd_core.metrics.crossings import in_side_form
from mapkd_core.metrics.frame_file import FrameRecord, encode_semantic
from mapkd_core.metrics.scoring import Scorer
from mapkd_core.types import CLASSES, MapElement

GRID = BevGrid()


def line(label, points, score=1.0, closed=False):
    return MapElement(label, np.array(points, np.float32), score, closed)


RING = line("ped_crossing", [(5, -6), (9, -6), (9, 6), (5, 6), (5, -6)], 0.9, closed=True)
LINES = [line("divider", [(-29, 0), (29, 0)], 0.8), line("boundary", [(-29, 7), (29, 7)], 0.7)]


def truth(**changes):
    record = FrameRecord(
        "a", [*LINES, *in_side_form([RING])], outlines=[RING], scene="s", conditions=("night",)
    )
    return replace(record, **changes)


def predicted(elements, token="a"):
    classes = rasterize(in_side_form(elements), GRID, with_direction=False).semantic.argmax(0).astype(np.uint8)
    return FrameRecord(token, elements, semantic_png=encode_semantic(classes))


def scorer(**kw):
    return Scorer(GRID, **kw)


def test_perfect_predictions_score_one_in_every_definition():
    chosen = scorer(bands=bands_of(GRID))
    frames = [chosen.frame(predicted([*LINES, RING]), truth())]
    summary = chosen.summary(frames)
    for definition, sets in summary["ap"].items():
        assert sets["0.5/1/1.5"]["mAP"] == pytest.approx(1), definition
    assert set(summary["ap"]) == {
        name + end for name in ("ap_hdmapnet", "ap_pmapnet", "ap_chamfer") for end in ("", "_corrected")
    }
    assert summary["iou_exact_lines"]["miou"] == pytest.approx(1)
    assert 0.9 < summary["iou"]["miou"] < 1  # the papers' labels lose up to a metre at line ends
    for band in chosen.by_distance(frames).values():
        assert band["ap_chamfer_corrected"]["0.5/1/1.5"]["mAP"] == pytest.approx(1)
    assert chosen.by_condition(frames)["night"]["frames"] == 1
    assert frames[0].quality == pytest.approx(summary["iou"]["miou"])


def test_a_truth_beside_the_paint_is_forgiven_as_far_as_its_bounds_reach():
    there = Alignment(0.6, 0.4, 0.0)
    chosen = scorer(align=AlignBounds(2, 1, 1.5))
    frames = [chosen.frame(predicted(there.moved([*LINES, RING])), truth())]
    aligned = chosen.aligned(frames)
    assert aligned["motions"]["a"] == pytest.approx({"x_m": 0.6, "y_m": 0.4, "yaw_deg": 0.0}, abs=0.11)
    for label, line_scores in aligned["lines"]["0-15 m"].items():
        assert line_scores["recall"]["0.5"] == pytest.approx(1) == line_scores["precision"]["0.5"], label
    assert aligned["iou_exact_lines"]["miou"] > 0.7 > 0.5 > chosen.summary(frames)["iou_exact_lines"]["miou"]
    assert chosen.lines(frames)["0-15 m"]["ped_crossing"]["recall"]["0.5"] < 0.7  # its short sides lie 0.4 m off
    held = scorer(align=AlignBounds(0, 0, 0))
    still = [held.frame(predicted(there.moved([*LINES, RING])), truth())]
    assert held.aligned(still)["lines"] == held.lines(still) and scorer().aligned([scorer().frame(
        predicted([RING]), truth())]) is None


def test_classes_whose_truth_is_unknown_count_on_neither_side():
    chosen = scorer()
    known = ("divider", "boundary")
    frame = chosen.frame(predicted([*LINES, RING]), truth(elements=LINES, outlines=[], known=known))
    summary = chosen.summary([frame])
    assert summary["iou_exact_lines"]["ped_crossing"] is None
    assert summary["iou_exact_lines"]["miou"] == pytest.approx(
        np.mean([summary["iou_exact_lines"][c] for c in known])
    )
    assert summary["ap"]["ap_chamfer"]["0.5/1/1.5"]["per_class"]["ped_crossing"] is None
    assert summary["ap"]["ap_chamfer"]["0.5/1/1.5"]["mAP"] == pytest.approx(1)


def test_truth_without_rings_compares_sides():
    chosen = scorer()
    sides = truth(outlines=None)
    ap = chosen.summary([chosen.frame(predicted([*LINES, RING]), sides)])["ap"]
    assert ap["ap_chamfer"]["0.5/1/1.5"]["per_class"]["ped_crossing"] == pytest.approx(1)


def test_the_area_metric_is_computed_only_where_it_is_wanted():
    wanted, other = scorer(areas=True), scorer()
    frames = [each.frame(predicted([*LINES, RING]), truth()) for each in (wanted, other)]
    assert wanted.area_ap(frames[:1])["mAP"] == pytest.approx(1)
    assert frames[1].area is None and other.area_ap(frames[1:]) is None


def test_vectors_alone_have_no_iou_and_are_ranked_by_ap():
    chosen = scorer()
    good = chosen.frame(replace(predicted([*LINES, RING]), semantic_png=None), truth())
    bad = chosen.frame(FrameRecord("b", []), truth())
    assert chosen.summary([good, bad])["iou"] is None
    assert good.quality > bad.quality == 0


def test_thresholds_are_chosen_by_set():
    chosen = scorer(threshold_sets=((0.3,), (2.0, 0.3)))
    shifted = [replace(e, points_m=e.points_m + np.array([0, 1.0], np.float32)) for e in LINES]
    frame = chosen.frame(FrameRecord("a", shifted), truth(elements=LINES, outlines=[]))
    ap = chosen.aps([frame])["ap_chamfer"]
    assert ap["0.3"]["mAP"] == 0 and ap["2/0.3"]["per_threshold"] == {"2": 1.0, "0.3": 0.0}
    assert list(ap["2/0.3"]["ap"]) == list(CLASSES)
