"""student_node as a process of its own, fed with everything that goes wrong on real vehicles, in this order.

One node meets all faults; after each it must still turn the next good set into a map.
"""
from __future__ import annotations

import json
import os
import shutil
import signal
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")

import rclpy
from camera_bench import CameraBench, camera_info, compressed, jpeg, mounting
from tf2_msgs.msg import TFMessage

from mapkd_core.predictor import DEFAULT_WEIGHTS
from mapkd_core.types import CAMERAS, CLASSES
from mapkd_ros.child_process import ChildProcess, node_executable
from mapkd_ros.views.foxglove import STAGES

pytestmark = pytest.mark.ros


def start_node(**parameters: object) -> ChildProcess:
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    command = [node_executable("student_node"), "--ros-args", *words]
    return ChildProcess("student_node", command, {"OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="module")
def process(private_domain):
    with start_node(device="cpu", threads=1, diagnostics_period=0.2, window_ms=40.0, queue_size=4) as node:
        yield node


@pytest.fixture(scope="module")
def bench(process):
    context = rclpy.Context()
    rclpy.init(context=context)
    bench = CameraBench(context)
    bench.listen()
    yield bench
    bench.close()
    rclpy.shutdown(context=context)


def expect_map(bench: CameraBench) -> None:
    """The next good set; on a machine that is very busy an image may get lost, then the one after it."""
    for patience_s in (5, 20):
        stamp_ns = bench.send_set()
        if bench.wait(lambda stamp_ns=stamp_ns: bench.mapped(stamp_ns), patience_s):
            return
    pytest.fail(f"no map of a good set; the node says {bench.values()}")


def test_it_waits_for_calibration_and_transforms_naming_the_cameras(bench, process):
    assert bench.wait(lambda: bench.status), process.output
    assert bench.wait(lambda: all(p.get_subscription_count() for p in [*bench.images.values(), *bench.infos.values()]))
    stamp_ns = bench.send_set()

    def message(camera: str) -> str:
        return bench.status[f"student_node: {camera}"].message

    assert bench.wait(lambda: all("camera_info has sent no usable calibration" in message(c) for c in CAMERAS))
    bench.send_calibration()
    assert bench.wait(lambda: "nothing has come on /tf_static" in message("CAM_BACK"))
    assert bench.status["student_node: map"].level == b"\x02"
    assert "CAM_BACK_LEFT: no transform base_link <- cam_back_left_optical" in bench.status["student_node: map"].message
    assert not bench.maps
    bench.send_mountings()
    # The set that came first was kept, and goes through with the last transform it needed.
    assert bench.wait(lambda: bench.mapped(stamp_ns))
    assert bench.wait(lambda: bench.status["student_node: map"].level == b"\x00")


def test_a_good_set_becomes_markers_and_a_vector_map_with_the_anchors_stamp_in_base_link(bench):
    bench.markers.clear()
    bench.semantics.clear()
    expect_map(bench)
    assert bench.wait(lambda: bench.markers and bench.semantics)
    message = bench.maps[-1]
    assert message.header.frame_id == "base_link" and message.camera_names == list(CAMERAS)
    assert {e.label_name for e in message.elements} <= set(CLASSES)
    assert (message.x_min, message.x_max, message.y_min, message.y_max) == (-30, 30, -15, 15)
    assert list(message.stage_names) == list(STAGES), "Foxglove's plot knows them by their place"
    assert min(message.stage_latency_ms) >= 0 and message.model_name
    lines = [marker for marker in bench.markers[-1].markers if marker.action == marker.ADD]
    assert {(m.ns, m.id) for m in lines} == {(e.label_name, e.id) for e in message.elements}
    assert all(m.header == message.header for m in lines)
    assert bench.semantics[-1].header == message.header
    assert (bench.semantics[-1].width, bench.semantics[-1].height) == (200, 400)


@pytest.mark.parametrize(
    ("camera", "data", "text", "kind"),
    [
        ("CAM_BACK", b"this is no image", "jpeg", "dropped: undecodable CAM_BACK"),
        ("CAM_FRONT", b"", "jpeg", "dropped: undecodable CAM_FRONT"),
        ("CAM_BACK_LEFT", jpeg()[:-300], "jpeg", "dropped: undecodable CAM_BACK_LEFT"),
        ("CAM_FRONT_LEFT", jpeg((320, 180)), "jpeg", "dropped: size CAM_FRONT_LEFT"),
        ("CAM_BACK_RIGHT", jpeg(), "16UC1; compressedDepth", "dropped: encoding CAM_BACK_RIGHT"),
    ],
    ids=["no image", "empty", "cut off", "size", "encoding"],
)
def test_a_bad_image_is_counted_and_the_next_set_goes_on(bench, camera, data, text, kind):
    for times in (1, 2):
        stamp_ns = bench.send_set({camera: compressed(camera, bench.stamp_ns + 100_000_000, data, text)})
        assert bench.wait(lambda times=times: bench.value(kind) == times), f"{kind} is not in {bench.values()}"
        expect_map(bench)
        assert not bench.mapped(stamp_ns)


def test_an_image_that_only_the_decoder_can_refuse_is_named(bench):
    """Header and end marker are right, everything between is not."""
    broken = jpeg()[:180] + bytes(200) + b"\xff\xd9"
    stamp_ns = bench.send_set({"CAM_FRONT_RIGHT": compressed("CAM_FRONT_RIGHT", bench.stamp_ns + 100_000_000, broken)})
    assert bench.wait(lambda: bench.value("dropped: undecodable CAM_FRONT_RIGHT") == 1), bench.values()
    expect_map(bench)
    assert not bench.mapped(stamp_ns)


@pytest.mark.parametrize("bad", [float("nan"), 0.0, float("inf")])
def test_impossible_intrinsics_stop_the_maps_until_good_ones_come(bench, bad):
    before = bench.value("dropped: camera_info CAM_FRONT")
    bench.infos["CAM_FRONT"].publish(camera_info("CAM_FRONT", focal=bad))
    assert bench.wait(lambda: bench.value("dropped: camera_info CAM_FRONT") == before + 1)
    stamp_ns = bench.send_set()
    assert bench.wait(lambda: "no usable calibration" in bench.status["student_node: CAM_FRONT"].message)
    assert not bench.mapped(stamp_ns)
    bench.send_calibration(("CAM_FRONT",))
    assert bench.wait(lambda: bench.mapped(stamp_ns))  # it waited for its calibration
    expect_map(bench)


def test_an_image_with_stray_bytes_is_used_counted_and_logged_once(bench, process):
    data = jpeg()
    stray = data[:-2] + b"\x12\x34\x56\x78\x9a\xbc" + data[-2:]
    for times in (1, 2):
        stamp_ns = bench.send_set({"CAM_BACK": compressed("CAM_BACK", bench.stamp_ns + 100_000_000, stray)})
        assert bench.wait(lambda stamp_ns=stamp_ns: bench.mapped(stamp_ns)), bench.values()
        assert bench.wait(lambda times=times: bench.value("image used: stray bytes CAM_BACK") == times), bench.values()
    assert process.output.count("counted as 'stray bytes CAM_BACK'") == 1
    assert "extraneous bytes" in process.output and process.output.count("orrupt JPEG") == 1, process.output


def test_a_missing_camera_is_counted_by_name(bench):
    before = bench.value("set not formed: missing CAM_BACK")
    for _ in range(6):
        bench.send_set({"CAM_BACK": None})
    expect_map(bench)
    assert bench.wait(lambda: bench.value("set not formed: missing CAM_BACK") >= before + 2), bench.values()


def test_cameras_too_far_apart_are_counted_with_the_skew(bench):
    for _ in range(8):
        bench.send_set({"CAM_BACK": compressed("CAM_BACK", bench.stamp_ns + 145_000_000)})
    assert bench.wait(lambda: bench.value("set not formed: skew CAM_BACK") >= 1), bench.values()
    assert bench.values()["last set not formed"] == "skew CAM_BACK 45 ms > 40 ms"
    expect_map(bench)


def test_duplicates_and_late_images_are_ignored(bench):
    expect_map(bench)
    bench.images["CAM_BACK"].publish(compressed("CAM_BACK", bench.stamp_ns))
    bench.images["CAM_FRONT"].publish(compressed("CAM_FRONT", bench.stamp_ns - 50_000_000))
    assert bench.wait(lambda: bench.value("image ignored: duplicate CAM_BACK") >= 1)
    assert bench.wait(lambda: bench.value("image ignored: late CAM_FRONT") >= 1)
    expect_map(bench)


def test_time_may_jump_back(bench):
    bench.send_set(step_ns=-500_000_000_000)
    expect_map(bench)
    assert bench.wait(lambda: bench.value("image ignored: time jumped back CAM_FRONT") == 1)


def test_a_transform_that_is_no_rotation_is_counted_and_the_good_one_stays(bench):
    bad = mounting("CAM_FRONT", w=float("nan"))
    bench.tf_static.publish(TFMessage(transforms=[bad]))
    assert bench.wait(lambda: bench.value("dropped: bad transform") == 1)
    expect_map(bench)


def test_each_kind_of_fault_was_logged_once_and_latency_is_published(bench, process):
    text = process.output
    for kind in ("undecodable CAM_BACK", "undecodable CAM_FRONT", "size CAM_FRONT_LEFT", "camera_info CAM_FRONT"):
        assert text.count(f"counted as '{kind}'") == 1, text
    assert "CAM_FRONT_LEFT: image is 320x180, its camera_info says 160x90" in text
    values = bench.values()
    assert values["device"] == "cpu" and float(values["rate [Hz]"]) > 0
    assert all(f"latency {stage}, median / p95 [ms]" in values for stage in ("decode", "network", "vectorize", "total"))
    assert bench.status["student_node: CAM_BACK"].level == b"\x00"


def test_two_interrupts_end_it_with_code_0(bench, process):
    expect_map(bench)
    for _ in range(2):
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.02)
    assert process.wait(15) == 0, process.output
    assert "Traceback" not in process.output


def test_it_refuses_to_start_without_sound_weights(tmp_path):
    """Missing, damaged, and for a network that this version does not know: code 2 and one line that says so."""
    for name in ("damaged", "unknown"):
        for suffix in (".json", ".safetensors"):
            shutil.copy(DEFAULT_WEIGHTS.with_suffix(suffix), tmp_path / f"{name}{suffix}")
    weights = bytearray((tmp_path / "damaged.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(weights)
    card = json.loads((tmp_path / "unknown.json").read_text())
    (tmp_path / "unknown.json").write_text(json.dumps({**card, "model": "network_of_tomorrow"}))
    expected = {"missing": "no model card", "damaged": "SHA-256", "unknown": "network_of_tomorrow"}
    running = {name: start_node(weights=tmp_path / f"{name}.json") for name in expected}
    for name, words in expected.items():
        with running[name] as node:
            assert node.wait(60) == 2
            (line,) = node.output.strip().splitlines()
            assert line.startswith("student_node: ") and words in line
