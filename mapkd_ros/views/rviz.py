"""RViz's config: the cameras that look ahead in a row above, the map in the middle, those that look back below."""
from __future__ import annotations

from typing import Any

import yaml

from mapkd_ros.views.shown import Shown, ShownCamera
from mapkd_ros.views.window import window_state

WINDOW = (1700, 1000)
"""Width and height in pixels."""
_HEAD = """# RViz: the cameras' images, the map's markers, a metre grid and the transforms. Compressed images need
# image_transport's plugin: apt install ros-$ROS_DISTRO-compressed-image-transport. Made by mapkd_ros/views; for another
# namespace, base frame or rig: python -m mapkd_ros.views --help, or rviz:=true of student.launch.py.
"""


def rviz_config(view: Shown) -> str:
    """The text of a .rviz file."""
    displays: list[dict[str, Any]] = [
        {
            "Class": "rviz_default_plugins/Grid",
            "Cell Size": 5,
            "Color": "90; 90; 98",
            "Enabled": True,
            "Name": "Grid, 5 m",
            "Plane": "XY",
            "Plane Cell Count": 12,
            "Reference Frame": view.base_frame,
            "Value": True,
        },
        {
            "Class": "rviz_default_plugins/TF",
            "Enabled": True,
            "Frame Timeout": 15,
            "Marker Scale": 1,
            "Name": "TF",
            "Show Arrows": False,
            "Show Axes": True,
            "Show Names": False,
            "Value": True,
        },
        {
            "Class": "rviz_default_plugins/MarkerArray",
            "Enabled": True,
            "Name": "Vector map",
            "Namespaces": {},
            "Topic": _topic(view.markers, "Reliable"),
            "Value": True,
        },
        {
            "Class": "rviz_default_plugins/MarkerArray",
            "Enabled": True,
            "Name": "Street map",
            "Namespaces": {},
            "Topic": _topic(view.map_markers, "Reliable"),
            "Value": True,
        },
        {
            "Class": "rviz_default_plugins/PointCloud2",
            "Color Transformer": "AxisColor",
            "Enabled": False,
            "Name": "LiDAR",
            "Position Transformer": "XYZ",
            "Size (Pixels)": 2,
            "Style": "Points",
            "Topic": _topic(view.lidar, "Best Effort"),
            "Value": False,
        },
        *(_image(camera) for camera in view.cameras),
        {
            "Class": "rviz_default_plugins/Image",
            "Enabled": False,
            "Name": "semantic_bev",
            "Topic": _topic(view.semantic_bev, "Reliable", depth=1),
            "Value": False,
        },
    ]
    above, below = ([camera.title for camera in row] for row in (view.front, view.back))
    docks = window_state(above, below, ("Displays", "Views"), WINDOW)
    config = {
        "Panels": [
            {"Class": "rviz_common/Displays", "Name": "Displays"},
            {"Class": "rviz_common/Views", "Name": "Views"},
        ],
        "Visualization Manager": {
            "Class": "",
            "Displays": displays,
            "Enabled": True,
            "Global Options": {
                "Background Color": "24; 26; 30",
                "Fixed Frame": view.base_frame,
                "Frame Rate": 30,
            },
            "Name": "root",
            "Tools": [
                {"Class": "rviz_default_plugins/Interact", "Hide Inactive Objects": True},
                {"Class": "rviz_default_plugins/MoveCamera"},
                {"Class": "rviz_default_plugins/Measure"},
            ],
            "Value": True,
            "Views": {"Current": _from_above(view.base_frame), "Saved": None},
        },
        "Window Geometry": {
            **{name: {"collapsed": False} for name in ("Displays", "Views", *above, *below)},
            "Height": WINDOW[1],
            "Hide Left Dock": False,
            "Hide Right Dock": False,
            "QMainWindow State": docks,
            "Width": WINDOW[0],
            "X": 60,
            "Y": 60,
        },
    }
    return _HEAD + yaml.safe_dump(config, sort_keys=False, width=100_000)


def _image(camera: ShownCamera) -> dict[str, Any]:
    return {
        "Class": "rviz_default_plugins/Image",
        "Enabled": True,
        "Name": camera.title,
        "Topic": _topic(camera.image, "Best Effort"),
        "Value": True,
    }


def _topic(name: str, reliability: str, depth: int = 5) -> dict[str, Any]:
    return {
        "Depth": depth,
        "Durability Policy": "Volatile",
        "History Policy": "Keep Last",
        "Reliability Policy": reliability,
        "Value": name,
    }


def _from_above(base_frame: str) -> dict[str, Any]:
    return {
        "Angle": -1.5707963,
        "Class": "rviz_default_plugins/TopDownOrtho",
        "Name": "From above, forward is up",
        "Scale": 14,
        "Target Frame": base_frame,
        "Value": "TopDownOrtho (rviz_default_plugins)",
        "X": 0,
        "Y": 0,
    }
