"""The vectorizer recovers drawn lines, bridges what hides a line, and bounds its work."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_lines import distance, drawn, element

from mapkd_core.grid import GRID_60X30, GRID_60X30_COARSE, BevGrid
from mapkd_core.types import CLASSES
from mapkd_core.vectorizer import skeleton
from mapkd_core.vectorizer.vectorize import VectorizeConfig, vectorize

EDGES = VectorizeConfig(crossings="edges", doubtful_m=0)


def arc(radius: float, start: float, stop: float, center: tuple[float, float] = (0, 0)) -> np.ndarray:
    angle = np.linspace(start, stop, 80)
    return np.stack([center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)], 1)

LINES = {
    "straight": [[-20, 2], [20, 5]],
    "steep": [[-3, -12], [4, 12]],
    "diagonal": [[-12, -12], [12, 12]],
    "from border to border": [[-30, -4], [30, -7]],
    "curved": arc(12, 0.2, 2.6, (0, -8)),
    "bent": [[-20, -5], [0, -5], [8, 9]],
    "short": [[3, 3], [6, 3.5]],
}


@pytest.mark.parametrize("grid", [GRID_60X30, GRID_60X30_COARSE], ids=["15cm", "30cm"])
@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("name", LINES)
def test_recovers_a_drawn_line(name: str, label: str, grid: BevGrid) -> None:
    if label == "ped_crossing" and name == "bent":
        pytest.skip("edges of crossings are straight: a bent one is cut in two on purpose")
    truth = element(label, LINES[name])
    found = vectorize(drawn([truth], grid), grid, EDGES)
    assert [e.label for e in found] == [label]
    assert distance(found[0], truth) < 0.5 * grid.cell_m
    assert found[0].score == pytest.approx(1, abs=0.02)
    ends = found[0].points_m[[0, -1]]
    gaps = np.linalg.norm(ends[:, None] - truth.points_m[None, [0, -1]], axis=-1).min(1)
    assert (gaps < 3 * grid.cell_m).all()


def test_recovers_a_ring_as_closed() -> None:
    truth = element("boundary", arc(6, 0, 2 * np.pi), closed=True)
    (found,) = vectorize(drawn([truth]), GRID_60X30)
    assert found.closed and (found.points_m[0] == found.points_m[-1]).all()
    assert distance(found, truth) < 0.5 * GRID_60X30.cell_m


@pytest.mark.parametrize("axis", [1, 2])
def test_flipping_the_map_flips_the_lines(axis: int) -> None:
    truth = [element("divider", LINES["curved"]), element("boundary", [[-25, -12], [25, -13]])]
    semantic = drawn(truth)
    sign = np.float32([1, -1] if axis == 1 else [-1, 1])
    plain, flipped = vectorize(semantic, GRID_60X30), vectorize(np.flip(semantic, axis), GRID_60X30)
    for label in ("divider", "boundary"):
        (one,), (other,) = ([e for e in found if e.label == label] for found in (plain, flipped))
        assert distance(one, element(label, other.points_m * sign)) < 0.5 * GRID_60X30.cell_m


def test_an_open_gap_is_not_bridged() -> None:
    lines = [element("divider", [[-20, 0], [-3, 0]]), element("divider", [[3, 0], [20, 0]])]
    found = vectorize(drawn(lines), GRID_60X30)
    assert len(found) == 2


def test_crossing_lines_of_one_class_go_straight_on() -> None:
    truth = [element("divider", [[-20, -6], [20, 6]]), element("divider", [[-20, 6], [20, -6]])]
    found = vectorize(drawn(truth), GRID_60X30)
    assert len(found) == 2
    for line in truth:
        assert min(distance(e, line) for e in found) < 0.15


def test_a_branch_keeps_the_main_line_whole() -> None:
    main, branch = element("boundary", [[-25, 0], [25, 0]]), element("boundary", [[0, 0], [14, 9]])
    found = vectorize(drawn([main, branch]), GRID_60X30)
    assert len(found) == 2
    assert min(distance(e, main) for e in found) < 0.15
    assert min(distance(e, branch) for e in found) < 0.5

CORNERS = {
    "bay": [[-20, 0], [-5, 0], [-5, 4], [5, 4], [5, 0], [20, 0]],
    "saw": [[-20, -2], [-2, 0], [-3.5, 3], [4, 1], [2, 5], [20, 4]],
    "sharp": [[-20, 6], [8, 2], [-2, -10]],
}


@pytest.mark.parametrize("worn, pieces", [(0, 1), (5, 1), (9, 2)])
def test_a_worn_corner_is_a_corner_and_a_broken_one_is_not(worn: int, pieces: int) -> None:
    turn, grid = np.deg2rad(70), GRID_60X30
    corner = np.array([2.0, 0.0])
    semantic = drawn([element("boundary", [[-12, 0], corner, corner + 9 * np.array([np.cos(turn), np.sin(turn)])])])
    row, col = np.mgrid[: grid.rows, : grid.cols]
    x, y = (index - round(cell) for index, cell in zip((col, row), grid.cells_from_metres(corner), strict=True))
    outward = x * np.sin(turn / 2) - y * np.cos(turn / 2)
    semantic[:, (np.hypot(x, y) < 8) & (outward > 1.5 - worn)] = np.array([1, 0, 0, 0])[:, None]
    assert len(vectorize(semantic, grid)) == pieces


@pytest.mark.parametrize("smoothness", [0.0, 2.0])
@pytest.mark.parametrize("name", CORNERS)
def test_a_curb_goes_round_sharp_corners_in_one_piece(name: str, smoothness: float) -> None:
    truth = element("boundary", CORNERS[name])
    semantic = drawn([truth])
    if smoothness:
        semantic = np.stack([cv2.GaussianBlur(channel, (0, 0), smoothness) for channel in semantic])
    (found,) = vectorize(semantic, GRID_60X30)
    assert distance(found, truth) < 1.5 * GRID_60X30.cell_m


def test_two_dividers_that_meet_in_a_point_stay_two() -> None:
    truth = [element("divider", [[-15, 0], [5, 0]]), element("divider", [[-13, 7], [5, 0]])]
    found = vectorize(drawn(truth), GRID_60X30)
    assert len(found) == 2
    for line in truth:
        assert min(distance(e, line) for e in found) < 0.5


def test_close_parallel_lines_stay_apart() -> None:
    truth = [element("boundary", [[-25, 0], [25, 1]]), element("boundary", [[-25, 1.35], [25, 2.35]])]
    found = vectorize(drawn(truth), GRID_60X30)
    assert len(found) == 2
    for line in truth:
        assert min(distance(e, line) for e in found) < 0.1


def test_scores_are_the_class_probability_along_the_line_and_order_the_elements() -> None:
    semantic = 0.1 * drawn([]) + 0.05
    semantic[1] += 0.55 * drawn([element("divider", LINES["straight"])])[1]
    semantic[3] += 0.75 * drawn([element("boundary", [[-20, -9], [20, -9]])])[3]
    semantic = np.clip(semantic, 0, 1)
    found = vectorize(semantic, GRID_60X30, VectorizeConfig(doubtful_m=0))
    assert [e.label for e in found] == ["boundary", "divider"]
    assert found[0].score == pytest.approx(0.8, abs=0.02) and found[1].score == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize(("least_m", "found"), [(2.0, 1), (5.0, 0)])
def test_lines_shorter_than_asked_for_are_dropped(least_m: float, found: int) -> None:
    line = drawn([element("divider", [[0, 0], [3.5, 0]])])
    assert len(vectorize(line, GRID_60X30, VectorizeConfig(min_length_m=least_m))) == found


def test_short_lines_are_believed_less() -> None:
    short, long = element("divider", [[-20, 5], [-17, 5]]), element("divider", [[-20, -5], [20, -5]])
    found = vectorize(drawn([short, long]), GRID_60X30, VectorizeConfig(doubtful_m=6))
    lengths = [np.linalg.norm(np.diff(e.points_m, axis=0), axis=1).sum() for e in found]
    assert [e.score for e in found] == pytest.approx(1 - np.exp(-np.array(lengths) / 6), abs=0.02)
    assert lengths[0] > lengths[1]


def test_bytes_and_floats_give_the_same_lines() -> None:
    semantic = drawn([element("divider", LINES["curved"])])
    (one,), (other,) = vectorize(semantic, GRID_60X30), vectorize((semantic * 255).astype(np.uint8), GRID_60X30)
    np.testing.assert_array_equal(one.points_m, other.points_m)


@pytest.mark.parametrize("fill", [0, 1, 2, 3])
def test_empty_and_full_maps_hold_no_lines(fill: int) -> None:
    semantic = np.zeros((4, *GRID_60X30.shape), np.float32)
    semantic[fill] = 1
    assert vectorize(semantic, GRID_60X30) == []


def test_a_blob_is_no_line_but_the_line_beside_it_is() -> None:
    semantic = drawn([element("boundary", [[-25, 10], [25, 10]])])
    semantic[3, 20:90, 150:260] = 1
    semantic[0] = 1 - semantic[1:].max(0)
    found = vectorize(semantic, GRID_60X30)
    assert len(found) == 1 and abs(found[0].points_m[:, 1].mean() - 10) < 0.1


@pytest.mark.parametrize("smoothness", [0, 1, 3, 8])
def test_noise_costs_a_bounded_amount_of_work(smoothness: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(smoothness)
    logits = rng.normal(0, 1, (4, *GRID_60X30.shape)).astype(np.float32)
    if smoothness:
        logits = np.stack([cv2.GaussianBlur(channel, (0, 0), smoothness) for channel in logits])
    weights = np.exp(3 * logits / logits.std())
    handed_on = []
    original = skeleton.chains
    monkeypatch.setattr(skeleton, "chains", lambda *a: handed_on.append(original(*a)) or handed_on[-1])
    found = vectorize(weights / weights.sum(0), GRID_60X30)
    assert len(handed_on[0]) <= VectorizeConfig().max_chains
    assert all(np.isfinite(e.points_m).all() and 0 <= e.score <= 1 for e in found)


def test_elements_stay_on_the_grid() -> None:
    truth = [element("boundary", [[-30, -14.9], [30, -14.8]]), element("divider", [[29, -15], [29.5, 15]])]
    for found in vectorize(drawn(truth), GRID_60X30):
        assert (np.abs(found.points_m) <= [30, 15]).all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s[:3], r"shape \(3, 200, 400\)"),
        (lambda s: np.where(s > 0, np.nan, s), "not finite"),
        (lambda s: np.where(s > 0, np.inf, s), "not finite"),
        (lambda s: 10 * s - 5, "softmax"),
    ],
)
def test_wrong_input_is_refused(spoil: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vectorize(spoil(drawn([element("divider", LINES["straight"])])), GRID_60X30)  # type: ignore[operator]


def test_wrong_config_is_refused() -> None:
    with pytest.raises(ValueError, match="crossings"):
        VectorizeConfig(crossings="polygon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="min_length_m"):
        VectorizeConfig(min_length_m=-1)


def test_an_edge_that_the_curb_hides_reaches_the_curb() -> None:
    curbs = [element("boundary", [[-25, y], [25, y]]) for y in (-6.0, 6.0)]
    edges = [element("ped_crossing", [[x, -6], [x, 6]]) for x in (4.0, 8.0)]
    (crossing,) = (e for e in vectorize(drawn([*curbs, *edges]), GRID_60X30) if e.label == "ped_crossing")
    assert crossing.closed
    np.testing.assert_allclose(np.abs(crossing.points_m[:, 1]).max(), 6, atol=0.2)
    np.testing.assert_allclose(np.abs(crossing.points_m[:, 1]).min(), 6, atol=0.3)
