"""Images of map elements: from above, on the camera images, and both in one overview. RGB uint8 throughout."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.files import write_atomic
from mapkd_core.geometry import apply, distances_along, inverse, points_at, project
from mapkd_core.grid import BevGrid
from mapkd_core.types import CAMERAS, CLASSES, MapElement

RgbImage = NDArray[np.uint8]
Color = tuple[int, int, int]

CLASS_COLORS: dict[str, Color] = {
    "divider": (255, 170, 20),
    "ped_crossing": (64, 156, 255),
    "boundary": (0, 205, 140),
}
"""RGB of each class: orange, blue and green of different brightness, told apart by colour-blind eyes too."""

CLASS_NAMES = {"divider": "lane divider", "ped_crossing": "pedestrian crossing", "boundary": "road boundary"}

_BACKGROUND: Color = (22, 24, 29)
_GRID_LINE: Color = (47, 51, 60)
_FAINT_TEXT: Color = (134, 140, 152)
_TEXT: Color = (232, 234, 238)
_CAR: Color = (214, 218, 226)
# nuScenes' Renault Zoe: base_link lies under the rear axle.
_CAR_X_M, _CAR_Y_M = (-0.95, 3.15), (-0.9, 0.9)

_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates
_NEAR_M = 0.3
_STEP_M = 0.15


def draw_bev(
    elements: Sequence[MapElement],
    grid: BevGrid,
    *,
    pixels_per_m: float = 10.0,
    semantic: NDArray[np.floating] | None = None,
    scores: bool = False,
    line_width_m: float = 0.22,
) -> RgbImage:
    """The map from above, as a driver sees it: forward is up, left is left.

    Shows the grid's rectangle with a line every 10 m and the car at its place; `semantic` (4, Y, X) probabilities,
    where given, glow below the lines; `scores` writes each element's score beside it. Fainter lines are less
    certain. Returns (x extent * pixels_per_m, y extent * pixels_per_m, 3).
    """
    size = (round((grid.y_range_m[1] - grid.y_range_m[0]) * pixels_per_m),
            round((grid.x_range_m[1] - grid.x_range_m[0]) * pixels_per_m))
    image: RgbImage = np.full((size[1], size[0], 3), _BACKGROUND, np.uint8)
    if semantic is not None:
        image = _glow(image, semantic)
    _draw_metre_lines(image, grid, pixels_per_m)
    thickness = max(round(line_width_m * pixels_per_m), 1)
    for element in sorted(elements, key=lambda e: e.score):
        pixels = _bev_pixels(element.points_m, grid, pixels_per_m)
        if element.closed and element.label == "ped_crossing":
            _fill(image, pixels, CLASS_COLORS[element.label], 0.25 * _opacity(element))
        color = _mix(_BACKGROUND, CLASS_COLORS[element.label], _opacity(element))
        cv2.polylines(image, [_fixed(pixels)], False, color, thickness, cv2.LINE_AA, _SHIFT)
    _draw_car(image, grid, pixels_per_m)
    if scores:
        for element in elements:
            x, y = _bev_pixels(element.points_m, grid, pixels_per_m)[len(element.points_m) // 2]
            put_text(image, f"{element.score:.2f}", (int(x) + 4, int(y)), 11, CLASS_COLORS[element.label])
    return image


def draw_on_camera(
    image: RgbImage,
    intrinsics: NDArray[np.floating],
    base_from_camera: NDArray[np.floating],
    elements: Sequence[MapElement],
    line_width_m: float = 0.15,
) -> RgbImage:
    """A copy of a camera image (H, W, 3) with the elements drawn on the ground, thinner with distance.

    `intrinsics` (3, 3) must hold for this image's size, `base_from_camera` is the (4, 4) mounting pose. Elements
    without height lie on z = 0 of `base_link`. Nothing is hidden by what stands in front of it.
    """
    canvas = np.ascontiguousarray(image).copy()
    focal = float(np.asarray(intrinsics)[0, 0])
    camera_from_base = inverse(base_from_camera)
    least = max(image.shape[1] / 640, 1.0)
    for element in sorted(elements, key=lambda e: e.score):
        segments, depth = _segments_in_view(element.points_m, camera_from_base, intrinsics, image.shape)
        if len(segments) == 0:
            continue
        thickness = np.clip(focal * line_width_m / depth, least, 9 * least).round().astype(int)
        color = _mix((96, 96, 96), CLASS_COLORS[element.label], _opacity(element))
        # A dark rim keeps bright lines visible on bright concrete.
        for extra, tone in ((2, _mix(color, (0, 0, 0), 0.75)), (0, color)):
            for width in np.unique(thickness)[::-1]:
                chosen = _fixed(segments[thickness == width])
                cv2.polylines(canvas, list(chosen), False, tone, int(width) + extra, cv2.LINE_AA, _SHIFT)
    return canvas


def overview(
    images: Sequence[RgbImage],
    intrinsics: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    base_from_camera: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    elements: Sequence[MapElement],
    grid: BevGrid,
    *,
    truth: Sequence[MapElement] | None = None,
    semantic: NDArray[np.floating] | None = None,
    scores: bool = False,
    title: str = "",
    names: Sequence[str] = CAMERAS,
    camera_width: int = 560,
) -> RgbImage:
    """Six cameras with the elements projected (front row, back row), the map from above beside them, and a legend.

    `images` (H, W, 3) come in the order of `names`, each with the intrinsics of its own size and its mounting pose.
    With `truth` the reference map stands beside the prediction. Raises ValueError when the lists differ in length.
    """
    if not len(images) == len(intrinsics) == len(base_from_camera) == len(names):
        raise ValueError(
            f"{len(images)} images, {len(intrinsics)} intrinsics, {len(base_from_camera)} mounting poses for "
            f"{len(names)} cameras; expected one of each per camera"
        )
    gap, header = 6, 44
    tiles = [
        _camera_tile(draw_on_camera(image, k, pose, elements), name, camera_width)
        for image, k, pose, name in zip(images, intrinsics, base_from_camera, names, strict=True)
    ]
    columns = (len(tiles) + 1) // 2
    tile_height = max(t.shape[0] for t in tiles)
    body = 2 * tile_height + gap
    scale = body / (grid.x_range_m[1] - grid.x_range_m[0])
    panels = [("prediction" if truth is not None else "", draw_bev(
        elements, grid, pixels_per_m=scale, semantic=semantic, scores=scores))]
    if truth is not None:
        panels.append(("reference", draw_bev(truth, grid, pixels_per_m=scale)))

    width = columns * (camera_width + gap) + sum(p.shape[1] + gap for _, p in panels) + gap
    canvas = np.full((header + body + gap, width, 3), (12, 13, 16), np.uint8)
    for k, tile in enumerate(tiles):
        y, x = header + (k // columns) * (tile_height + gap), gap + (k % columns) * (camera_width + gap)
        canvas[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    x = gap + columns * (camera_width + gap)
    for name, panel in panels:
        if name:
            put_text(panel, name, (10, 26), 17, _TEXT)
        canvas[header : header + min(body, panel.shape[0]), x : x + panel.shape[1]] = panel[:body]
        x += panel.shape[1] + gap
    put_text(canvas, title or "mapkd_ros", (gap + 6, 29), 20, _TEXT)
    _draw_legend(canvas, width - gap - 4, 29)
    return canvas


def write_png(path: str | Path, image: RgbImage) -> None:
    """Writes an RGB image as PNG, making the folder if needed; raises OSError when that fails."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise OSError(f"cannot encode an image of shape {image.shape} as PNG")
    write_atomic(path, data.tobytes())


def put_text(image: RgbImage, text: str, at: tuple[int, int], height_px: int, color: Color) -> int:
    """Writes text with its baseline's left end `at` (x, y), in place; returns its width in pixels."""
    # OpenCV's strokes look ragged when small, so they are drawn four times as large and averaged down.
    fine, font = 4, cv2.FONT_HERSHEY_DUPLEX
    size = cv2.getFontScaleFromHeight(font, round(height_px * 0.72 * fine), 1)
    (wide, high), below = cv2.getTextSize(text, font, size, fine)
    wide, high, below = (-(-v // fine) * fine for v in (wide + 2 * fine, high + 2 * fine, below + fine))
    mask = np.zeros((high + below, wide), np.uint8)
    cv2.putText(mask, text, (fine, high), font, size, 255, fine, cv2.LINE_AA)
    mask = np.asarray(cv2.resize(mask, (wide // fine, (high + below) // fine), interpolation=cv2.INTER_AREA))
    left, top = at[0], at[1] - high // fine
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + mask.shape[0], image.shape[0]), min(left + mask.shape[1], image.shape[1])
    if y1 > y0 and x1 > x0:
        alpha = mask[y0 - top : y1 - top, x0 - left : x1 - left, None] / 255
        region = image[y0:y1, x0:x1]
        region[:] = np.rint(region * (1 - alpha) + np.array(color) * alpha)
    return wide // fine


def _segments_in_view(
    points_m: NDArray[np.floating],
    camera_from_base: NDArray[np.floating],
    intrinsics: NDArray[np.floating],
    shape: tuple[int, ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Short pieces (S, 2, 2) of a line in pixels, in front of the camera and near the image; and their depths."""
    points = np.zeros((len(points_m), 3))
    points[:, : points_m.shape[1]] = points_m
    along = distances_along(points)
    at = np.linspace(0, along[-1], max(int(np.ceil(along[-1] / _STEP_M)), 1) + 1)
    at = np.union1d(at, along)
    camera = apply(camera_from_base, points_at(points, at))
    start, end = camera[:-1].copy(), camera[1:].copy()
    # Where a piece passes the near plane its hidden end moves onto that plane.
    visible = (start[:, 2] > _NEAR_M) | (end[:, 2] > _NEAR_M)
    start, end = start[visible], end[visible]
    for one, other in ((start, end), (end, start)):
        behind = one[:, 2] < _NEAR_M
        t = (_NEAR_M - one[behind, 2]) / (other[behind, 2] - one[behind, 2])
        one[behind] += t[:, None] * (other[behind] - one[behind])
    first, depth = project(start, intrinsics)
    second, _ = project(end, intrinsics)
    segments = np.stack([first, second], 1)
    # Pieces are short, so one that touches the image has both ends within an image's size of it; the margin
    # also keeps the coordinates inside OpenCV's integers.
    limit = np.array([shape[1], shape[0]])
    near = ((segments > -limit) & (segments < 2 * limit)).all((1, 2))
    return segments[near], depth[near]


def _camera_tile(image: RgbImage, name: str, width: int) -> RgbImage:
    height = round(image.shape[0] * width / image.shape[1])
    shrinking = width < image.shape[1]
    tile = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC)
    label = name.removeprefix("CAM_").replace("_", " ").lower()
    put_text(tile, label, (9, 23), 15, (0, 0, 0))
    put_text(tile, label, (8, 22), 15, _TEXT)
    return tile  # type: ignore[return-value]


def _bev_pixels(points_m: NDArray[np.floating], grid: BevGrid, scale: float) -> NDArray[np.float64]:
    """Image (x, y) of `base_link` points: forward goes up, left goes left."""
    x = (grid.y_range_m[1] - points_m[:, 1]) * scale
    y = (grid.x_range_m[1] - points_m[:, 0]) * scale
    return np.stack([x, y], 1) - 0.5


def _glow(image: RgbImage, semantic: NDArray[np.floating]) -> RgbImage:
    colors = np.array([CLASS_COLORS[c] for c in CLASSES], np.float32) - np.array(_BACKGROUND, np.float32)
    heat = np.einsum("cyx,ck->yxk", semantic[1:].astype(np.float32), 0.45 * colors)
    # Rows grow to the left and columns forward: turned so that forward is up and left is left.
    heat = np.ascontiguousarray(heat.transpose(1, 0, 2)[::-1, ::-1])
    heat = cv2.resize(heat, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(image + heat, 0, 255).astype(np.uint8)


def _draw_metre_lines(image: RgbImage, grid: BevGrid, scale: float) -> None:
    x0, x1 = grid.x_range_m
    y0, y1 = grid.y_range_m
    for x in np.arange(np.ceil(x0 / 10) * 10, x1 + 0.1, 10):
        line = _bev_pixels(np.array([[x, y0], [x, y1]]), grid, scale)
        cv2.polylines(image, [_fixed(line)], False, _GRID_LINE, 1, cv2.LINE_AA, _SHIFT)
        if x0 < x < x1:
            put_text(image, f"{x:+.0f} m" if x else "0", (4, int(line[0, 1]) - 3), 11, _FAINT_TEXT)
    for y in np.arange(np.ceil(y0 / 10) * 10, y1 + 0.1, 10):
        line = _bev_pixels(np.array([[x0, y], [x1, y]]), grid, scale)
        cv2.polylines(image, [_fixed(line)], False, _GRID_LINE, 1, cv2.LINE_AA, _SHIFT)


def _draw_car(image: RgbImage, grid: BevGrid, scale: float) -> None:
    (back, front), (right, left) = _CAR_X_M, _CAR_Y_M
    body = np.array([[back, right], [front - 0.7, right], [front, right * 0.6], [front, left * 0.6],
                     [front - 0.7, left], [back, left]])
    window = np.array([[1.2, right * 0.75], [2.1, right * 0.75], [2.1, left * 0.75], [1.2, left * 0.75]])
    for outline, color in ((body, _CAR), (window, _mix(_CAR, _BACKGROUND, 0.75))):
        cv2.fillPoly(image, [_fixed(_bev_pixels(outline, grid, scale))], color, cv2.LINE_AA, _SHIFT)


def _draw_legend(image: RgbImage, right: int, baseline: int) -> None:
    x = right - sum(58 + 8 * len(CLASS_NAMES[c]) for c in CLASSES)
    for label in CLASSES:
        cv2.line(image, (x, baseline - 6), (x + 26, baseline - 6), CLASS_COLORS[label], 5, cv2.LINE_AA)
        put_text(image, CLASS_NAMES[label], (x + 34, baseline), 15, _TEXT)
        x += 58 + 8 * len(CLASS_NAMES[label])


def _fill(image: RgbImage, pixels: NDArray[np.float64], color: Color, opacity: float) -> None:
    layer = cv2.fillPoly(image.copy(), [_fixed(pixels)], color, cv2.LINE_AA, _SHIFT)
    cv2.addWeighted(layer, opacity, image, 1 - opacity, 0, dst=image)


def _fixed(pixels: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(pixels * (1 << _SHIFT)).astype(np.int32)


def _opacity(element: MapElement) -> float:
    return float(np.clip(0.35 + 0.65 * element.score, 0.35, 1.0))


def _mix(one: Color, other: Color, share: float) -> Color:
    r, g, b = (round(a + (c - a) * share) for a, c in zip(one, other, strict=True))
    return r, g, b
