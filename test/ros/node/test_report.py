"""What the user is told: once at start, then while something lacks, with growing pauses; and in /diagnostics."""
from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from ros_messages import transform

from mapkd_core.cameras.camera_watch import CameraWatch
from mapkd_core.cameras.mountings import Mountings
from mapkd_core.cameras.plausibility import Doubt
from mapkd_core.cameras.rig import regular_rig
from mapkd_core.cameras.synchronizer import Synchronizer
from mapkd_core.cameras.transform_tree import TransformTree
from mapkd_ros.node import report as node_report
from mapkd_ros.node.diagnostics import ERROR, OK, WARN, Statistics
from mapkd_ros.node.report import InputReport, diagnostic_statuses, raw_transport_hint
from mapkd_ros.node.stall import Settings, StallWatch
from mapkd_ros.rate import Rate

S = 1_000_000_000


class Input:
    """A camera input that lacks what the test says."""

    def __init__(self, lack: str = "") -> None:
        self.missing = lack
        self.topic = "/camera/x"
        self.mixed = ""
        self.rate = Rate()

    def lack(self, now_ns: int) -> str:
        return self.missing

    def describe(self, now_ns: int) -> str:
        return self.missing or "12.0 Hz"


class Log(list):
    """A logger that keeps (level, text)."""

    def info(self, text: str) -> None:
        self.append(("info", text))

    def warning(self, text: str) -> None:
        self.append(("warning", text))


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(ns=100 * S)
    monkeypatch.setattr(node_report.time, "monotonic_ns", lambda: now.ns)
    return now


def make(
    inputs: dict[str, Input], stall: StallWatch | None = None, watch: CameraWatch | None = None,
    unusable: Callable[[str], str] | None = None,
) -> tuple[InputReport, Log, TransformTree]:
    log, tree = Log(), TransformTree()
    mountings = Mountings(regular_rig(list(inputs)), tree, "base_link")
    watch = watch or CameraWatch(list(inputs), 2.0)
    return InputReport(inputs, mountings, watch, stall or quiet(), unusable or (lambda camera: ""), log), log, tree


def without_b(**settings: object) -> CameraWatch:
    """A watch that has seen A alone for three seconds."""
    watch = CameraWatch(["A", "B"], 2.0, **settings)
    for tenth in range(30):
        watch.see("A", tenth * S // 10)
    return watch


def quiet() -> StallWatch:
    """One that has seen nothing."""
    return StallWatch(["A", "B"], Settings("A", 40_000_000, 4))


def run(report: InputReport, clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.ns += S
        report.tick()


def test_complete_inputs_are_reported_at_once_and_once(clock):
    report, log, _ = make({"A": Input(), "B": Input()})
    run(report, clock, 60)
    assert log == [("info", "inputs:\n  A: 12.0 Hz\n  B: 12.0 Hz")]


def test_what_lacks_is_reported_after_three_seconds_and_again_with_growing_pauses(clock):
    inputs = {"A": Input(), "B": Input("no publisher")}
    report, log, _ = make(inputs)
    run(report, clock, 2)
    assert not log
    run(report, clock, 120)
    assert log[0] == ("info", "inputs:\n  A: 12.0 Hz\n  B: no publisher")
    warnings = [text for level, text in log if level == "warning"]
    assert set(warnings) == {"no map; these cameras lack something:\n  B: no publisher"}
    assert 3 <= len(warnings) <= 6
    inputs["B"].missing = ""
    run(report, clock, 1)
    assert log[-1] == ("info", "all cameras, calibrations and transforms are there\n  B: 12.0 Hz")
    inputs["A"].missing = "no more images"
    count = len(log)
    run(report, clock, 65)
    assert ("warning", "no map; these cameras lack something:\n  A: no more images") in log[count:]
    inputs["A"].missing = ""
    run(report, clock, 1)
    assert log[-1] == ("info", "all cameras, calibrations and transforms are there")  # described already


def test_images_that_make_no_set_are_explained_with_growing_pauses_until_they_do(clock):
    stall = quiet()
    report, log, _ = make({"A": Input(), "B": Input()}, stall)
    for _ in range(40):
        stall.see("A", clock.ns, clock.ns)
        stall.see("B", 0, clock.ns)
        run(report, clock, 1)
    told = [text for level, text in log if level == "warning"]
    assert told[0].startswith("no set of images for 5000 ms, though every camera sends: B: all stamps are 0: let the")
    assert 2 <= len(told) <= 5
    stall.formed(clock.ns)
    run(report, clock, 4)
    assert len([text for level, text in log if level == "warning"]) == len(told)


def test_a_late_and_slow_camera_is_told_once_while_it_lasts(clock):
    stall = quiet()
    report, log, _ = make({"A": Input(), "B": Input()}, stall)

    def drive(seconds: int, lag_ns: int) -> list[str]:
        begun = len(log)
        for tenth in range(10 * seconds):
            clock.ns += S // 10
            stall.see("A", clock.ns, clock.ns)
            if tenth % 5 == 0:
                stall.see("B", clock.ns - lag_ns, clock.ns)
            stall.formed(clock.ns)
            if tenth % 10 == 9:
                report.tick()
        return [text for level, text in log[begun:] if level == "warning"]

    (told,) = drive(30, 300_000_000)
    slow = "B sends 2.0 images a second, the others 6.0: a map needs one of every camera"
    assert told.startswith(f"{slow}; arrives 300 ms after the others")
    assert told.endswith("(not logged again while it lasts)") and told.count("B ") == 1


def test_a_moment_of_load_is_not_told(clock):
    stall = quiet()
    report, log, _ = make({"A": Input(), "B": Input()}, stall)
    for second in range(60):
        for _ in range(10):
            clock.ns += S // 10
            stall.see("A", clock.ns, clock.ns)
            stall.see("B", clock.ns - (S if 20 <= second < 23 else 0), clock.ns)
            stall.formed(clock.ns)
        report.tick()
    assert not [text for level, text in log if level == "warning"]


def test_a_camera_is_described_once_it_is_complete_whatever_others_lack(clock):
    inputs = {"A": Input("no transform"), "B": Input("no publisher")}
    report, log, _ = make(inputs)
    run(report, clock, 3)
    inputs["A"].missing = ""
    run(report, clock, 2)
    assert log[1:] == [("info", "now there:\n  A: 12.0 Hz")]
    inputs["B"].missing = ""
    run(report, clock, 2)
    assert log[2:] == [("info", "all cameras, calibrations and transforms are there\n  B: 12.0 Hz")]


def test_a_missing_transform_is_something_that_lacks(clock):
    report, _, tree = make({"A": Input()})
    report._mountings.frames["A"] = "a_optical"
    assert "nothing has come on /tf_static" in report.lacks(clock.ns)["A"]
    tree.update([transform("base_link", "a_optical")])
    assert report.lacks(clock.ns) == {}


def test_cameras_that_maps_are_made_without_are_told(clock):
    report, log, _ = make({"A": Input(), "B": Input()}, watch=without_b())
    assert report.lacks(clock.ns) == {"B": "has fallen silent"}
    run(report, clock, 10)
    assert log == [
        ("info", "inputs:\n  A: 12.0 Hz\n  B: has fallen silent"),
        ("warning", "maps are made of 1 cameras, without these:\n  B: has fallen silent"),
    ]
    report.tell_change(("A", "B"), ("A",))
    report.tell_change(("A",), ("A", "B"))
    assert log[-2:] == [
        ("warning", "B: no usable images; maps go on without until there are"),
        ("info", "B: images come again; maps use them"),
    ]
    report, log, _ = make({"A": Input(), "B": Input("no more images")}, watch=without_b(min_cameras=2))
    run(report, clock, 10)
    told = "no map (1 cameras send, min_cameras is 2); these cameras lack something:\n  B: no more images"
    assert log[-1] == ("warning", told)
    broken = {"A": "", "B": "it is cut"}
    report, log, _ = make(
        {"A": Input(), "B": Input()}, watch=without_b(required=["B"]), unusable=lambda camera: broken[camera]
    )
    run(report, clock, 10)
    assert log[-1][1].endswith("these cameras lack something:\n  B: its images cannot be used: it is cut")


def test_raw_images_over_untuned_fast_dds_are_advised_against():
    assert "large_data:=true" in raw_transport_hint("rmw_fastrtps_cpp", {})
    assert raw_transport_hint("rmw_fastrtps_cpp", {"FASTDDS_DEFAULT_PROFILES_FILE": "/x.xml"}) == ""
    assert raw_transport_hint("rmw_cyclonedds_cpp", {}) == ""


@pytest.mark.ros
def test_levels_of_the_diagnostics():
    pytest.importorskip("diagnostic_msgs.msg", reason="needs ROS 2 (diagnostic_msgs)")
    statistics, synchronizer = Statistics(), Synchronizer(["A", "B"], "A")
    predictor = SimpleNamespace(device="cpu", engine="onnx int8", card=SimpleNamespace(name="student", version="1.0"))
    inputs, stall = {"A": Input(), "B": Input()}, quiet()
    watch = CameraWatch(["A", "B"], 2.0)
    doubts: list[Doubt] = []
    unusable: dict[str, str] = {}
    pitch_errors = {"B": "+0.3 +- 0.4 (50 maps)"}

    def all_of(lacks: dict[str, str], wanted: bool, now_ns: int, warning: str = ""):
        snapshot = statistics.snapshot(now_ns)
        statuses = diagnostic_statuses(
            "node", snapshot, synchronizer, lacks, inputs, predictor, wanted, watch, stall, doubts, unusable,
            pitch_errors,
            [warning] if warning else [], now_ns,
        )
        assert [status.name for status in statuses] == ["node: map", "node: A", "node: B"]
        return statuses

    def first(*arguments):
        return all_of(*arguments)[0]

    def level(*arguments) -> int:
        return first(*arguments).level[0]

    assert level({"B": "no image"}, True, 0) == ERROR
    assert first({"B": "no image"}, True, 0).message == "no map: B: no image"
    assert level({}, False, 0) == OK
    statistics.drop("size B")
    assert level({}, True, 0) == WARN
    assert first({}, True, 0).message == "no map lately; last dropped: size B"
    stall.see("A", 1, -8 * S)
    assert "no map lately; no set of images: stamps and times" in first({}, True, 0).message
    statistics.publish(10 * S, {"network": 5.0}, 40.0)
    statistics.publish(11 * S, {"network": 5.0}, 40.0)
    assert level({}, True, 12 * S) == OK
    values = {v.key: v.value for v in first({}, True, 12 * S).values}
    assert (values["device"], values["engine"]) == ("cpu", "onnx int8")
    assert values["model"] == "student 1.0" and values["dropped: size B"] == "1"
    assert values["rate [Hz]"] == "1.00"
    pairs = [{v.key: v.value for v in one.values} for one in all_of({}, True, 12 * S)]
    key = "pitch error by the map's lines [deg]"
    assert [one.get(key) for one in pairs] == [None, None, "+0.3 +- 0.4 (50 maps)"]
    watch = without_b()
    out = all_of({"B": "no more images"}, True, 12 * S)
    assert [status.level[0] for status in out] == [WARN, OK, WARN]
    assert out[0].message == "1.0 maps a second, without B: no more images" and out[2].message == "no more images"
    watch = without_b(required=["B"])
    out = all_of({"B": "no more images"}, True, 12 * S)
    assert [status.level[0] for status in out] == [ERROR, OK, ERROR]
    assert out[0].message == "no map (B: named in required_cameras): B: no more images"
    watch = CameraWatch(["A", "B"], 2.0)
    statistics.publish(12 * S, {"network": 5.0}, -8000.0)
    statistics.publish(12 * S, {"network": 5.0}, -8000.0)
    statistics.publish(12 * S, {"network": 5.0}, -8000.0)
    assert level({}, True, 12 * S) == WARN
    assert "stamps are 8000 ms ahead of this node's clock: set the clocks" in first({}, True, 12 * S).message
    doubts.append(Doubt(("B",), "it looks up"))
    for wanted in (True, False):
        told = first({}, wanted, 12 * S)
        assert told.level[0] == WARN and told.message.endswith("; calibration: B: it looks up")
    assert level({"B": "no image"}, True, 12 * S) == ERROR
    doubts.clear()
    unusable["A"] = "it is a sound"
    out = all_of({}, True, 12 * S)
    assert [status.level[0] for status in out] == [WARN, WARN, OK] and "it is a sound" in out[1].message
    unusable.clear()
    inputs["B"].mixed = "2 publishers of /camera/x"
    mixed = all_of({}, True, 12 * S)[2]
    assert mixed.level[0] == WARN and mixed.message.endswith("; 2 publishers of /camera/x")
    inputs["B"].mixed = ""
    told = first({}, True, 12 * S, "another node")
    assert told.level[0] == WARN and told.message.endswith("; another node")
