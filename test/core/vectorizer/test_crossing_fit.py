"""Rings of crossings compared with the prediction: agreement, rectangles in place of poor rings, scores."""
from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from mapkd_core.grid import GRID_60X30
from mapkd_core.vectorizer import crossing_fit
from mapkd_core.vectorizer.crossing_fit import Drawing, drawing_of, fit_rings
from mapkd_core.vectorizer.crossings import Regions, Ring, pair_edges
from mapkd_core.vectorizer.evidence import CROSSING, Evidence
from mapkd_core.vectorizer.lines import Polyline
from mapkd_core.vectorizer.vectorize import vectorize

SHAPE, WIDTHS, INSET = (200, 400), (10.0, 60.0), 1.3
DIVIDER = CROSSING - 1


def rectangle(center: complex, angle: float, length: float, width: float) -> np.ndarray:
    """(2, 2) ends of the two long sides."""
    turn = np.exp(1j * angle)
    aside, half = 1j * turn * width / 2, turn * length / 2
    return np.array([[center - aside - half, center - aside + half], [center + aside - half, center + aside + half]])


def evidence_of(lines: list[np.ndarray], pen: int, hidden: np.ndarray | None = None) -> Evidence:
    """A drawing of crossing edges (complex points), with another class where `hidden` says."""
    probability = np.zeros((4, *SHAPE), np.uint8)
    for line in lines:
        points = np.round(np.stack([line.real, line.imag], 1) * 16).astype(np.int32)
        cv2.polylines(probability[CROSSING], [points], False, 230, pen, cv2.LINE_8, 4)
    class_map = np.where(probability[CROSSING] > 127, np.uint8(CROSSING), np.uint8(0))
    if hidden is not None:
        probability[CROSSING][hidden], probability[DIVIDER][hidden], class_map[hidden] = 0, 255, DIVIDER
    probability[0] = 255 - probability[CROSSING]
    return Evidence.of(probability, class_map)


def regions_of(evidence: Evidence) -> Regions:
    return Regions((evidence.class_map == CROSSING).view(np.uint8))


def drawing(evidence: Evidence) -> Drawing:
    """All regions as one drawing."""
    regions = regions_of(evidence)
    return drawing_of(set(range(1, regions.count)), regions, evidence)


def line(points: np.ndarray, score: float) -> Polyline:
    return Polyline(points.astype(np.complex64), score, False)


def ring_of(sides: np.ndarray, score: float = 0.7) -> Ring:
    (ring,), left = pair_edges([line(side, score) for side in sides], (1.0, 100.0))
    assert not left
    return ring


@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("pen", [7, 13])
def test_the_ring_that_was_drawn_agrees_and_any_other_agrees_less(angle: float, pen: int) -> None:
    sides = rectangle(200 + 100j, angle, 90, 30)
    shown = drawing(evidence_of(list(sides), pen))
    agreement = shown.agreement_of([ring_of(sides)])
    assert 0.75 < agreement <= 1  # the drawn lines have round ends, and 0.9 is not 1
    previous = agreement
    for aside in (4, 8, 12):
        other = shown.agreement_of([ring_of(sides + aside * 1j * np.exp(1j * angle))])
        assert other < previous
        previous = other
    assert shown.agreement_of([ring_of(rectangle(200 + 100j, angle + 0.3, 90, 30))]) < 0.8 * agreement


def test_what_another_class_hides_does_not_count() -> None:
    sides = rectangle(200 + 100j, np.pi / 2, 120, 30)
    hidden = np.zeros(SHAPE, np.bool_)
    hidden[90:120] = True
    whole, cut = evidence_of(list(sides), 9), evidence_of(list(sides), 9, hidden=hidden)
    parts = [side[0] + (side[1] - side[0]) * np.array(part) for side in sides for part in ((0, 0.4), (0.7, 1))]
    gap = evidence_of(parts, 9)
    ring = ring_of(sides)
    whole_, cut_, gap_ = (drawing(e).agreement_of([ring]) for e in (whole, cut, gap))
    assert abs(cut_ - whole_) < 0.06
    assert gap_ < whole_ - 0.1


def test_agreement_is_a_share_even_where_all_strokes_are_hidden() -> None:
    sides = rectangle(200 + 100j, 0.0, 90, 30)
    hidden = np.zeros(SHAPE, np.bool_)
    hidden[84:87, 150:250] = hidden[114:117, 150:250] = True  # along the middle of both edges
    shown = drawing(evidence_of(list(sides), 11, hidden))
    assert 0 < shown.agreement_of([ring_of(sides)]) <= 1
    assert (shown.agreement(sides[None].astype(np.complex64), np.float32([40])) <= 1).all()


def test_the_search_finds_the_rectangle_that_was_drawn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(12):
        angle, length, width = rng.uniform(0, np.pi), rng.uniform(60, 110), rng.uniform(20, 35)
        truth = rectangle(200 + 100j, angle, length, width)
        off, turn = complex(*rng.uniform(-5, 5, 2)), rng.uniform(-0.2, 0.2)
        wrong = rectangle(200 + 100j + off, angle + turn, length * 0.8, width)
        found, agreement = drawing(evidence_of(list(truth), 9)).best_rectangle([ring_of(wrong)], WIDTHS)
        assert agreement > 0.75
        assert abs(complex(*found[:2]) - (200 + 100j)) < 2
        assert abs(np.sin(found[2] - angle)) < 0.05
        np.testing.assert_allclose(found[3:5], [length, width], atol=12)  # its round ends add 9 to the length


def ragged(truth: np.ndarray, seed: int) -> Evidence:
    """Two edges as an unsure network draws them, broad, bent towards and away from each other, between two curbs."""
    rng = np.random.default_rng(seed)
    shares, along = np.linspace(0, 1, 7), truth[0, 1] - truth[0, 0]
    lines = [a + (b - a) * shares + 1j * along / abs(along) * rng.normal(0, 6, 7) for a, b in truth]
    row, col = np.mgrid[: SHAPE[0], : SHAPE[1]]
    beyond = np.abs(((col + 1j * row - truth.mean()) * np.conj(along)).real) - abs(along) ** 2 / 2
    return evidence_of(lines, 13, (beyond > 0) & (beyond < 8 * abs(along)))


def found_in(evidence: Evidence) -> list[np.ndarray]:
    """The rings that the vectorizer finds, in cells."""
    elements = vectorize(evidence.probability, GRID_60X30)
    rings = [e.points_m for e in elements if e.closed and e.label == "ped_crossing"]
    return [(GRID_60X30.cells_from_metres(points_m) - 0.5) @ [1, 1j] for points_m in rings]


def error(rings: list[np.ndarray], truth: np.ndarray) -> float:
    """Mean distance in cells between the outlines of the truth and of the best ring, at most 20."""

    def dense(corners: np.ndarray) -> np.ndarray:
        return np.concatenate([a + (b - a) * np.linspace(0, 1, 40) for a, b in pairwise(corners)])

    outline = dense(np.array([*truth[0], *truth[1][::-1], truth[0, 0]]))
    tables = [np.abs(dense(ring)[:, None] - outline) for ring in rings]
    return min([float(table.min(0).mean() + table.min(1).mean()) / 2 for table in tables] + [20.0])


def test_rectangles_in_place_of_rings_through_ragged_edges_come_nearer_to_the_truth(monkeypatch) -> None:
    truths = [rectangle(200 + 100j, 0.3 * seed, 90, 28) for seed in range(20)]
    drawings = [ragged(truth, seed) for seed, truth in enumerate(truths)]
    after = [error(found_in(drawing), truth) for drawing, truth in zip(drawings, truths, strict=True)]
    monkeypatch.setattr(crossing_fit, "_MAX_FITS", 0)
    before = [error(found_in(drawing), truth) for drawing, truth in zip(drawings, truths, strict=True)]
    assert np.mean(after) < 0.8 * np.mean(before)
    assert np.mean(after) < 4


@pytest.mark.parametrize(
    ("rings", "better", "replaced"), [(1, 0.34, False), (1, 0.36, True), (2, 0.04, False), (2, 0.06, True)]
)
def test_a_rectangle_must_be_clearly_better_than_one_ring_and_may_be_worse_than_two(
    rings: int, better: float, replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By 0.05 for one ring, and by 0.3 less for every further one that it makes needless."""
    sides = rectangle(200 + 100j, 0.4, 90, 28)
    evidence, drawn = evidence_of(list(sides), 7), [ring_of(sides) for _ in range(rings)]
    monkeypatch.setattr(Drawing, "agreement_of", lambda self, members: 0.3)
    found = np.array([200, 100, 0.9, 60, 20, 7.0])
    monkeypatch.setattr(Drawing, "best_rectangle", lambda self, members, widths: (found, better))
    kept, _ = fit_rings(drawn, [], regions_of(evidence), evidence, WIDTHS, INSET)
    assert len(kept) == (1 if replaced else rings)
    assert replaced != all(np.array_equal(ring.points, drawn[0].points) for ring in kept)


def test_where_rings_and_the_rectangle_in_their_place_differ_the_score_is_between(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agreements of 0.3 and 0.9 count as 0.6, twice that of a ring that stays."""
    sides = rectangle(200 + 100j, 0.4, 90, 28)
    evidence = evidence_of(list(sides), 7)
    monkeypatch.setattr(Drawing, "agreement_of", lambda self, members: 0.3)
    found, scores = np.array([200, 100, 0.9, 60, 20, 7.0]), []
    for better in (0.0, 0.9):
        monkeypatch.setattr(Drawing, "best_rectangle", lambda self, members, widths, better=better: (found, better))
        (ring,), _ = fit_rings([ring_of(sides)], [], regions_of(evidence), evidence, WIDTHS, INSET)
        scores.append(ring.score)
    assert scores[1] / scores[0] == pytest.approx(np.sqrt(2))


def test_a_good_ring_stays_as_it_is() -> None:
    truth = rectangle(200 + 100j, 0.4, 90, 28)
    evidence = evidence_of(list(truth), 7)
    ring = ring_of(truth)
    (kept,), _ = fit_rings([ring], [], regions_of(evidence), evidence, WIDTHS, INSET)
    np.testing.assert_array_equal(kept.points, ring.points)
    assert 0.7 < kept.score <= 0.9


def test_edges_on_the_region_of_a_ring_go_and_others_stay() -> None:
    truth, far = rectangle(120 + 100j, 0.1, 90, 28), np.array([300 + 40j, 300 + 160j])
    evidence = evidence_of([*truth, far], 7)
    across, lone, on_it = line(np.array([121 + 80j, 119 + 88j]), 0.5), line(far, 0.5), line(truth[0], 0.5)
    regions = regions_of(evidence)
    _, edges = fit_rings([ring_of(truth)], [on_it, lone], regions, evidence, WIDTHS, INSET)
    assert len(edges) == 1 and edges[0] is lone
    assert regions.edges_beside([across], set()) == [across]


def test_two_rings_on_one_region_become_one() -> None:
    evidence = evidence_of([np.array([150 + 100j, 250 + 100j])], 60)
    rings = [ring_of(rectangle(180 + 100j, 0, 50, 20)), ring_of(rectangle(225 + 100j, 0.6, 40, 20))]
    assert len(fit_rings(rings, [], regions_of(evidence), evidence, WIDTHS, INSET)[0]) == 1


def test_a_rectangle_is_cut_at_the_border() -> None:
    truth = rectangle(370 + 100j, 0.2, 90, 28)
    evidence = evidence_of(list(truth), 13)
    poor = ring_of(rectangle(370 + 105j, 0.7, 50, 20))
    (ring,), _ = fit_rings([poor], [], regions_of(evidence), evidence, WIDTHS, INSET)
    assert len(ring.points) > len(poor.points) or error([ring.points], truth) < error([poor.points], truth)
    col, row = ring.points.real, ring.points.imag
    assert min(col.min(), row.min()) >= INSET - 0.5 and row.max() <= np.float32(199.5 - INSET)
    assert col.max() == np.float32(399.5 - INSET)


def test_of_a_rectangle_beyond_the_border_nothing_is_left() -> None:
    def cut(center: complex) -> np.ndarray | None:
        return crossing_fit._cut(rectangle(center, 0, 50, 20).astype(np.complex64), SHAPE, INSET)

    assert cut(450 + 100j) is None and cut(200 + 250j) is None and cut(-40 + 100j) is None
    whole = cut(200 + 100j)
    assert whole is not None and whole[0] == whole[-1]
    assert sorted({(p.real, p.imag) for p in whole.tolist()}) == [(175, 90), (175, 110), (225, 90), (225, 110)]


def test_a_ring_without_any_drawing_under_it_is_left_alone() -> None:
    evidence = evidence_of([np.array([50 + 50j, 50 + 150j])], 7)
    ring = ring_of(rectangle(300 + 100j, 0.0, 50, 20))
    kept, _ = fit_rings([ring], [], regions_of(evidence), evidence, WIDTHS, INSET)
    assert kept == [ring]


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_a_sure_crossing_scores_above_an_unsure_one_and_above_a_lone_edge(probability: float) -> None:
    clean = evidence_of(list(rectangle(110 + 100j, np.pi / 2, 80, 26)), 7)
    unsure = ragged(rectangle(290 + 100j, np.pi / 2, 80, 26), 2)
    lone = evidence_of([np.array([200 + 60j, 200 + 140j])], 7)
    semantic = np.zeros((4, *SHAPE), np.float32)
    semantic[CROSSING] = probability * np.any([e.class_map == CROSSING for e in (clean, unsure, lone)], 0)
    found = {round(float(e.points_m[:, 0].mean() / 13)): e for e in vectorize(semantic, GRID_60X30)}
    assert found[-1].closed and found[1].closed and not found[0].closed
    assert found[-1].score > found[1].score > found[0].score


def test_faint_channels_are_no_error() -> None:
    evidence = evidence_of(list(rectangle(110 + 100j, np.pi / 2, 80, 26)), 7)
    semantic = np.zeros((4, *SHAPE), np.float32)
    semantic[CROSSING] = 0.01 * (evidence.class_map == CROSSING)  # sigmoids need not add up to 1
    (ring,) = vectorize(semantic, GRID_60X30)
    assert ring.closed and 0 < ring.score < 0.02
