import numpy as np
import pytest

from mapkd_core.geometry import evenly_spaced
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.alignment import Alignment
from mapkd_core.metrics.bands import bands_of
from mapkd_core.metrics.line_agreement import count_lines
from mapkd_core.types import MapElement

GRID = BevGrid()
BANDS = bands_of(GRID, 15.0)


def line(points, label="divider"):
    return MapElement(label, np.array(points, np.float32))


def counted(predicted, true, **more):
    return count_lines(predicted, true, BANDS, GRID, **more).as_dict()


def test_parallel_lines_by_hand():
    true = [line([(-10, 0), (10, 0)]), line([(0, 5), (10, 5)])]
    result = counted([line([(-10, 0.7), (5, 0.7)])], true)["0-15 m"]["divider"]
    assert result["true_m"] == pytest.approx(30) and result["predicted_m"] == pytest.approx(15)
    # 15 m lie beside the prediction, and beyond its end as far as the rest of the threshold reaches.
    beyond = {t: np.sqrt(t * t - 0.49) for t in (1.0, 1.5)}
    assert result["recall"]["0.5"] == 0 and result["precision"] == {"0.5": 0, "1": 1, "1.5": 1}
    for threshold, extra in beyond.items():
        assert result["recall"][f"{threshold:g}"] == pytest.approx((15 + extra) / 30, abs=0.005)


def test_a_line_of_another_class_finds_nothing():
    result = counted([line([(0, 0), (9, 0)], "boundary")], [line([(0, 0), (9, 0)])])["0-15 m"]
    assert set(result["divider"]["recall"].values()) == {0} and set(result["divider"]["precision"].values()) == {None}
    assert set(result["boundary"]["precision"].values()) == {0} and result["ped_crossing"]["true_m"] == 0


def test_places_belong_to_their_ring_but_may_match_beyond_it():
    result = counted([line([(14.9, 0), (15.1, 0)])], [line([(-25, 0), (25, 0)])])
    assert result["0-15 m"]["divider"]["true_m"] == pytest.approx(30, abs=0.3)
    assert result["15-34 m"]["divider"]["true_m"] == pytest.approx(20, abs=0.3)
    near, far = (result[band]["divider"]["recall"]["1"] for band in ("0-15 m", "15-34 m"))
    assert near == pytest.approx(1.1 / 30, abs=0.01) and far == pytest.approx(1.1 / 20, abs=0.015)


def test_against_a_slow_restatement_on_random_lines():
    rng = np.random.default_rng(3)
    sides = []
    for _ in range(2):
        starts, steps = rng.uniform(-14, 14, (6, 2)), rng.normal(0, 3, (6, 5, 2))
        labels = rng.choice(["divider", "boundary"], 6)
        walks = np.clip(np.cumsum(steps, 1) + starts[:, None], -14.5, 14.5)
        sides.append([line(walk, str(label)) for walk, label in zip(walks, labels, strict=True)])
    predicted, true = sides
    result = counted(predicted, true)

    def places(elements, label):
        lines = [e.points_m for e in elements if e.label == label]
        return np.concatenate([evenly_spaced(points, 2000) for points in lines]), np.concatenate(
            [np.full(2000, np.linalg.norm(np.diff(points, axis=0), axis=1).sum() / 2000) for points in lines]
        )

    for label in ("divider", "boundary"):
        (a, a_m), (b, b_m) = places(true, label), places(predicted, label)
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        for threshold in (0.5, 1.0, 1.5):
            close = squared <= threshold**2
            for found, weights, points, side in ((close.any(1), a_m, a, "recall"), (close.any(0), b_m, b, "precision")):
                near = np.linalg.norm(points, axis=1) < 15
                share = (weights * found * near).sum() / (weights * near).sum()
                assert result["0-15 m"][label][side][f"{threshold:g}"] == pytest.approx(share, abs=0.02)


def test_counts_add_up_over_frames():
    one = count_lines([line([(0, 0), (8, 0)])], [line([(0, 0), (8, 0)])], BANDS, GRID)
    two = count_lines([], [line([(0, 3), (8, 3)])], BANDS, GRID)
    assert (one + two).as_dict()["0-15 m"]["divider"]["recall"]["0.5"] == pytest.approx(0.5)
    assert (one + two).as_dict()["0-15 m"]["divider"]["precision"]["0.5"] == 1


def test_strips_that_a_moved_truth_leaves_uncovered_do_not_count():
    whole = line([(-30, 0), (30, 0)])
    result = counted([whole], [whole], alignment=Alignment(x_m=2))
    for side in ("recall", "precision"):
        assert result["15-34 m"]["divider"][side]["0.5"] == 1
    assert result["15-34 m"]["divider"]["predicted_m"] == pytest.approx(28, abs=0.5)  # 2 m of the rear are unknown
    assert result["15-34 m"]["divider"]["true_m"] == pytest.approx(28, abs=0.5)       # 2 m have left at the front


@pytest.mark.parametrize(("middle", "band"), [(0.0, "0-15 m"), (15.0, "15-34 m")])
def test_a_place_at_a_rings_very_edge_belongs_to_the_outer_ring(middle, band):
    short = line([(middle - 0.125, 0), (middle + 0.125, 0)])
    result = counted([short], [short])
    assert {name for name, classes in result.items() if classes["divider"]["true_m"]} == {band}
    assert {name for name, classes in result.items() if classes["divider"]["predicted_m"]} == {band}


def test_frames_add_up_on_both_sides():
    """Of 10 m found in one frame of two, and 10 of 30 predicted metres right."""
    there, aside = line([(0, 0), (10, 0)]), line([(0, 9), (10, 9)])
    first = count_lines([there, aside], [there], BANDS, GRID)
    second = count_lines([aside], [there], BANDS, GRID)
    for both in (first + second, second + first):
        result = both.as_dict()["0-15 m"]["divider"]
        assert (result["true_m"], result["predicted_m"]) == pytest.approx((20, 30))
        assert list(result["recall"].values()) == pytest.approx([0.5] * 3)
        assert list(result["precision"].values()) == pytest.approx([1 / 3] * 3)
    twice = first + first
    assert twice.as_dict()["0-15 m"]["divider"]["precision"]["1"] == pytest.approx(0.5)
