"""Foxglove's layout: on the left the cameras with the map drawn in, on the right the map from above, or in a second tab
the street of map_builder, and below it the latency of each stage, the number of elements and diagnostics.
"""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mapkd_core.cameras.topics import image_type
from mapkd_ros import topics
from mapkd_ros.views.shown import Shown, ShownCamera

STAGES = ("wait", "convert", "decode", "prepare", "network", "vectorize", "messages")
"""Of the node, in the order of VectorMap.stage_latency_ms: a plot knows its curves by their place."""
_MAP, _STREET, _TABS = "3D!map", "3D!street", "Tab!above"
_STATUS, _LATENCY, _ELEMENTS = "DiagnosticSummary!status", "Plot!latency", "Plot!elements"
_HIDDEN = {"visible": False}
"""Not subscribed to until somebody shows it: some topics are made only while they are wanted."""


def foxglove_layout(view: Shown) -> str:
    """The text of a layout file to import."""
    images = {f"Image!{camera.title}": _image(camera, view) for camera in view.cameras}
    rows = [_split("row", [f"Image!{camera.title}" for camera in row]) for row in (view.front, view.back) if row]
    layout = {
        "configById": {
            **images,
            _MAP: _from_above(view, "map from above", 70, turns=True),
            _STREET: _from_above(view, "street of map_builder", 250, turns=False),
            _TABS: {
                "activeTabIdx": 0,
                "tabs": [{"title": "vehicle", "layout": _MAP}, {"title": "street", "layout": _STREET}],
            },
            _LATENCY: _plot(
                "milliseconds by stage",
                {name: f"{view.vector_map}.stage_latency_ms[{place}]" for place, name in enumerate(STAGES)},
            ),
            _ELEMENTS: _plot(
                "elements",
                {"vehicle": f"{view.vector_map}.elements.length", "street": f"{view.local_map}.elements.length"},
            ),
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
            "second": {
                "direction": "column",
                "first": _TABS,
                "second": _split("row", [_LATENCY, _ELEMENTS, _STATUS]),
                "splitPercentage": 72,
            },
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


def _plot(title: str, curves: Mapping[str, str]) -> dict[str, Any]:
    """Curves by their label and message path, over the last half minute."""
    return {
        "foxglovePanelTitle": title,
        "paths": [
            {"value": path, "label": label, "enabled": True, "timestampMethod": "receiveTime", "showLine": True}
            for label, path in curves.items()
        ],
        "showXAxisLabels": True,
        "showYAxisLabels": True,
        "showLegend": True,
        "legendDisplay": "floating",
        "showPlotValuesInLegend": True,
        "isSynced": True,
        "xAxisVal": "timestamp",
        "followingViewWidth": 30,
    }


def _from_above(view: Shown, title: str, distance_m: float, turns: bool) -> dict[str, Any]:
    """The map from above, over the vehicle; it `turns` with that, or keeps north above."""
    return {
        "foxglovePanelTitle": title,
        "followTf": view.base_frame,
        "followMode": "follow-pose" if turns else "follow-position",
        "cameraState": {
            "perspective": False,
            "distance": distance_m,
            "phi": 0,
            "thetaOffset": 90 if turns else 0,
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
            **dict.fromkeys(view.occupancy_grids, _HIDDEN),
            view.lidar: {**_HIDDEN, "colorField": "intensity", "colorMode": "colormap", "pointSize": 2},
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
