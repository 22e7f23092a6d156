"""Where the tests find real nuScenes frames: they are not part of the project (non-commercial licence)."""
import json
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.geometry import transform

NUSCENES = Path(os.environ.get("MAPKD_DATAROOT", Path(__file__).resolve().parents[3] / "shared/data/nuscenes"))
"""A small nuScenes data root; beside it lie `expected_vectors_60x30*.json`, independent reference labels."""

PRETRAINED = Path(os.environ.get("MAPKD_PRETRAINED", Path(__file__).resolve().parents[3] / "shared/pretrained"))
"""Published segmenters: twinlitenet_bdd100k.pth and DeepLab's .tflite."""

REFERENCES = ("expected_vectors_60x30.json", "expected_vectors_60x30_all_poses.json")


def why_not(dataroot: Path) -> str:
    """Empty if this is the excerpt of nuScenes whose scenes, maps and figures the tests know, else the reason."""
    if not (dataroot / "v1.0-mini" / "scene.json").is_file():
        return f"no nuScenes data at {dataroot}; set MAPKD_DATAROOT to a folder that holds v1.0-mini/"
    parts = [dataroot / name for name in ("maps/expansion", "osm", "map_coverage.json")]
    lacking = [part for part in (*parts, *(dataroot.parent / name for name in REFERENCES)) if not part.exists()]
    if lacking:
        return f"{dataroot} is nuScenes, but not the excerpt that the tests are written for: there is no {lacking[0]}"
    return ""


needs_nuscenes = pytest.mark.skipif(bool(why_not(NUSCENES)), reason=why_not(NUSCENES))


@lru_cache
def expected_samples() -> list[dict]:
    """Reference vectors of the keyframes and of scene-0103's poses."""
    samples = []
    for name in REFERENCES:
        samples += json.loads((NUSCENES.parent / name).read_text())["samples"]
    return samples


def pose_of(sample: dict) -> np.ndarray:
    return transform(sample["ego2global_translation"], sample["ego2global_rotation_wxyz"])
