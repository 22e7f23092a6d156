"""The node inside the test's process, with a predictor that the test controls; topics go over real DDS."""
from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")

from camera_bench import SIZE, CameraBench, compressed, image, mounting, raw, side_m
from node_bench import line, setups
from rclpy.parameter import Parameter
from tf2_msgs.msg import TFMessage

from mapkd_core.data.images import decode
from mapkd_core.types import CAMERAS
from mapkd_ros.node.mapping import UNWANTED

pytestmark = pytest.mark.ros


@pytest.fixture
def setup(private_domain):
    with setups() as make:
        yield make


def heard(bench: CameraBench, stamp_ns: int) -> bool:
    return bench.wait(lambda: bench.mapped(stamp_ns))


def test_without_a_subscriber_the_network_rests_until_one_comes(setup):
    one = setup()
    bench = one.ready()
    for _ in range(3):
        bench.send_set()
    assert bench.wait(lambda: bench.value("sets formed") >= 4)
    assert bench.status["student_node: map"].message == "idle: nobody subscribes to an output"
    assert bench.wait(lambda: bench.value(f"dropped: {UNWANTED}") == bench.value("sets formed"))  # each is counted
    assert one.predictor.calls == []
    assert one.node.set_parameters([Parameter("always_run", value=True)])[0].successful
    bench.send_set()
    assert bench.wait(lambda: len(one.predictor.calls) == 1)
    assert one.node.set_parameters([Parameter("always_run", value=False)])[0].successful
    bench.listen()
    assert bench.wait(lambda: one.mapping._outputs.wanted)
    assert heard(bench, bench.send_set())
    assert len(one.predictor.calls) == 2


def test_the_predictor_gets_images_and_todays_calibration(setup):
    one = setup(always_run=True)
    bench = one.ready()
    bench.send_set()
    assert bench.wait(lambda: one.predictor.calls)
    images, intrinsics, base_from_camera, sizes = one.predictor.calls[-1]
    assert sizes == [SIZE] * 6 and decode(bytes(images[0])).shape == (SIZE[1], SIZE[0], 3)
    np.testing.assert_array_equal(intrinsics[0], [[80, 0, 80], [0, 80, 45], [0, 0, 1]])
    for camera, matrix in zip(CAMERAS, base_from_camera, strict=True):
        y = side_m(camera)
        np.testing.assert_allclose(matrix @ [0, 0, 10, 1], [10, y, 1.5, 1], atol=1e-12)  # ahead is x of base_link
        np.testing.assert_allclose(matrix @ [-1, 0, 0, 1], [0, y + 1, 1.5, 1], atol=1e-12)  # left is y

    bench.send_calibration(("CAM_FRONT",), focal=99.0)
    bench.send_mountings(height_m=1.8)
    front = one.mapping._inputs["CAM_FRONT"]
    assert bench.wait(lambda: front.model.intrinsics[0, 0] == 99.0)
    assert bench.wait(lambda: one.mapping._transforms.lookup("base_link", "cam_back_right_optical")[2, 3] == 1.8)
    calls = len(one.predictor.calls)
    bench.send_set()
    assert bench.wait(lambda: len(one.predictor.calls) > calls)
    _, intrinsics, base_from_camera, _ = one.predictor.calls[-1]
    assert [k[0, 0] for k in intrinsics] == [99.0 if camera == "CAM_FRONT" else 80.0 for camera in CAMERAS]
    np.testing.assert_allclose(base_from_camera[:, 2, 3], 1.8)


def test_a_distorted_camera_is_straightened(setup):
    one = setup(always_run=True)
    bench = one.ready()
    bench.send_calibration(("CAM_BACK",), d=[-0.3, 0.1, 0.0, 0.0, 0.0])
    assert bench.wait(lambda: "undistorted here (plumb_bob)" in bench.status["student_node: CAM_BACK"].message)
    calls = len(one.predictor.calls)
    bench.send_set()
    assert bench.wait(lambda: len(one.predictor.calls) > calls)
    images, intrinsics, _, sizes = one.predictor.calls[-1]
    back = CAMERAS.index("CAM_BACK")
    assert isinstance(images[back], np.ndarray) and images[back].shape == (45, 80, 3) and sizes[back] == (80, 45)
    np.testing.assert_allclose(intrinsics[back], [[40, 0, 39.75], [0, 40, 22.25], [0, 0, 1]])
    assert isinstance(images[0], memoryview)


def test_a_rectified_image_is_seen_through_p_and_r(setup):
    one = setup(always_run=True, rectified="true")
    bench = one.ready()
    half = np.sqrt(0.5)
    r = [half, -half, 0.0, half, half, 0.0, 0.0, 0.0, 1.0]  # the rectified camera is rolled by 45 degrees
    p = np.array([70.0, 0, 79, 0, 0, 70, 44, 0, 0, 0, 1, 0])
    bench.send_calibration(("CAM_BACK",), d=[-0.3, 0.1, 0.0, 0.0, 0.0], r=r, p=p)
    assert bench.wait(lambda: one.mapping._inputs["CAM_BACK"].model.intrinsics[0, 0] == 70)
    calls = len(one.predictor.calls)
    bench.send_set()
    assert bench.wait(lambda: len(one.predictor.calls) > calls)
    images, intrinsics, base_from_camera, sizes = one.predictor.calls[-1]
    back = CAMERAS.index("CAM_BACK")
    assert isinstance(images[back], memoryview) and sizes[back] == SIZE  # not undistorted a second time
    np.testing.assert_array_equal(intrinsics[back], np.reshape(p, (3, 4))[:, :3])
    ray = base_from_camera[back] @ [10 * half, 10 * half, 0, 1]
    np.testing.assert_allclose(ray, [0, side_m("CAM_BACK") - 10, 1.5, 1], atol=1e-12)
    np.testing.assert_allclose(base_from_camera[0] @ [10, 0, 0, 1], [0, side_m(CAMERAS[0]) - 10, 1.5, 1], atol=1e-12)


def test_the_cameras_of_a_rig_file_are_read_from_their_topics_with_what_it_says_of_them(setup, tmp_path):
    (tmp_path / "rig.yaml").write_text("""
image: /sensing/{name}/image_raw/compressed
cameras:
  front:
  left: {frame: front_optical, mask: [[0, 80], [159, 80], [159, 89], [0, 89]]}
  rear:
    image: /rear_driver/image
    calibration: {size: [160, 90], K: [70, 71, 80, 45]}
    base_from_camera: {xyz: [-1, 0, 2], yaw_pitch_roll_deg: [180, 0, 0]}
""")
    one = setup(rig_file=tmp_path / "rig.yaml", always_run=True)
    bench = one.bench
    senders = [*bench.images.values(), *bench.infos.values(), bench.tf_static]
    assert list(bench.infos) == ["front", "left"]
    assert bench.wait(lambda: all(sender.get_subscription_count() for sender in senders))
    bench.send_calibration()
    bench.tf_static.publish(TFMessage(transforms=[mounting("front", 1.5)]))
    bench.send_set()
    assert bench.wait(lambda: one.predictor.calls)
    images, intrinsics, base_from_camera, _ = one.predictor.calls[-1]
    np.testing.assert_array_equal(images[2], image())  # raw
    assert [k[0, 0] for k in intrinsics] == [80, 80, 70]
    np.testing.assert_array_equal(base_from_camera[1], base_from_camera[0])  # by the frame of the file
    np.testing.assert_allclose(base_from_camera[2] @ [0, 0, 10, 1], [-11, 0, 2, 1], atol=1e-12)
    front, left, rear = one.predictor.masks
    assert front is None and rear is None and left[:80].all() and not left[80:].any()
    assert bench.wait(lambda: bench.status)
    assert bench.wait(lambda: "own vehicle masked (11 %" in bench.status["student_node: left"].message)
    assert "calibration of the rig file" in bench.status["student_node: rear"].message


def test_callbacks_go_on_while_the_network_works_and_the_newest_set_wins(setup):
    one = setup()
    bench = one.listened()
    one.predictor.go_on.clear()
    first = bench.send_set()
    assert bench.wait(lambda: len(one.predictor.calls) == 1)
    formed = bench.value("sets formed")
    later = [bench.send_set() for _ in range(4)]
    assert bench.wait(lambda: bench.value("sets formed") >= formed + 4)  # while the network is still at the first
    assert not bench.maps
    one.predictor.go_on.set()
    assert heard(bench, later[-1])
    assert bench.mapped(first) and not any(bench.mapped(stamp) for stamp in later[:-1])
    assert bench.wait(lambda: bench.value("dropped: overtaken by a newer set while the network was busy") == 3)


def test_overlapped_the_next_set_is_decoded_meanwhile_and_no_further(setup):
    one = setup(overlap=True)
    bench = one.listened()
    one.predictor.go_on.clear()
    first = bench.send_set()
    assert bench.wait(lambda: len(one.predictor.calls) == 1)
    second = bench.send_set()
    assert bench.wait(lambda: len(one.predictor.calls) == 2)  # while the network is still at the first
    later = [bench.send_set() for _ in range(3)]
    assert bench.wait(lambda: bench.value("dropped: overtaken by a newer set while the network was busy") == 2)
    assert len(one.predictor.calls) == 2 and not bench.maps
    one.predictor.go_on.set()
    assert heard(bench, later[-1])
    assert bench.mapped(first) and bench.mapped(second) and not any(bench.mapped(stamp) for stamp in later[:-1])


def test_ids_are_stable_vanished_markers_are_deleted_and_weak_elements_left_out(setup):
    one = setup(score_threshold=0.3)
    bench = one.listened()
    one.predictor.elements = [line(0.0), line(4.0), line(8.0, score=0.2)]
    assert heard(bench, bench.send_set())
    one.predictor.elements = [line(4.1)]
    assert heard(bench, bench.send_set())
    first, second = ([(e.id, round(e.points[0].y)) for e in m.elements] for m in bench.maps[-2:])
    assert [y for _, y in first] == [0, 4] and second == [first[1]]
    assert bench.wait(lambda: len(bench.markers) >= 2)
    actions = [(m.action, m.id) for m in bench.markers[-1].markers]
    assert actions == [(2, first[0][0]), (0, first[1][0])]  # DELETE, ADD
    assert one.node.set_parameters([Parameter("score_threshold", value=0.95)])[0].successful
    assert heard(bench, bench.send_set()) and bench.maps[-1].elements == []


def test_a_network_that_fails_is_counted_and_the_next_set_goes_on(setup):
    one = setup()
    bench = one.listened()
    one.predictor.error = RuntimeError("CUDA out of memory")
    failed = bench.send_set()
    assert bench.wait(lambda: bench.value("dropped: prediction failed: RuntimeError") == 1)
    one.predictor.error = None
    assert heard(bench, bench.send_set()) and not bench.mapped(failed)


def test_max_rate_holds_back_sets(setup):
    one = setup(max_rate=0.5, always_run=True)
    bench = one.ready()
    for _ in range(5):
        bench.send_set()
    assert bench.wait(lambda: bench.value("dropped: max_rate reached") >= 4)
    assert len(one.predictor.calls) == 1


def test_raw_images_arrive_and_bad_ones_are_counted(setup):
    one = setup(transport="raw")
    bench = one.listened()
    good = bench.send_set()
    assert heard(bench, good)
    image = one.predictor.calls[-1][0][0]
    assert isinstance(image, np.ndarray) and image.shape == (SIZE[1], SIZE[0], 3)
    for changes, kind in (
        ({"encoding": "32FC1"}, "encoding CAM_BACK"),
        ({"step": 3}, "layout CAM_BACK"),
        ({"data": raw("CAM_BACK", 0).data[:-1]}, "layout CAM_BACK"),
        ({"width": 80, "height": 45, "step": 240}, "size CAM_BACK"),
    ):
        before = bench.value(f"dropped: {kind}")
        bad = bench.send_set({"CAM_BACK": raw("CAM_BACK", bench.stamp_ns + 100_000_000, **changes)})
        assert bench.wait(lambda kind=kind, before=before: bench.value(f"dropped: {kind}") == before + 1), kind
        assert heard(bench, bench.send_set()) and not bench.mapped(bad)


def test_publishers_that_offer_only_best_effort_are_received(setup):
    one = setup(reliable=False)
    assert one.bench.wait(lambda: all(one.mapping._inputs[camera].qos_note for camera in CAMERAS))
    bench = one.listened()
    assert heard(bench, bench.send_set())
    assert "best effort" in bench.status["student_node: CAM_BACK"].message


def test_a_forced_reliability_that_does_not_fit_is_told(setup):
    bench = setup(reliable=False, reliability="reliable").bench
    assert bench.wait(lambda: bench.value("dropped: incompatible QoS CAM_BACK") >= 1)
    assert "set the parameter reliability to auto" in bench.status["student_node: CAM_BACK"].message


def test_the_wrong_transport_is_told_with_the_remedy(setup):
    one = setup(image_transport="raw")

    def message() -> str:
        status = one.bench.status.get("student_node: CAM_FRONT")
        return status.message if status else ""

    hint = "/camera/cam_front/image_raw has no publisher; /camera/cam_front/image_raw/compressed has one"
    assert one.bench.wait(lambda: hint in message()), message()
    assert "set image_transport to compressed" in message()


def test_an_image_without_frame_is_told(setup):
    bench = setup(always_run=True).ready()
    nameless = compressed("CAM_BACK", bench.stamp_ns + 100_000_000)
    nameless.header.frame_id = ""
    bench.send_set({"CAM_BACK": nameless})
    assert bench.wait(lambda: "must name its optical frame" in bench.status["student_node: CAM_BACK"].message)
