"""Figures and levels that a user reads in /diagnostics."""
from __future__ import annotations

import pytest

from mapkd_ros.node.diagnostics import Statistics, clock_note, map_values, status

S = 1_000_000_000


def test_figures_are_medians_and_percentiles_of_each_stage_and_of_the_sum():
    statistics = Statistics()
    for i in range(101):
        statistics.publish(i * S // 10, {"decode": 10.0, "network": float(i)}, age_ms=50.0 + i)
    snapshot = statistics.snapshot(10 * S)
    assert snapshot.published == 101 and snapshot.published_hz == pytest.approx(10.0)
    assert snapshot.latency_ms["decode"] == (10.0, 10.0)
    assert snapshot.latency_ms["network"] == pytest.approx((50.5, 95.05))  # the newest 100: 1..100
    assert snapshot.latency_ms["total"] == pytest.approx((60.5, 105.05))
    assert snapshot.age_ms == pytest.approx(100.5)
    values = map_values(snapshot)
    assert values["latency network, median / p95 [ms]"] == "50.5 / 95.0"
    assert values["age when published, median [ms]"] == "100"


def test_drops_are_counted_by_reason_most_frequent_first():
    statistics = Statistics()
    assert [statistics.drop("size CAM_BACK") for _ in range(3)] == [1, 2, 3]
    assert statistics.drop("max_rate reached") == 1
    values = map_values(statistics.snapshot(0))
    assert [(k, v) for k, v in values.items() if k.startswith("dropped")] == [
        ("dropped: size CAM_BACK", 3),
        ("dropped: max_rate reached", 1),
    ]


@pytest.mark.parametrize(
    ("age_ms", "told"), [(None, ""), (-400, ""), (3e6, ""), (1.77e12, "56 years behind"), (-4e3, "4000 ms ahead")]
)
def test_stamps_that_do_not_fit_the_clock_are_told(age_ms, told):
    note = clock_note(age_ms)
    assert told in note and bool(note) == bool(told)
    assert ("use_sim_time" in note) == ("behind" in told)


@pytest.mark.ros
def test_a_status_message_carries_its_values_as_text():
    pytest.importorskip("diagnostic_msgs.msg", reason="needs ROS 2 (diagnostic_msgs)")
    message = status("student_node: map", 1, "no map lately", {"sets formed": 3, "rate [Hz]": "0.00"}, "cpu")
    assert message.level == message.WARN and message.hardware_id == "cpu"
    assert [(v.key, v.value) for v in message.values] == [("sets formed", "3"), ("rate [Hz]", "0.00")]
