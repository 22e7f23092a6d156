"""Sets of images from bags as drivers record them, with the calibration that holds for them."""
from types import SimpleNamespace

import pytest

pytest.importorskip("rosbags", reason="rosbags has the message classes")
import numpy as np
from camera_bags import BEGIN_NS, PERIOD_NS, PLAIN, SIZE, K, compressed, drive, info, jpeg, raw, transforms, write

from mapkd_core.bags.camera_sets import CameraSets, thinned
from mapkd_core.bags.reader import BagReader
from mapkd_core.cameras.rig_file import load_rig
from mapkd_core.messages.classes import header_of
from mapkd_core.schema import FileFault


def sets_of(path, rig=None, **options):
    """All sets, and their maker."""
    with BagReader(path) as bag:
        maker = CameraSets(bag, rig, note=lambda line: None, **options)
        return list(maker.sets()), maker


@pytest.mark.parametrize("pattern", ["/{}/image_raw/compressed", "/{}/image_raw"])
def test_every_round_of_images_is_a_set_with_its_calibration(tmp_path, pattern):
    found, maker = sets_of(write(tmp_path / "a.mcap", drive(("left", "right", "top"), pattern=pattern)))
    assert [one.stamp_ns for one in found] == [BEGIN_NS + k * PERIOD_NS for k in range(5)]
    one = found[2]
    assert one.cameras == ("left", "right", "top") and one.log_ns == max(one.stamps_ns)
    assert [stamp - one.stamp_ns for stamp in one.stamps_ns] == [0, 2_000_000, 4_000_000]
    assert one.base_from_camera.shape == (3, 4, 4) and one.base_from_camera[1, :3, 3].tolist() == [1, 0, 1.5]
    assert {model.size for model in one.models} == {SIZE} and one.models[0].intrinsics[0, 0] == 50
    assert one.masks == (None, None, None) and not maker.not_formed()
    if pattern.endswith("compressed"):
        assert bytes(one.sources[0]) == jpeg().tobytes()
    else:
        assert one.sources[0].shape == (36, 64, 3)
    assert maker.anchor_images == 5 and maker.sizes == dict.fromkeys(one.cameras, SIZE)


def test_cameras_too_far_apart_are_told_with_the_limit(tmp_path):
    messages = drive(("left", "right"), count=6)
    for _, topic, message in messages:
        if topic.startswith("/right/image"):
            message.header.stamp.nanosec += PERIOD_NS // 2
    found, maker = sets_of(write(tmp_path / "a.mcap", messages), window_ns=10_000_000)
    assert not found
    assert any(line.endswith(": more than 10 ms from the other cameras' nearest images") for line in maker.not_formed())


def test_calibration_that_comes_once_serves_all_images_even_those_before(tmp_path):
    names = ("left", "right")
    images = [message for message in drive(names) if "image" in message[1]]
    late_ns = BEGIN_NS + 3 * PERIOD_NS + 50_000_000
    once = [(late_ns, f"/{name}/camera_info", info(late_ns, name)) for name in names]
    late = [*once, (late_ns, "/tf_static", transforms(late_ns, *names))]
    found, maker = sets_of(write(tmp_path / "a.mcap", sorted(images + late, key=lambda message: message[0])))
    assert len(found) == 5 and not maker.faults


def test_each_drive_of_a_bag_has_its_own_rig(tmp_path):
    messages = drive(("left", "right"), count=6)
    at_ns = BEGIN_NS + 3 * PERIOD_NS - 1
    changed = transforms(at_ns, "left", "right")
    for placed in changed.transforms:
        placed.transform.translation.z = 3.0
    twice = K * [2, 2, 2, 2, 2, 2, 1, 1, 1]
    new = [(at_ns, f"/{name}/camera_info", info(at_ns, name, k=twice)) for name in ("left", "right")]
    kept = [m for m in messages if not (m[0] > at_ns and m[1].endswith("camera_info"))]
    new += [(at_ns, "/tf_static", changed)]
    found, _ = sets_of(write(tmp_path / "a.mcap", sorted(kept + new, key=lambda message: message[0])))
    assert [one.base_from_camera[0, 2, 3] for one in found] == [1.5] * 3 + [3.0] * 3
    assert [one.models[1].intrinsics[0, 0] for one in found] == [50] * 3 + [100] * 3


def test_a_camera_that_dies_is_left_out_until_it_returns(tmp_path):
    names = ("left", "right")
    messages = [
        (time, topic, message) for time, topic, message in drive(names, count=60)
        if not (topic.startswith("/right/image") and BEGIN_NS + 10 * PERIOD_NS <= time < BEGIN_NS + 40 * PERIOD_NS)
    ]  # fmt: skip
    found, _ = sets_of(write(tmp_path / "a.mcap", messages))
    alone = [one for one in found if one.cameras == ("left",)]
    assert 15 <= len(alone) <= 22 and len(found) >= 45 and found[-1].cameras == names
    assert alone[0].base_from_camera.shape == (1, 4, 4)


def test_a_rig_file_names_topics_and_overrides_what_the_bag_says(tmp_path):
    messages = [m for m in drive(("left", "right")) if m[1] not in ("/tf_static", "/right/camera_info")]
    write(tmp_path / "a.mcap", messages)
    (tmp_path / "rig.yaml").write_text("""
cameras:
  L: {image: /left/image_raw/compressed, base_from_camera: {xyz: [0, 1, 2], yaw_pitch_roll_deg: [90, 0, 0]}}
  R:
    image: /right/image_raw/compressed
    calibration: {size: [64, 36], K: [40, 40, 32, 18]}
    base_from_camera: {xyz: [0, -1, 2], yaw_pitch_roll_deg: [-90, 0, 0]}
    mask: [[0, 30], [63, 30], [63, 35], [0, 35]]
""")
    found, _ = sets_of(tmp_path / "a.mcap", load_rig(tmp_path / "rig.yaml"))
    assert len(found) == 5 and found[0].cameras == ("L", "R")
    assert found[0].base_from_camera[:, 1, 3].tolist() == [1, -1] and found[0].models[1].intrinsics[0, 0] == 40
    assert found[0].masks[0] is None and not found[0].masks[1][32].any() and found[0].masks[1][:29].all()
    (tmp_path / "rig.yaml").write_text("cameras: {A: {image: /nowhere/image}}")
    with pytest.raises(FileFault, match=r"no messages of nowhere/image \(sensor_msgs/msg/Image\), nowhere/camera_info"):
        sets_of(tmp_path / "a.mcap", load_rig(tmp_path / "rig.yaml"))


def test_what_cannot_be_used_is_counted_by_reason_and_the_rest_goes_on(tmp_path):
    messages = drive(("left", "right"))
    junk_ns = BEGIN_NS + PERIOD_NS
    messages += [
        (junk_ns + 1, "/left/image_raw/compressed", ("sensor_msgs/msg/CompressedImage", b"\0\1\0\0junk")),
        (junk_ns + 2, "/left/image_raw/compressed", compressed(0, "left")),
        (junk_ns + 3, "/right/image_raw/compressed", compressed(junk_ns + 50_000_000, "right", jpeg()[:9])),
        (junk_ns + 4, "/right/camera_info", info(junk_ns, "right", size=(0, 0))),
        (junk_ns + 5, "/tf_static", ("tf2_msgs/msg/TFMessage", b"\0\1\0\0\xff\xff\xff\xff")),
    ]
    found, maker = sets_of(write(tmp_path / "a.mcap", sorted(messages, key=lambda message: message[0])))
    assert len(found) == 5
    reasons = "; ".join(maker.not_formed())
    for words in (
        "left: /left/image_raw/compressed: 8 bytes that are no sensor_msgs/msg/CompressedImage",
        "left: header.stamp is 0", "right: format 'jpeg': ", "/right/camera_info: camera_info says 0x0 pixels",
        "/tf_static: 8 bytes that are no tf2_msgs/msg/TFMessage",
    ):  # fmt: skip
        assert words in reasons


def test_images_without_calibration_or_of_another_size_make_no_set(tmp_path):
    messages = drive(("left", "right"))
    no_tf = [message for message in messages if message[1] != "/tf_static"]
    found, maker = sets_of(write(tmp_path / "a.mcap", no_tf))
    assert not found and "left: no transform base_link <- left: nothing has come on /tf_static" in str(maker.faults)
    assert "no transform base_link <- left" in maker.describe()[0]
    small = jpeg(9, (32, 18))
    other = [(t, n, compressed(t, "left", small) if n.startswith("/left/image") else m) for t, n, m in messages]
    found, maker = sets_of(write(tmp_path / "b.mcap", other))
    assert not found and "left: image is 32x18, its camera_info says 64x36" in str(maker.faults)


@pytest.mark.parametrize("fault", ["camera_info", "transform", "size", "clock", "stamp"])
def test_a_camera_that_sends_nothing_usable_is_left_out_as_a_silent_one(tmp_path, fault):
    names = ("left", "right", "rear")
    messages = []
    for at_ns, topic, message in drive(names, count=30):
        if topic == "/tf_static" and fault == "transform":
            message = transforms(at_ns, *names[:2])
        if topic == "/rear/camera_info" and fault == "camera_info":
            message = info(at_ns, "rear", k=np.zeros(9))
        if topic.startswith("/rear/image") and fault in ("size", "clock", "stamp"):
            stamp_ns = {"size": at_ns, "clock": at_ns - 10**12, "stamp": 0}[fault]
            message = compressed(stamp_ns, "rear", jpeg(9, (32, 18)) if fault == "size" else None)
        messages.append((at_ns, topic, message))
    found, maker = sets_of(write(tmp_path / "a.mcap", messages))
    assert len(found) >= 15 and {one.cameras for one in found} == {("left", "right")}
    told = {
        "camera_info": "rear: no usable camera_info until then: k is [0.0, ",
        "transform": "rear: no transform base_link <- rear",
        "size": "rear: image is 32x18", "clock": "rear: its stamps are 1000 s behind", "stamp": "rear: header.stamp is",
    }  # fmt: skip
    assert any(reason.startswith(told[fault]) for reason in maker.faults)


def test_doubtful_calibrations_and_cameras_are_described(tmp_path):
    messages = drive(("left", "right"))
    _, maker = sets_of(write(tmp_path / "a.mcap", messages))
    lines = maker.describe()
    assert lines[0] == "left: /left/image_raw/compressed, 64x36"
    assert any(line.startswith("left, right: ") for line in lines[2:])  # both sit in one place


def test_maps_are_thinned_by_time(tmp_path):
    path = write(tmp_path / "a.mcap", drive(("left",), count=10))
    with BagReader(path) as bag:
        kept = [one.stamp_ns for one in thinned(CameraSets(bag, note=str).sets(), 0.25)]
    assert kept == [BEGIN_NS + k * PERIOD_NS for k in (0, 3, 6, 9)]


def test_what_goes_back_in_time_is_kept():
    sets = [SimpleNamespace(stamp_ns=round(s * 1e9)) for s in (5.0, 5.1, 5.25, 2.0, 2.2, 2.25)]
    assert [one.stamp_ns / 1e9 for one in thinned(sets, 0.25)] == [5.0, 5.25, 2.0, 2.25]


def test_depth_images_are_refused_by_name(tmp_path):
    messages = [(t, n, raw(t, "left", "16UC1") if n == "/left/image_raw" else m)
                for t, n, m in drive(("left",), pattern="/{}/image_raw")]  # fmt: skip
    found, maker = sets_of(write(tmp_path / "a.mcap", messages))
    assert not found and "is depth or another measurement" in str(maker.faults)


def test_packets_of_a_video_are_images_by_the_definition_that_the_bag_brings(tmp_path, root):
    import video_stream
    from rosbags.typesys import get_types_from_msg

    from mapkd_core.cameras.topics import FFMPEG_PACKET

    text = (root / "test/underlay/ffmpeg_image_transport_msgs/msg/FFMPEGPacket.msg").read_text()
    types = PLAIN.types
    if FFMPEG_PACKET not in types.types:
        types.register(get_types_from_msg(text, FFMPEG_PACKET))
    messages = [m for m in drive(("left",), count=6) if "image" not in m[1]]
    for data, keyframe, place in video_stream.packets(video_stream.shades(6, SIZE)):
        at_ns = BEGIN_NS + place * PERIOD_NS
        packet = PLAIN(FFMPEG_PACKET)(
            header=header_of(PLAIN, at_ns, "left"), encoding="libx264", flags=int(keyframe),
            data=np.frombuffer(data, np.uint8),
        )  # fmt: skip
        messages.append((at_ns, "/left/image_raw/ffmpeg", packet))
    path = write(tmp_path / "a.mcap", sorted(messages, key=lambda message: message[0]))
    found, maker = sets_of(path)
    assert FFMPEG_PACKET in maker.messages.types.types and len(found) == 6
    grays = [float(one.sources[0].mean()) for one in found]
    assert grays == sorted(grays) and grays[0] == pytest.approx(20, abs=6) and found[0].sources[0].shape == (36, 64, 3)
