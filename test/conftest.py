"""Fixtures of all tests: where the nuScenes test data lie, and one thread per test process."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch and OpenCV are loaded: small tensors are slower with many threads, and tests share their machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import scipy.spatial.transform  # noqa: F401 - geometry imports it late; Hypothesis would blame a test's first case

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def dataroot() -> Path:
    """A real nuScenes folder, from MAPKD_DATAROOT or beside the repository; skips the test if there is none."""
    from real_data import NUSCENES, why_not

    if why_not(NUSCENES):
        pytest.skip(why_not(NUSCENES))
    return NUSCENES
