"""What every definition of average precision says at its edges: nothing there, another class, a miss, the threshold."""
import numpy as np
import pytest

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.ap_chamfer import ap_chamfer
from mapkd_core.metrics.ap_hdmapnet import ap_hdmapnet
from mapkd_core.metrics.ap_pmapnet import ap_pmapnet
from mapkd_core.metrics.ap_result import THRESHOLDS_HDMAPNET_M, THRESHOLDS_MAPTR_M, ApResult
from mapkd_core.metrics.raster_ap import _match
from mapkd_core.types import CLASSES, MapElement

GRID = BevGrid((-15.0, 15.0), (-7.5, 7.5), 0.15)


def line(y, score=1.0, label="divider", x=(-12, 12)):
    return MapElement(label, np.array([(x[0], y), (x[1], y)], float), score)


def definitions():
    for corrected in (False, True):
        yield lambda p, t, th, c=corrected: ap_chamfer(p, t, th, corrected=c)
        yield lambda p, t, th, c=corrected: ap_hdmapnet(p, t, GRID, th, corrected=c)
        yield lambda p, t, th, c=corrected: ap_pmapnet(p, t, GRID, th, corrected=c)


EVERY = pytest.mark.parametrize("ap", list(definitions()), ids=[
    f"{name}{end}" for end in ("", "_corrected") for name in ("chamfer", "hdmapnet", "pmapnet")
])  # fmt: skip


@EVERY
def test_without_prediction_or_without_truth_it_is_zero_and_without_both_nothing(ap):
    for found, true in (([], [line(0)]), ([line(0)], []), ([line(0, label="boundary")], [line(0)])):
        result = ap([found], [true], (1.0,))
        assert result.ap[0, 0] == 0 or not true
        assert result.mean == 0
    result = ap([[line(0)]], [[line(0)]], (1.0,))
    assert result.ap[0, 0] == 1 and np.isnan(result.ap[1:]).all() and result.mean == 1


@EVERY
def test_a_truth_is_found_once(ap):
    twice = ap([[line(0, 0.9), line(0.75, 0.9)]], [[line(0), line(5)]], (1.0,))
    assert twice.ap[0, 0] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize(("ap", "apart_m", "thresholds"), [
    (lambda p, t, th, c: ap_chamfer(p, t, th, c), 0.6, (0.5, 0.7)),
    # Drawn seven cells wide: eight cells apart, a cell lies 2 to 8 cells from the other line, 0.75 m in the mean.
    (lambda p, t, th, c: ap_hdmapnet(p, t, GRID, th, c), 1.2, (0.7, 0.8)),
    # Four apart, three of seven rows are common, and the others 1 to 4 cells away: 0.21 m.
    (lambda p, t, th, c: ap_pmapnet(p, t, GRID, th, c), 0.6, (0.2, 0.25)),
], ids=["chamfer", "hdmapnet", "pmapnet"])  # fmt: skip
def test_a_hit_is_within_the_threshold_and_each_threshold_is_its_own(ap, apart_m, thresholds, corrected):
    result = ap([[line(0.075 + apart_m)]], [[line(0.075)]], thresholds, corrected)
    assert result.ap[0].tolist() == [0, 1] and list(result.per_threshold.values()) == [0, 1]
    assert result.per_class["divider"] == pytest.approx(0.5) and result.mean == pytest.approx(0.5)


@pytest.mark.parametrize("corrected", [False, True])
def test_maptrs_pools_frames_and_the_others_average_them(corrected):
    """A frame with a sure miss beside a frame with an unsure hit."""
    found, true = [[line(5, 0.9)], [line(0, 0.4)]], [[line(0)], [line(0)]]
    assert ap_chamfer(found, true, (1.0,), corrected=corrected).mean == pytest.approx(0.25)  # precision 1/2 up to 1/2
    assert ap_hdmapnet(found, true, GRID, (1.0,), corrected=corrected).mean == pytest.approx(0.5)


@pytest.mark.parametrize("corrected", [False, True])
def test_maptrs_curve_is_made_monotone_from_the_right(corrected):
    """Miss, hit, hit in descending score: precision 1/2 and 2/3, which counts for both recalls."""
    found = [[line(6, 0.9), line(0, 0.8), line(-6, 0.7)]]
    assert ap_chamfer(found, [[line(0), line(-6)]], (1.0,), corrected=corrected).mean == pytest.approx(2 / 3)
    found = [[line(0, 0.9), line(6, 0.8), line(-6, 0.7)]]
    assert ap_chamfer(found, [[line(0), line(-6)]], (1.0,), corrected=corrected).mean == pytest.approx(5 / 6)


def test_maptrs_distance_is_the_mean_of_both_ways_over_a_hundred_points():
    """A piece of 6 m on a line of 24: 0 one way, the other way the line's ends lie up to 9 m beyond it."""
    whole, piece = line(0), line(0, x=(-3, 3))
    inner = np.linspace(-3, 3, 100)
    far = np.abs(np.linspace(-12, 12, 100)[:, None] - inner).min(1).mean()
    near = np.abs(inner[:, None] - np.linspace(-12, 12, 100)).min(1).mean()
    distance = (far + near) / 2
    assert 1.5 < distance < 2
    for found, true in ((whole, piece), (piece, whole)):
        result = ap_chamfer([[found]], [[true]], (distance - 0.01, distance + 0.01))
        assert result.ap[0].tolist() == [0, 1]


def test_a_result_leaves_out_what_never_occurs():
    nan = float("nan")
    result = ApResult("ap_chamfer", (0.5, 1.0), np.array([[0.2, 0.4], [nan, nan], [0.6, 1.0]]), 3)
    assert result.mean == pytest.approx(0.55)
    assert result.per_threshold == pytest.approx({0.5: 0.4, 1.0: 0.7})
    assert result.per_class["divider"] == pytest.approx(0.3) and np.isnan(result.per_class["ped_crossing"])
    plain = result.as_dict()
    assert plain["mAP"] == pytest.approx(0.55) and plain["per_class"]["ped_crossing"] is None and plain["frames"] == 3
    assert plain["per_threshold"] == pytest.approx({"0.5": 0.4, "1": 0.7}) and plain["thresholds_m"] == [0.5, 1.0]
    assert plain["ap"] == {"divider": [0.2, 0.4], "ped_crossing": [None, None], "boundary": [0.6, 1.0]}
    assert list(plain["ap"]) == list(CLASSES)


def test_thresholds_are_the_papers():
    assert THRESHOLDS_HDMAPNET_M == (0.2, 0.5, 1.0) and THRESHOLDS_MAPTR_M == (0.5, 1.0, 1.5)
    assert ap_chamfer([[]], [[]]).thresholds_m == ap_pmapnet([[]], [[]], GRID).thresholds_m == (0.5, 1.0, 1.5)
    assert ap_hdmapnet([[]], [[]], GRID).thresholds_m == (0.2, 0.5, 1.0)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_pair_exactly_at_the_threshold_is_none(kind):
    at = np.full((1, 1), 0.7, kind)
    allowed = np.ones((1, 1), bool)
    assert len(_match(at, 0.7, allowed)) == 0 and len(_match(np.nextafter(at, kind(0)), 0.7, allowed)) == 1
