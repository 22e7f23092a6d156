"""Latencies and drops of logs whose figures are known."""
from __future__ import annotations

from typing import Any

import pytest

from mapkd_ros.pipeline_benchmark.statistics import LOST, UNEXPLAINED, drops, run_figures, span_ns

CAMERAS = ["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_BACK"]
MS = 10**6
PERIOD = 100 * MS


def sent_log(rounds: int = 5, warm_up: int = 1) -> dict[str, Any]:
    """Ten rounds a second; the cameras fire 10 ms apart; stamps are 1000 s ahead of the monotonic clock."""
    entries = [
        [[10**12 + i * PERIOD + 10 * MS * c, i * PERIOD + 10 * MS * c, i * PERIOD + 10 * MS * c + MS]
         for c in range(len(CAMERAS))]
        for i in range(rounds)
    ]  # fmt: skip
    return {
        "cameras": CAMERAS, "rate_hz": 10.0, "rounds": entries, "measured_from": warm_up, "behind_ns": 0, "put_off": 0,
    }  # fmt: skip


def heard_map(sent: dict[str, Any], place: int, latency_ms: int) -> dict[str, Any]:
    """The map of a round, `latency_ms` after its front image; its cameras in another order than the sender's."""
    entry = sent["rounds"][place]
    return {
        "stamp_ns": entry[1][0],
        "arrived_ns": entry[1][1] + latency_ms * MS,
        "source_stamps_ns": [entry[2][0], entry[1][0], entry[0][0]],
        "cameras": CAMERAS[::-1],
        "stage_ms": {"wait": 1.0, "network": float(latency_ms - 20)},
        "elements": 3,
    }


def counters(**counts: int) -> dict[str, dict[str, str]]:
    values = {key: str(count) for key, count in counts.items() if key != "images"}
    return {"student_node: map": {"rate [Hz]": "9.0", **values},
            "student_node: CAM_FRONT": {"images": str(counts["images"])}}  # fmt: skip


def test_latency_runs_from_the_front_and_from_the_last_image() -> None:
    sent = sent_log()
    maps = [heard_map(sent, place, ms) for place, ms in ((0, 900), (1, 60), (2, 70), (3, 80))]
    markers = [[sent["rounds"][1][1][0], sent["rounds"][1][1][1] + 50 * MS]]
    figures = run_figures(sent, {"maps": maps, "markers": markers, "diagnostics": []})
    assert (figures.sent, figures.mapped) == (4, 3)  # the warm-up does not count
    assert figures.sent_hz == pytest.approx(10.0) and figures.mapped_hz == pytest.approx(7.5)
    assert figures.from_anchor == pytest.approx((70, 79, 80))
    assert figures.from_complete == pytest.approx((60, 69, 70))
    assert figures.markers_from_anchor == pytest.approx((50, 50, 50))
    assert figures.stage_ms == {"wait": 1.0, "network": 50.0}
    assert figures.elsewhere_ms == pytest.approx(60 - 51)
    assert figures.drops == {UNEXPLAINED: 1}


def test_a_set_may_mix_two_rounds() -> None:
    sent = sent_log()
    found = heard_map(sent, 2, 60)
    found["source_stamps_ns"][0] = sent["rounds"][1][2][0]  # the back camera's image of the round before
    figures = run_figures(sent, {"maps": [found], "markers": [], "diagnostics": []})
    assert figures.from_complete == pytest.approx((60, 60, 60))  # now the front image is the last


def test_without_a_map_there_is_no_latency() -> None:
    figures = run_figures(sent_log(), {"maps": [], "markers": [], "diagnostics": []})
    assert (figures.mapped, figures.from_anchor, figures.elsewhere_ms, dict(figures.stage_ms)) == (0, None, None, {})
    with pytest.raises(ValueError, match="--seconds"):
        run_figures(sent_log(rounds=1), {"maps": [], "markers": [], "diagnostics": []})


def test_the_measured_span_ends_one_period_after_the_last_round_began() -> None:
    assert span_ns(sent_log()) == (PERIOD, 5 * PERIOD)
    assert span_ns(sent_log(rounds=2)) == (PERIOD, 2 * PERIOD)


def test_drops_are_differences_of_the_nodes_counters_and_add_up() -> None:
    overtaken = "dropped: overtaken by a newer set while the network was busy"
    history = [
        (5, counters(images=10, **{overtaken: 2})),
        (10, counters(images=20, **{overtaken: 3})),  # the last before measuring began
        (30, counters(images=118, **{overtaken: 43, "set not formed: missing CAM_BACK": 4,
                                       "set not formed: missing CAM_FRONT (anchor)": 2})),
    ]  # fmt: skip
    found = drops(history, begin_ns=20, sent=100, mapped=53)
    # Two front images did not come; the node noticed both, because others of those rounds came.
    assert found == {"overtaken by a newer set while the network was busy": 40, "missing CAM_BACK": 4, LOST: 2,
                     UNEXPLAINED: 1}  # fmt: skip
    assert sum(found.values()) == 100 - 53
    assert drops(history[:2], begin_ns=20, sent=0, mapped=0) == {}


def test_a_front_image_that_nobody_saw_is_lost() -> None:
    history = [(10, counters(images=0)), (30, counters(images=7))]
    assert drops(history, begin_ns=20, sent=10, mapped=7) == {LOST: 3}
