"""Images of simulated drives: one frame with its map, and contact sheets of many."""
from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.labels import map_elements
from mapkd_core.draw import RgbImage, draw_bev, overview, put_text
from mapkd_core.files import write_atomic
from mapkd_core.grid import GRID_60X30, BevGrid
from mapkd_core.sim.drive import SimDrive
from mapkd_core.types import Frame

GAP_PX = 4


def frame_image(frame: Frame, grid: BevGrid = GRID_60X30, lines: bool = True, camera_width: int = 560) -> RgbImage:
    """Six cameras and the map from above, with the true map elements drawn where `lines` is set."""
    assert frame.vector_map is not None and frame.map_from_base is not None
    elements = map_elements(frame.vector_map(), frame.map_from_base, grid, "polygon")
    views = frame.views
    return overview(
        [view.image.rgb() for view in views],
        [view.intrinsics for view in views],
        [view.base_from_camera for view in views],
        elements if lines else [],
        grid,
        truth=None if lines else elements,
        title=f"{frame.scene}   {', '.join(frame.conditions)}",
        camera_width=camera_width,
    )


def scene_tile(frame: Frame, camera_width: int, grid: BevGrid = GRID_60X30) -> RgbImage:
    """A small image of one frame: two rows of cameras as they are, and the map from above."""
    assert frame.vector_map is not None and frame.map_from_base is not None
    images = [view.image.rgb() for view in frame.views]
    height = round(camera_width * images[0].shape[0] / images[0].shape[1])
    small = [cv2.resize(p, (camera_width, height), interpolation=cv2.INTER_AREA) for p in images]
    cameras = np.vstack([np.hstack(small[:3]), np.hstack(small[3:])])
    elements = map_elements(frame.vector_map(), frame.map_from_base, grid, "polygon")
    scale = 4 * cameras.shape[0] / (grid.x_range_m[1] - grid.x_range_m[0])
    above = draw_bev(elements, grid, pixels_per_m=scale, line_width_m=0.4)
    small_map = cv2.resize(above, (round(above.shape[1] / 4), cameras.shape[0]), interpolation=cv2.INTER_AREA)
    tile = np.hstack([cameras, small_map]).astype(np.uint8)
    put_text(tile, ", ".join(frame.conditions[:1] + frame.conditions[2:3]), (5, 13), 12, (255, 255, 255))
    return tile


def contact_sheet(frames: Sequence[Frame], columns: int = 2, camera_width: int = 176) -> RgbImage:
    """One tile a frame, in rows."""
    tiles = [scene_tile(frame, camera_width) for frame in frames]
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 3), 12, np.uint8)
    for k, tile in enumerate(tiles):
        y, x = (k // columns) * (height + GAP_PX), (k % columns) * (width + GAP_PX)
        sheet[y : y + height, x : x + width] = tile
    return sheet


def write_small_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes an RGB image as PNG with a palette of 256 colours: a third of the size."""
    from PIL import Image

    palette = Image.fromarray(image).quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    packed = BytesIO()
    palette.save(packed, "PNG", optimize=True)
    write_atomic(path, packed.getvalue())


def varied_drives(count: int, first_seed: int, size: tuple[int, int], dataroot: Path | None) -> list[SimDrive]:
    """Drives for a sheet: every third one on a real map where `dataroot` has some, all weathers among them."""
    maps = sorted(p.stem for p in (dataroot / "maps" / "expansion").glob("*.json")) if dataroot else []
    drives = []
    for k in range(count):
        real = maps and k % 3 == 2
        drives.append(
            SimDrive(
                seed=first_seed + k,
                road=maps[(k // 3) % len(maps)] if real else "procedural",
                dataroot=dataroot if real else None,
                size=size,
                frames=2,
                lidar=False,
            )
        )
    return drives
