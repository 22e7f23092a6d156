"""Cameras that fall silent and return, over real DDS: maps go on, and say which cameras they were made of."""
from __future__ import annotations

import array

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")

from camera_bench import SIZE, CameraBench, compressed, header, jpeg
from node_bench import Setup, setups
from video_stream import packets, shades

from mapkd_core.types import CAMERAS

pytestmark = pytest.mark.ros
OK, WARN = b"\x00", b"\x01"


@pytest.fixture
def setup(private_domain):
    with setups() as make:
        yield make


def until_map_of(bench: CameraBench, cameras: list[str], silent: list[str], patience: int = 400) -> object:
    """Sends sets without the silent cameras until there is a map of exactly these cameras."""
    for _ in range(patience):
        bench.send_set(dict.fromkeys(silent))
        bench.wait(lambda: False, 0.01)
        if bench.maps and bench.maps[-1].camera_names == cameras:
            return bench.maps[-1]
    raise AssertionError(f"no map of {cameras}; the node says {bench.values()}")


def level(bench: CameraBench, name: str) -> bytes:
    return bench.status[f"student_node: {name}"].level


@pytest.mark.parametrize("silent", ["CAM_BACK", "CAM_FRONT"], ids=["another", "the anchor"])
def test_maps_go_on_without_a_silent_camera_until_it_returns(setup, silent):
    one: Setup = setup(camera_timeout=0.4)
    bench = one.listened()
    for place, camera in enumerate(CAMERAS):
        bench.send_calibration([camera], focal=80.0 + place)
    inputs = one.mapping._inputs
    assert bench.wait(lambda: all(inputs[c].model.intrinsics[0, 0] == 80 + i for i, c in enumerate(CAMERAS)))
    until_map_of(bench, list(CAMERAS), [])
    rest = [camera for camera in CAMERAS if camera != silent]
    message = until_map_of(bench, rest, [silent])
    assert message.missing_cameras == [silent] and len(message.camera_ages) == len(message.source_stamps) == 5
    images, intrinsics, base_from_camera, sizes = one.predictor.calls[-1]
    assert len(images) == len(base_from_camera) == 5 and sizes == [SIZE] * 5
    np.testing.assert_array_equal(intrinsics[:, 0, 0], [80 + i for i, c in enumerate(CAMERAS) if c != silent])
    stamp_ns = bench.send_set({silent: None})
    assert bench.wait(lambda: bench.mapped(stamp_ns))  # every set of the others, at once
    assert bench.wait(lambda: (level(bench, "map"), level(bench, silent)) == (WARN, WARN))
    assert f"without {silent}: " in bench.status["student_node: map"].message
    message = until_map_of(bench, list(CAMERAS), [])
    assert message.missing_cameras == []
    assert bench.wait(lambda: level(bench, "map") == OK)


def test_a_camera_that_never_came_is_left_out_and_one_that_is_required_is_not(setup):
    one: Setup = setup(camera_timeout=0.3, min_cameras=5, required_cameras=["CAM_FRONT"])
    bench = one.bench
    senders = [*bench.images.values(), *bench.infos.values(), bench.tf_static]
    assert bench.wait(lambda: all(sender.get_subscription_count() for sender in senders))
    bench.send_calibration()
    bench.send_mountings()
    bench.listen()
    until_map_of(bench, [camera for camera in CAMERAS if camera != "CAM_BACK"], ["CAM_BACK"])
    for silent, reason in (
        (["CAM_BACK", "CAM_BACK_LEFT"], "4 cameras send, min_cameras is 5"),
        (["CAM_FRONT"], "CAM_FRONT: named in required_cameras"),
    ):
        until_map_of(bench, list(CAMERAS), [])
        for _ in range(12):
            bench.send_set(dict.fromkeys(silent))
            bench.wait(lambda: False, 0.05)
        assert one.mapping._watch.reason_to_wait == reason
        assert bench.maps[-1].camera_names == list(CAMERAS) and one.mapping._synchronizer.expected == CAMERAS


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("no camera_info", "images come, but /camera/cam_back/camera_info has sent no usable calibration"),
        ("no transform", "no message names the frame 'elsewhere'"),
        ("cut jpeg", "its images cannot be used: "),
        ("no jpeg", "its images cannot be used: "),
        ("size", "its images cannot be used: image is 80x44, its camera_info says 160x90"),
        ("zero stamps", "its images cannot be used: header.stamp is 0"),
        ("same stamps", "its images cannot be used: header.stamp stays the same"),
        ("another clock", "s behind the others': another clock; set the clocks by PTP"),
    ],
)
def test_a_camera_whose_images_cannot_be_used_counts_as_silent_until_it_is_mended(setup, fault, told):
    """From the start, before there was any map."""
    one: Setup = setup(camera_timeout=0.4, diagnostics_period=0.1)
    one.predictor.decodes = True
    bench = one.bench
    senders = [*bench.images.values(), *bench.infos.values(), bench.tf_static]
    assert bench.wait(lambda: all(sender.get_subscription_count() for sender in senders))
    bench.send_calibration([camera for camera in CAMERAS if fault != "no camera_info" or camera != "CAM_BACK"])
    bench.send_mountings()
    bench.listen()

    def broken(stamp_ns: int) -> object:
        if fault == "cut jpeg":
            return compressed("CAM_BACK", stamp_ns, jpeg()[:300])
        if fault == "no jpeg":
            return compressed("CAM_BACK", stamp_ns, b"not an image")
        if fault == "size":
            return compressed("CAM_BACK", stamp_ns, jpeg((80, 44)))
        wrong_ns = {"zero stamps": 0, "same stamps": 7, "another clock": stamp_ns // 2}
        message = compressed("CAM_BACK", wrong_ns.get(fault, stamp_ns))
        if fault == "no transform":
            message.header.frame_id = "elsewhere"
        return message

    rest = [camera for camera in CAMERAS if camera != "CAM_BACK"]
    for _ in range(400):
        bench.send_set({"CAM_BACK": broken(bench.stamp_ns + 100_000_000)})
        if bench.maps and bench.maps[-1].camera_names == rest:
            break
    assert bench.maps and bench.maps[-1].camera_names == rest, bench.values()
    assert bench.maps[-1].missing_cameras == ["CAM_BACK"]
    for _ in range(5):
        bench.send_set({"CAM_BACK": broken(bench.stamp_ns + 100_000_000)})
    warned = bench.wait(
        lambda: told in bench.message and level(bench, "map") == level(bench, "CAM_BACK") == WARN, 10
    )
    assert warned, bench.message
    if fault == "no camera_info":
        bench.send_calibration(["CAM_BACK"])
    assert until_map_of(bench, list(CAMERAS), []).missing_cameras == []
    assert bench.wait(lambda: level(bench, "map") == OK), bench.message


def test_of_one_set_all_broken_images_are_found_at_once(setup):
    one: Setup = setup(camera_timeout=0.6)
    one.predictor.decodes = True
    bench = one.listened()
    until_map_of(bench, list(CAMERAS), [])
    broken = [camera for camera in CAMERAS if camera in ("CAM_FRONT", "CAM_BACK", "CAM_BACK_LEFT")]
    cut = {camera: compressed(camera, bench.stamp_ns + 100_000_000, jpeg()[:300]) for camera in broken}
    bench.send_set(cut)
    assert bench.wait(lambda: [c for c in CAMERAS if one.mapping._usable.reason(c)] == broken, 5)
    assert until_map_of(bench, [c for c in CAMERAS if c not in broken], broken).missing_cameras == broken


def test_a_camera_may_send_a_video(setup, tmp_path):
    pytest.importorskip("av", reason="needs PyAV: pip install '.[video]'")
    messages = pytest.importorskip("ffmpeg_image_transport_msgs.msg", reason="needs ffmpeg_image_transport_msgs")
    images = shades(8, SIZE)
    stream = packets(images)
    (tmp_path / "rig.yaml").write_text("cameras: {front: {image: front/image/ffmpeg}, rear: {image: rear/image}}")
    one: Setup = setup(rig_file=tmp_path / "rig.yaml", always_run=True)
    bench = one.bench
    senders = [*bench.images.values(), *bench.infos.values(), bench.tf_static]
    assert bench.wait(lambda: all(sender.get_subscription_count() for sender in senders))
    bench.send_calibration()
    bench.send_mountings()
    for place, (data, keyframe, _) in enumerate(stream):
        message = messages.FFMPEGPacket(
            header=header("front", bench.stamp_ns + 100_000_000), width=SIZE[0], height=SIZE[1], encoding="libx264",
            flags=int(keyframe), data=array.array("B", data),
        )  # fmt: skip
        bench.send_set({"front": message})
        assert bench.wait(lambda place=place: len(one.predictor.calls) > place), one.mapping._synchronizer.last_reason
        np.testing.assert_allclose(one.predictor.calls[-1][0][0], images[place], atol=4)
