"""Cameras of a bag, guessed from its topics."""
import pytest

from mapkd_core.bags.bag_rig import guessed_rig
from mapkd_core.bags.reader import BagTopic
from mapkd_core.schema import FileFault
from mapkd_core.types import CAMERAS

JPEG, RAW, INFO = (f"sensor_msgs/msg/{name}" for name in ("CompressedImage", "Image", "CameraInfo"))


def topics(**kinds):
    return [BagTopic(name, kind, "cdr", count=3) for kind, names in kinds.items() for name in names]


def guess(images, infos, kind=JPEG):
    notes = []
    rig = guessed_rig(topics(**{kind: images, INFO: infos}), notes.append)
    return rig, notes


def test_nuscenes_names_come_in_their_order_whatever_the_namespace():
    names = sorted(name.lower() for name in CAMERAS)
    images = [f"/car/camera/{name}/image_raw/compressed" for name in names]
    rig, notes = guess(images, [f"/car/camera/{name}/camera_info" for name in names])
    assert rig.names == CAMERAS and not notes
    front = rig.cameras[1]
    assert (front.image, front.camera_info, front.image_transport) == (
        "/car/camera/cam_front/image_raw/compressed", "/car/camera/cam_front/camera_info", "compressed",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("/sensing/camera/{}/image_raw", ("left", "right", "top")),
        ("/{}/camera/image", ("left", "right")),
        ("/rig/{}/color/image_rect_color", ("a", "b")),
        ("/{}/image", ("only",)),
    ],
)
def test_cameras_are_called_by_what_tells_their_topics_apart(pattern, names):
    images = [pattern.format(name) for name in names]
    rig, _ = guess(images, [image.rpartition("/")[0] + "/camera_info" for image in images], RAW)
    assert rig.names == names
    assert {camera.image_transport for camera in rig.cameras} == {"raw"}


def test_of_one_camera_one_topic_is_taken_and_what_shows_no_colours_is_not():
    notes = []
    rig = guessed_rig(
        topics(**{
            JPEG: ["/front/image_rect/compressed", "/front/image_raw/compressed", "/alone/image/compressed"],
            RAW: ["/front/image_raw", "/front_depth/image_raw"],
            INFO: ["/front/camera_info", "/front_depth/camera_info"],
        }),
        notes.append,
    )  # fmt: skip
    assert [camera.image for camera in rig.cameras] == ["/front/image_raw/compressed"]
    (note,) = notes
    left = ("/front/image_rect/compressed", "/alone/image/compressed", "/front/image_raw,", "/front_depth/image_raw")
    assert all(name in note for name in left)


def test_a_bag_without_cameras_names_the_image_topics_that_it_has():
    with pytest.raises(FileFault, match=r"image topics here: /x/image\. Give a rig file that names them: --rig FILE"):
        guess(["/x/image"], ["/y/camera_info"])
    empty = [BagTopic("/x/image", RAW, "cdr"), BagTopic("/x/camera_info", INFO, "cdr", count=1)]
    with pytest.raises(FileFault, match="image topics here: none"):
        guessed_rig(empty, print)
