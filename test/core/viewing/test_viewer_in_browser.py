"""The file in rerun's own viewer, in a headless browser: what opens by default shows cameras, lines and curves."""
from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rerun", reason="the viewer needs: pip install '.[view]'")
pytest.importorskip("playwright", reason="a browser is led by: pip install playwright")
from noise_frames import noise_frames
from playwright import sync_api

from mapkd_core.data.images import PixelImage
from mapkd_core.draw import CLASS_COLORS
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.moment import Moment, cameras_of_frame
from mapkd_core.predictor import PredictedMap
from mapkd_core.types import CAMERAS, MapElement
from mapkd_core.viewing.recording import new_recording, save
from mapkd_core.viewing.rerun_log import RerunLog

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
COLORS = ((150, 40, 40), (40, 150, 40), (40, 40, 150), (150, 150, 40), (40, 150, 150), (150, 40, 150))
"""Of the six cameras' images."""
PATIENCE_S = 600
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt install chromium"),
]


def recording(path: Path) -> Path:
    grid = BevGrid()
    lines = [
        MapElement("divider", np.array([[-25, 1.5], [25, 1.5]], np.float32)),
        MapElement("boundary", np.array([[-25, -4], [25, -4]], np.float32)),
    ]
    found = []
    for k, frame in enumerate(noise_frames(3)):
        views = tuple(
            replace(view, image=PixelImage(np.full((32, 88, 3), color, np.uint8)))
            for view, color in zip(frame.views, COLORS, strict=True)
        )
        result = PredictedMap(lines, np.zeros((4, grid.rows, grid.cols), np.float32), {"network": 20.0 + k})
        stamp_ns = 1_700_000_000_000_000_000 + k * 100_000_000
        cameras = cameras_of_frame(replace(frame, views=views))
        found.append(Moment(f"{k}", "s", stamp_ns, cameras, result, lines, transform_from_yaw(k, 0, 0)))
    save(found, RerunLog(new_recording("test"), grid), path)
    return path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def close_to(image: np.ndarray, color: tuple[int, int, int], within: int = 12) -> np.ndarray:
    """(H, W) where an RGB image has a color."""
    return (np.abs(image.astype(int) - np.array(color)) <= within).all(-1)


def faults(image: np.ndarray) -> list[str]:
    """What a screenshot lacks; one camera may still be decoding, which the viewer never ends on a busy machine."""
    height, width = image.shape[:2]
    columns = {"left": (0, width // 3), "": (width // 3, 2 * width // 3), "right": (2 * width // 3, width)}
    found = []
    for name, color in zip(CAMERAS, COLORS, strict=True):
        left, right = columns[next((side for side in ("left", "right") if side in name.lower()), "")]
        top, bottom = (0, height // 3) if "FRONT" in name else (2 * height // 3, height)
        share = close_to(image[top:bottom, left:right], color).mean()
        if share < 0.3:
            found.append(f"{name} covers {share:.2f} of its place")
    found = found if len(found) > 1 else []
    middle = image[height // 3 : 2 * height // 3]
    for place, part in (("front", image[: height // 3]), ("drive", middle[:, : width // 3])):
        pixels = int(close_to(part, CLASS_COLORS["divider"], 40).sum())
        if pixels < 40:
            found.append(f"{pixels} pixels of the divider in {place}")
    return found


def test_the_default_layout_shows_cameras_with_lines_and_the_drive(tmp_path: Path) -> None:
    path, web, data = recording(tmp_path / "a.rrd"), free_port(), free_port()
    rerun = Path(sys.executable).with_name("rerun")
    subprocess.run([rerun, "analytics", "disable"], capture_output=True, check=True)
    server = subprocess.Popen(
        [rerun, path, "--serve-web", "--web-viewer-port", str(web), "--port", str(data), "--bind", "127.0.0.1"],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    out = Path(os.environ.get("MAPKD_SCREENSHOT", tmp_path / "viewer.png"))
    try:
        with sync_api.sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
            )
            page = browser.new_page(viewport={"width": 1500, "height": 900})
            address = f"http://127.0.0.1:{web}/?url=rerun%2Bhttp://127.0.0.1:{data}/proxy&renderer=webgl"
            end = time.monotonic() + PATIENCE_S
            while True:
                try:
                    page.goto(address, timeout=1000 * PATIENCE_S)
                    break
                except sync_api.Error:
                    assert time.monotonic() < end, "the viewer's server does not answer"
                    time.sleep(1)
            missing = ["nothing seen yet"]
            while missing and time.monotonic() < end:
                page.wait_for_timeout(5000)
                page.screenshot(path=out, timeout=1000 * PATIENCE_S)
                missing = faults(cv2.cvtColor(cv2.imread(str(out)), cv2.COLOR_BGR2RGB))
            browser.close()
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # the wrapper would leave the server behind
    assert not missing
