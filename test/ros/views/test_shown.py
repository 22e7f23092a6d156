"""Names of a launch's topics, and which camera belongs into which row."""
from __future__ import annotations

from mapkd_core.cameras.rig import CameraRig, RigCamera, regular_rig
from mapkd_core.types import CAMERAS
from mapkd_ros.views.shown import shown


def test_topics_follow_the_namespace_and_absolute_ones_do_not():
    rig = CameraRig((RigCamera("Nose", "/driver/nose/image", "nose/camera_info", "raw"),))
    view = shown(rig, "/ego/", "base_footprint", "mapper")
    (camera,) = view.cameras
    assert (camera.title, camera.image, camera.camera_info) == ("nose", "/driver/nose/image", "/ego/nose/camera_info")
    assert (view.markers, view.lidar) == ("/ego/mapper/markers", "/ego/lidar_top/points")
    assert view.base_frame == "base_footprint"
    assert shown(rig).markers == "/student_node/markers" and shown(rig).cameras[0].camera_info == "/nose/camera_info"


def test_cameras_stand_as_they_look():
    view = shown(regular_rig(sorted(CAMERAS)))
    assert [camera.title for camera in view.front] == ["cam_front_left", "cam_front", "cam_front_right"]
    assert [camera.title for camera in view.back] == ["cam_back_left", "cam_back", "cam_back_right"]
    nameless = shown(regular_rig(["c0", "c1", "c2"]))
    assert [camera.title for camera in nameless.front] == ["c0", "c1"] and len(nameless.back) == 1
