"""Foxglove's layout: on the left the cameras with the map drawn in, on the right the map from above and diagnostics."""
from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mapkd_core.cameras.topics import image_type
from mapkd_ros import topics
from mapkd_ros.views.shown import Shown, ShownCamera

_MAP, _STATUS = "3D!map", "DiagnosticSummary!status"


def foxglove_layout(view: Shown) -> str:
    """The text of a layout file to import."""
    images = {f"Image!{camera.title}": _image(camera, view) for camera in view.cameras}
    rows = [_split("row", [f"Image!{camera.title}" for camera in row]) for row in (view.front, view.back) if row]
    layout = {
        "configById": {
            **images,
            _MAP: _map(view),
            _STATUS: {
                "minLevel": 0,
                "pinnedIds": [],
                "hardwareIdFilter": "",
                "topicToRender": topics.DIAGNOSTICS.name,
                "sortByLevel": True,
                "foxglovePanelTitle": "diagnostics",
            },
        },
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": {
            "direction": "row",
            "first": _split("column", rows),
            "second": {"direction": "column", "first": _MAP, "second": _STATUS, "splitPercentage": 78},
            "splitPercentage": 66,
        },
    }
    return json.dumps(layout, indent=2) + "\n"


def _split(direction: str, parts: Sequence[Any]) -> Any:
    """Parts of equal size side by side; Foxglove splits in two only."""
    if len(parts) == 1:
        return parts[0]
    share = round(100 / len(parts), 1) if 100 % len(parts) else 100 // len(parts)
    rest = _split(direction, parts[1:])
    return {"direction": direction, "first": parts[0], "second": rest, "splitPercentage": share}


def _image(camera: ShownCamera, view: Shown) -> dict[str, Any]:
    return {
        "imageMode": {
            "imageTopic": camera.image,
            "calibrationTopic": camera.camera_info,
            "imageSchemaName": image_type(camera.image_transport),
        },
        "topics": {view.markers: {"visible": True}},
        "layers": {},
        "cameraState": {},
        "scene": {"transforms": {"labelSize": 0}},
        "followMode": "follow-pose",
        "foxglovePanelTitle": camera.title,
    }


def _map(view: Shown) -> dict[str, Any]:
    return {
        "foxglovePanelTitle": "map from above",
        "followTf": view.base_frame,
        "followMode": "follow-pose",
        "cameraState": {
            "perspective": False,
            "distance": 70,
            "phi": 0,
            "thetaOffset": 90,
            "targetOffset": [0, 0, 0],
            "target": [0, 0, 0],
            "targetOrientation": [0, 0, 0, 1],
            "fovy": 45,
            "near": 0.5,
            "far": 5000,
        },
        "scene": {"backgroundColor": "#181a1e", "transforms": {"showLabel": False, "axisScale": 1}},
        "topics": {
            view.markers: {"visible": True},
            view.map_markers: {"visible": True},
            view.lidar: {"visible": False, "colorField": "intensity", "colorMode": "colormap", "pointSize": 2},
            "/tf": {"visible": True},
            "/tf_static": {"visible": True},
        },
        "layers": {
            "grid": {
                "layerId": "foxglove.Grid",
                "instanceId": "grid",
                "label": "grid, 5 m",
                "visible": True,
                "frameId": view.base_frame,
                "size": 60,
                "divisions": 12,
                "color": "#5a5a62ff",
                "lineWidth": 1,
                "position": [0, 0, 0],
                "rotation": [0, 0, 0],
                "order": 1,
            }
        },
        "publish": {},
        "imageMode": {},
    }
