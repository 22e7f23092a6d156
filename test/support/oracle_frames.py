"""Frames of an invented street without images, and a predictor that knows their map."""
from dataclasses import replace

import numpy as np
from shapely.geometry import box

from mapkd_core.data.raster import rasterize
from mapkd_core.grid import BevGrid
from mapkd_core.predictor import PredictedMap
from mapkd_core.types import CAMERAS, CameraView, Frame
from mapkd_core.vector_map import MapLine, VectorMap

GRID = BevGrid()
HEADER = {"artifact": {"name": "oracle", "version": "1"}, "data": "invented"}


def road_map():
    return VectorMap(
        "invented",
        lines=(MapLine(np.array([(-80.0, 0.0), (80.0, 0.0)])),),
        crossings=(box(8, -6, 12, 6),),
        road_segments=(box(-80, -7, 80, 7),),
    )


def frames(count, with_map=True):
    shared = road_map()
    made = []
    for k in range(count):
        pose = np.eye(4)
        pose[0, 3] = 2.0 * k
        view = CameraView(CAMERAS[0], k, (4, 4), np.eye(3), np.eye(4), image=None)
        made.append(
            Frame(f"t{k}", "scene", k, (view,), pose, (lambda: shared) if with_map else None,
                  conditions=("night",) if k % 2 else ("day",))
        )
    return made


class Oracle:
    """Predicts the truth, and counts how often it was asked."""

    def __init__(self):
        self.asked = []

    def predict_frame(self, frame):
        from mapkd_core.evaluation.prediction_jobs import truth_record

        self.asked.append(frame.token)
        record = truth_record(frame, GRID)
        elements = [e for e in record.elements if e.label != "ped_crossing"] + list(record.outlines)
        semantic = rasterize(record.elements, GRID, with_direction=False).semantic.astype(np.float32)
        return PredictedMap([replace(e, score=0.9) for e in elements], semantic, {"network": 5.0, "vectorize": 1.0})
