"""Moments of a drive in rerun's data model: what its viewer shows, or an .rrd file keeps. Needs rerun-sdk.

Entities: `drive` is the map's frame with its origin where a scene begins, `drive/vehicle` is `base_link` in it, below
that `predicted/CLASS` and `true/CLASS` as 3-D lines, `lidar`, and each camera with calibration and image; `drive/path`
is the way driven, `drive/street` a street map; `bev` holds the maps from above; `latency/STAGE` [ms] and
`elements/CLASS` are curves. Every value stands at its `time` and `frame`.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import rerun as rr
from numpy.typing import NDArray

from mapkd_core.draw import CLASS_COLORS, CLASS_NAMES, RgbImage, draw_bev
from mapkd_core.geometry import inverse, quaternion_from_rotation
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.moment import Moment, SeenCamera
from mapkd_core.predictor import PredictedMap
from mapkd_core.types import CLASSES, MapElement

APPLICATION = "mapkd_ros"
TIME, FRAME = "time", "frame"
"""Timelines: stamps, and the number of the moment."""
DRIVE, VEHICLE, PATH = "drive", "drive/vehicle", "drive/path"
PREDICTED, TRUE, LIDAR = f"{VEHICLE}/predicted", f"{VEHICLE}/true", f"{VEHICLE}/lidar"
STREET = f"{DRIVE}/street"
BEV, LATENCY, ELEMENTS = "bev", "latency", "elements"
LINE_RADIUS_M, TRUE_RADIUS_M, PATH_RADIUS_M, STREET_RADIUS_M = 0.09, 0.05, 0.12, 0.05
TRUE_COLOR, PATH_COLOR = (235, 235, 240), (120, 124, 134)
_STAGE_COLORS = ((86, 180, 233), (230, 159, 0), (204, 121, 167), (0, 158, 115), (240, 228, 66), (213, 94, 0))
_TOTAL_COLOR = (200, 204, 212)
_BELOW_M = 0.05
"""True lines lie a little below the ground: where they agree with the predicted ones, those are seen."""
_BEV_PIXELS_PER_M = 10.0
_JPEG_QUALITY = 88
_CAR_CENTER_M, _CAR_HALF_M = (1.1, 0.0, 0.75), (2.05, 0.9, 0.75)
_MOST_POINTS = 20_000


class RerunLog:
    """Writes moments to a recording, whatever that goes to; `image_width` is that of the cameras' images at most."""

    def __init__(self, recording: rr.RecordingStream, grid: BevGrid, image_width: int = 640) -> None:
        self.recording, self.grid, self.image_width = recording, grid, image_width
        self.moments = self.streets = 0
        self._stages: list[str] = []
        self._scene: str | None = None
        self._drive_from_map = np.eye(4)
        self._last_place: NDArray[np.float64] | None = None
        recording.log(DRIVE, rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        recording.log(
            f"{VEHICLE}/car", rr.Boxes3D(centers=[_CAR_CENTER_M], half_sizes=[_CAR_HALF_M], colors=[(214, 218, 226)]),
            static=True,
        )  # fmt: skip
        for label in CLASSES:
            line = rr.SeriesLines(colors=[CLASS_COLORS[label]], names=[CLASS_NAMES[label]])
            recording.log(f"{ELEMENTS}/{label}", line, static=True)

    def add(self, moment: Moment) -> None:
        """Logs a moment. Raises ValueError for an image that cannot be decoded."""
        images = [self._image(camera) for camera in moment.cameras]
        self.at(moment.stamp_ns)
        self.place(moment.scene, moment.map_from_base)
        for camera, image in zip(moment.cameras, images, strict=True):
            self._camera(camera, image)
        if moment.predicted is not None:
            self.prediction(moment.predicted.elements, moment.predicted.stage_ms)
        self._from_above(moment.predicted, moment.truth)
        if moment.truth is not None:
            self._lines(TRUE, moment.truth, TRUE_RADIUS_M, TRUE_COLOR, -_BELOW_M)
        elif moment.predicted is not None:
            self._lines(TRUE, (), TRUE_RADIUS_M)
        if moment.points is not None:
            self._lidar(moment.points)

    def at(self, stamp_ns: int) -> None:
        """Begins a moment: what is logged from here on stands at this stamp."""
        self.recording.set_time(TIME, timestamp=np.datetime64(stamp_ns, "ns"))
        self.recording.set_time(FRAME, sequence=self.moments)
        self.moments += 1

    def place(self, scene: str, map_from_base: NDArray[np.float64] | None) -> None:
        """Where the vehicle is; the origin of `drive` is where a scene begins, at any distance from the map's."""
        if scene != self._scene:
            begin = np.eye(4)
            if map_from_base is not None:
                begin[:3, 3] = map_from_base[:3, 3]
            self._scene, self._drive_from_map, self._last_place = scene, inverse(begin), None
        drive_from_base = np.eye(4) if map_from_base is None else self._drive_from_map @ map_from_base
        self.recording.log(VEHICLE, _transform(drive_from_base))
        here = drive_from_base[:3, 3]
        if map_from_base is not None and self._last_place is not None:
            step = rr.LineStrips3D([np.stack([self._last_place, here])], colors=[PATH_COLOR], radii=[PATH_RADIUS_M])
            self.recording.log(PATH, step)
        self._last_place = here

    def prediction(self, elements: Sequence[MapElement], stage_ms: Mapping[str, float]) -> None:
        """A predicted map as lines, and the curves of how many and how fast."""
        self._lines(PREDICTED, elements, LINE_RADIUS_M)
        for label in CLASSES:
            count = sum(element.label == label for element in elements)
            self.recording.log(f"{ELEMENTS}/{label}", rr.Scalars(count))
        for stage, value in (*stage_ms.items(), *([("total", sum(stage_ms.values()))] if stage_ms else [])):
            if stage not in self._stages:
                color = _TOTAL_COLOR if stage == "total" else _STAGE_COLORS[len(self._stages) % len(_STAGE_COLORS)]
                self._stages.append(stage)
                self.recording.log(f"{LATENCY}/{stage}", rr.SeriesLines(colors=[color], names=[stage]), static=True)
            self.recording.log(f"{LATENCY}/{stage}", rr.Scalars(value))

    def street(self, elements: Sequence[MapElement]) -> None:
        """A map of the street in the frame of the poses, as far as it was driven."""
        turn, shift = self._drive_from_map[:3, :3], self._drive_from_map[:3, 3]
        moved = [
            replace(e, points_m=(_in_space(e.points_m, 0.0).astype(np.float64) @ turn.T + shift).astype(np.float32))
            for e in elements
        ]
        self._lines(STREET, moved, STREET_RADIUS_M)
        self.streets += 1

    def camera(
        self, name: str, image: RgbImage, intrinsics: NDArray[np.float64], base_from_camera: NDArray[np.float64]
    ) -> None:
        """A camera's image (H, W, 3) with its calibration."""
        entity, (height, width) = entity_of(name), image.shape[:2]
        self.recording.log(entity, _transform(base_from_camera))
        self.recording.log(
            entity,
            rr.Pinhole(
                image_from_camera=intrinsics, resolution=[width, height], camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=3.0,
            ),
        )  # fmt: skip
        self.recording.log(entity, _encoded(image))

    def _image(self, camera: SeenCamera) -> tuple[RgbImage, NDArray[np.float64]] | None:
        """A camera's image, no wider than wanted, with the intrinsics that hold for it."""
        if camera.read is None:
            return None
        from mapkd_core.data.images import resize

        pixels, intrinsics = camera.read(self.image_width)
        height, width = pixels.shape[:2]
        if width <= self.image_width:
            return pixels, intrinsics
        return resize(pixels, intrinsics, (self.image_width, max(round(height * self.image_width / width), 1)))

    def _camera(self, camera: SeenCamera, image: tuple[RgbImage, NDArray[np.float64]] | None) -> None:
        if image is None or camera.base_from_camera is None:
            self.recording.log(entity_of(camera.name), rr.Clear(recursive=False))
        else:
            self.camera(camera.name, *image, camera.base_from_camera)

    def _lines(
        self, entity: str, elements: Sequence[MapElement], radius_m: float, color: tuple[int, int, int] | None = None,
        lift_m: float = 0.0,
    ) -> None:
        for label in CLASSES:
            chosen = [element for element in elements if element.label == label]
            points = [_in_space(element.points_m, lift_m) for element in chosen]
            colors = [(*(color or CLASS_COLORS[label]), round(90 + 165 * min(e.score, 1.0))) for e in chosen]
            self.recording.log(f"{entity}/{label}", rr.LineStrips3D(points, colors=colors, radii=radius_m))

    def _from_above(self, predicted: PredictedMap | None, truth: Sequence[MapElement] | None) -> None:
        panels: dict[str, RgbImage] = {}
        if predicted is not None:
            panels["predicted"] = draw_bev(
                predicted.elements, self.grid, pixels_per_m=_BEV_PIXELS_PER_M, semantic=predicted.probabilities
            )
        if truth is not None:
            panels["true"] = draw_bev(truth, self.grid, pixels_per_m=_BEV_PIXELS_PER_M)
        for name, panel in panels.items():
            self.recording.log(f"{BEV}/{name}", _encoded(panel))

    def _lidar(self, points: NDArray[np.float32]) -> None:
        step = max(-(-len(points) // _MOST_POINTS), 1)
        xyz = points[::step, :3]
        light = np.clip(80 + 40 * xyz[:, 2], 60, 230).astype(np.uint8)
        colors = np.stack([light] * 3, axis=1)
        self.recording.log(LIDAR, rr.Points3D(xyz, colors=colors, radii=0.04))


def entity_of(camera: str) -> str:
    """Where a camera's image and calibration stand."""
    return f"{VEHICLE}/{rr.escape_entity_path_part(camera)}"


def _encoded(image: RgbImage) -> Any:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    return rr.EncodedImage(contents=jpeg.tobytes(), media_type="image/jpeg")


def _transform(parent_from_child: NDArray[np.float64]) -> Any:
    wxyz = quaternion_from_rotation(parent_from_child[:3, :3])
    return rr.Transform3D(translation=parent_from_child[:3, 3], quaternion=rr.Quaternion(xyzw=np.roll(wxyz, -1)))


def _in_space(points_m: NDArray[np.floating], lift_m: float) -> NDArray[np.float32]:
    points = np.zeros((len(points_m), 3), np.float32)
    points[:, : points_m.shape[1]] = points_m
    return points + np.array([0, 0, lift_m], np.float32)
