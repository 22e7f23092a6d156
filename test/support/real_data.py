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

needs_nuscenes = pytest.mark.skipif(
    not (NUSCENES / "v1.0-mini" / "scene.json").is_file(),
    reason=f"no nuScenes frames in {NUSCENES}; set MAPKD_DATAROOT to a data root with v1.0-mini",
)


@lru_cache
def expected_samples() -> list[dict]:
    """Reference vectors of the keyframes and of scene-0103's poses."""
    samples = []
    for name in ("expected_vectors_60x30.json", "expected_vectors_60x30_all_poses.json"):
        samples += json.loads((NUSCENES.parent / name).read_text())["samples"]
    return samples


def pose_of(sample: dict) -> np.ndarray:
    return transform(sample["ego2global_translation"], sample["ego2global_rotation_wxyz"])
