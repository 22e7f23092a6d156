"""From topics to moments: each VectorMap with the images that it was made of, and where the vehicle was."""
from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.bags.ego_poses import FRAMES
from mapkd_core.cameras.calibration import CalibrationError, CameraModel, Tables
from mapkd_core.cameras.mountings import Mountings
from mapkd_core.cameras.rig import CameraRig
from mapkd_core.cameras.timed_transforms import NoTransformError, TimedTransforms
from mapkd_core.cameras.transform_tree import TransformTree
from mapkd_core.data.polylines import Range
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.moment import Moment, SeenCamera, StraightReader
from mapkd_core.messages.vector_map import elements_of_message
from mapkd_core.predictor import PredictedMap
from mapkd_ros.conversions import ImageError, stamp_ns

if TYPE_CHECKING:
    from mapkd_ros.node.camera_image import CameraImage

KEPT = 40
"""Images of a camera that wait for their map; the oldest goes."""
KEEP_S = 10.0
"""Transforms are kept so long."""


class LiveMoments:
    """Collects what comes on topics; `shown(moment, grid)` gets a moment for each map of the node."""

    def __init__(self, rig: CameraRig, base_frame: str, shown: Callable[[Moment, BevGrid], None]) -> None:
        self.base_frame, self.faults = base_frame, Counter[str]()
        self.frame = ""
        """The fixed frame of the poses; empty until transforms name one."""
        self._rig, self._shown = rig, shown
        self._tree, self._timed = TransformTree(), TimedTransforms(KEEP_S)
        self._mountings = Mountings(rig, self._tree, base_frame)
        self._images: dict[str, OrderedDict[int, CameraImage]] = {name: OrderedDict() for name in rig.names}
        self._tables: Tables = {}

    def on_transforms(self, message: Any, fixed: bool) -> None:
        """Takes /tf or, `fixed`, /tf_static."""
        try:
            self._tree.update(message.transforms)
        except CalibrationError as error:
            self.faults[str(error)] += 1
        self._timed.update(message.transforms, fixed)

    def on_image(self, camera: str, stamp: int, image: CameraImage) -> None:
        """Takes an image, until a map says that it was made of it."""
        kept = self._images[camera]
        kept[stamp] = image
        while len(kept) > KEPT:
            kept.popitem(last=False)
        if image.frame_id:
            self._mountings.frames[camera] = image.frame_id

    def on_map(self, message: Any, models: dict[str, CameraModel | None]) -> None:
        """Takes a VectorMap; `models` are the cameras' calibrations now."""
        frame = message.header.frame_id.lstrip("/")
        try:
            if frame != self.base_frame:
                raise ValueError(f"a map in the frame {frame!r}, not {self.base_frame!r}: see --base-frame")
            at_ns, elements, view = elements_of_message(message)
            grid = _grid(view, float(message.cell_size))
        except ValueError as error:
            self.faults[str(error)] += 1
            return
        stamps = dict(zip(message.camera_names, map(stamp_ns, message.source_stamps), strict=False))
        cameras = tuple(self._camera(name, stamps.get(name), models.get(name)) for name in self._rig.names)
        stage_ms = dict(zip(message.stage_names, map(float, message.stage_latency_ms), strict=False))
        found = PredictedMap(list(elements), np.zeros((4, *grid.shape), np.float32), stage_ms)
        self._shown(Moment(str(at_ns), "live", at_ns, cameras, found, map_from_base=self._pose(at_ns)), grid)

    def _camera(self, name: str, stamp: int | None, model: CameraModel | None) -> SeenCamera:
        """A camera with the image of this stamp; without one where it is missing."""
        size = model.size if model is not None else (16, 9)
        if stamp is None:
            return SeenCamera(name, size)
        image = self._images[name].pop(stamp, None)
        for older in [key for key in self._images[name] if key < stamp]:
            del self._images[name][older]
        if image is None or model is None or image.size != model.size:
            why = "its image did not come here" if image is None else "no calibration of the image's size"
            self.faults[f"{name}: {why}"] += 1
            return SeenCamera(name, size)
        try:
            mounting = self._mountings.base_from_image(name, model)
            return SeenCamera(name, size, mounting, StraightReader(image.source(), model, self._tables))
        except (CalibrationError, ImageError, KeyError) as error:
            self.faults[f"{name}: {error}"] += 1
            return SeenCamera(name, size)

    def _pose(self, at_ns: int) -> NDArray[np.float64] | None:
        """Where the vehicle was; the newest place where its transform comes later than the map."""
        if not self.frame:
            names = self._timed.ancestors(self.base_frame)
            self.frame = next((name for name in FRAMES if name in names), "")
        if not self.frame:
            return None
        try:
            return self._timed.at(self.frame, self.base_frame, at_ns)
        except NoTransformError:
            try:
                return self._tree.lookup(self.frame, self.base_frame)
            except CalibrationError:
                return None


def _grid(view: Range, cell_m: float) -> BevGrid:
    """The grid of a message, whose numbers are of single precision."""
    (x0, x1), (y0, y1) = ((round(low, 5), round(high, 5)) for low, high in (view.x_m, view.y_m))
    return BevGrid((x0, x1), (y0, y1), round(cell_m, 6))
