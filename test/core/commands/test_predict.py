"""`mapkd predict` writes an image and the elements, and says what is wrong with its input."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapkd_core.commands.main import main
from mapkd_core.predictor import DEFAULT_WEIGHTS
from mapkd_core.types import CAMERAS

pytestmark = pytest.mark.skipif(not DEFAULT_WEIGHTS.is_file(), reason="no shipped student")


def image_files(folder: Path, count: int = 6) -> list[str]:
    paths = [folder / f"{name.lower()}.png" for name in CAMERAS[:count]]
    for k, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((90, 160, 3), 30 * k, np.uint8))
    return [str(path) for path in paths]


def calibration(folder: Path) -> str:
    intrinsics = [[126.0, 0, 80], [0, 126.0, 45], [0, 0, 1]]
    rig = {}
    for k, name in enumerate(CAMERAS):
        c, s = np.cos(k), np.sin(k)
        rig[name] = {
            "intrinsics": intrinsics,
            "base_from_camera": [[s, 0, c, 0], [-c, 0, s, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]],
        }
    (folder / "rig.json").write_text(json.dumps(rig))
    return str(folder / "rig.json")


def test_own_images_become_an_overview_and_elements(tmp_path: Path) -> None:
    out = tmp_path / "out"
    images = image_files(tmp_path)
    assert main(["predict", "--images", *images, "--calibration", calibration(tmp_path), "--device", "cpu",
                 "--out", str(out)]) == 0
    record = json.loads((out / "cam_front_left.json").read_text())
    assert {"model", "grid", "elements", "stage_ms"} <= set(record)
    assert cv2.imread(str(out / "cam_front_left.png")).shape[0] > 500


@pytest.mark.parametrize(("arguments", "message"), [
    (lambda d: ["--images", *image_files(d)], "--calibration"),
    (lambda d: ["--images", *image_files(d, 5), "--calibration", calibration(d)], "5 images, 6 cameras"),
])
def test_incomplete_input_is_named(
    arguments: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", *arguments(tmp_path), "--out", str(tmp_path / "out")]) == 2  # type: ignore[operator]
    assert message in capsys.readouterr().err
