"""Images put things where they are: forward is up, left is left, and the ground lies where the camera sees it."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mapkd_core.draw import CLASS_COLORS, draw_bev, draw_on_camera, overview, put_text, write_png
from mapkd_core.geometry import apply, inverse, project, transform
from mapkd_core.grid import GRID_60X30, GRID_120X60
from mapkd_core.types import CAMERAS, CLASSES, MapElement

INTRINSICS = np.array([[400.0, 0, 320], [0, 400.0, 180], [0, 0, 1]])
FORWARD = transform([1.5, 0, 1.5], [0.5, -0.5, 0.5, -0.5])
"""A camera 1.5 m up that looks along +x: optical x is -y of base_link, optical y is -z."""


def element(label: str, points: object, **more: object) -> MapElement:
    return MapElement(label, np.array(points, np.float32), **more)  # type: ignore[arg-type]


def pixels_of(image: np.ndarray, label: str) -> np.ndarray:
    """(N, 2) (x, y) of the pixels that have a class's colour."""
    close = np.abs(image.astype(int) - CLASS_COLORS[label]).max(-1) < 40
    return np.argwhere(close)[:, ::-1]


@pytest.mark.parametrize(("points", "x", "y"), [
    ([[10, -1], [10, 1]], 150, 200),
    ([[-20, -1], [-20, 1]], 150, 500),
    ([[0, 9], [0, 11]], 50, 300),
    ([[0, -11], [0, -9]], 250, 300),
])
def test_forward_is_up_and_left_is_left(points: list, x: int, y: int) -> None:
    image = draw_bev([element("divider", points)], GRID_60X30)
    assert image.shape == (600, 300, 3) and image.dtype == np.uint8
    np.testing.assert_allclose(pixels_of(image, "divider").mean(0), [x, y], atol=1.5)


def test_semantic_glow_lies_under_its_line() -> None:
    semantic = np.zeros((4, *GRID_60X30.shape), np.float32)
    col, row = (int(v) for v in GRID_60X30.cells_from_metres(np.array([12.0, 7.0])))
    semantic[3, row - 3 : row + 4, col - 3 : col + 4] = 1
    difference = draw_bev([], GRID_60X30, semantic=semantic).astype(int) - draw_bev([], GRID_60X30)
    y, x = np.argwhere(difference[..., 1] > 0.5 * difference[..., 1].max()).mean(0)
    assert abs(x - 80) <= 2 and abs(y - 180) <= 2


def test_less_certain_lines_are_fainter() -> None:
    sure, unsure = (
        draw_bev([element("boundary", [[-20, 5], [20, 5]], score=s)], GRID_60X30)[:, 100].max() for s in (1.0, 0.1)
    )
    assert sure > unsure + 30


def test_a_line_on_the_ground_lands_where_the_camera_projects_it() -> None:
    line = element("divider", [[10, 2], [25, 2]])
    image = draw_on_camera(np.zeros((360, 640, 3), np.uint8), INTRINSICS, FORWARD, [line])
    found = pixels_of(image, "divider")
    for x in (11.0, 15.0, 24.0):
        pixel, _ = project(apply(inverse(FORWARD), [x, 2, 0]), INTRINSICS)
        assert np.linalg.norm(found - pixel, axis=1).min() < 1.5
    assert (found[:, 0] < 320).all() and (found[:, 1] > 180).all()  # on the left, below the horizon


def test_a_line_through_the_camera_is_cut_at_the_near_plane() -> None:
    image = draw_on_camera(
        np.zeros((360, 640, 3), np.uint8), INTRINSICS, FORWARD, [element("divider", [[-50, 1.0], [50, 1.0]])]
    )
    found = pixels_of(image, "divider")
    assert found[:, 1].max() >= 355  # it reaches the lower border
    # Every pixel lies on the image of the ray from the vanishing point to where the line leaves the image.
    # Along x = 1.0 / 1.5 * (y - 180) left of the middle, whatever the depth.
    np.testing.assert_allclose(320 - found[:, 0], (found[:, 1] - 180) / 1.5, atol=12)


def test_what_is_behind_the_camera_is_not_drawn() -> None:
    blank = np.full((360, 640, 3), 90, np.uint8)
    image = draw_on_camera(blank, INTRINSICS, FORWARD, [element("boundary", [[-30, -5], [-2, 5]])])
    np.testing.assert_array_equal(image, blank)


def test_height_of_an_element_is_used() -> None:
    flat = element("boundary", [[12, -3], [12, 3]])
    high = element("boundary", [[12, -3, 1.5], [12, 3, 1.5]])
    rows = [
        pixels_of(draw_on_camera(np.zeros((360, 640, 3), np.uint8), INTRINSICS, FORWARD, [e]), "boundary")[:, 1].mean()
        for e in (flat, high)
    ]
    assert rows[1] == pytest.approx(180, abs=1.5) and rows[0] == pytest.approx(180 + 400 * 1.5 / 10.5, abs=1.5)


def test_the_given_image_is_not_changed() -> None:
    image = np.zeros((360, 640, 3), np.uint8)
    draw_on_camera(image, INTRINSICS, FORWARD, [element("divider", [[10, 2], [25, 2]])])
    assert image.max() == 0


@pytest.mark.parametrize("with_truth", [False, True])
@pytest.mark.parametrize("grid", [GRID_60X30, GRID_120X60], ids=["60x30", "120x60"])
def test_overview_shows_all_cameras_and_all_maps(with_truth: bool, grid: object) -> None:
    images = [np.full((90, 160, 3), 40 * k, np.uint8) for k in range(6)]
    elements = [element(label, [[3, y], [20, y]], score=0.9) for label, y in zip(CLASSES, (-4, 0, 4), strict=True)]
    image = overview(
        images, [INTRINSICS * [[0.25], [0.25], [1]]] * 6, [FORWARD] * 6, elements, grid,  # type: ignore[arg-type]
        truth=elements if with_truth else None, scores=True, title="a drive", camera_width=320,
    )
    plain = overview(
        images, [INTRINSICS] * 6, [FORWARD] * 6, [], grid, camera_width=320,  # type: ignore[arg-type]
    )
    assert image.dtype == np.uint8 and image.shape[0] == plain.shape[0]
    assert (image.shape[1] > plain.shape[1]) == with_truth
    for label in CLASSES:
        assert len(pixels_of(image, label)) > len(pixels_of(plain, label)) > 0  # lines, beside the legend
    for k in range(6):
        tile = plain[44 + (k // 3) * 186 + 120, 6 + (k % 3) * 326 + 200]
        np.testing.assert_array_equal(tile, [40 * k] * 3)


def test_overview_names_what_is_missing() -> None:
    with pytest.raises(ValueError, match="5 images, 6 intrinsics"):
        overview([np.zeros((9, 16, 3), np.uint8)] * 5, [INTRINSICS] * 6, [FORWARD] * 6, [], GRID_60X30, names=CAMERAS)


def test_class_colors_differ_for_everyone() -> None:
    gray = {label: np.dot(color, [0.299, 0.587, 0.114]) for label, color in CLASS_COLORS.items()}
    assert set(gray) == set(CLASSES)
    # The usual red-green blindness leaves blue against yellow: their difference must tell the classes apart.
    blue_yellow = [color[2] - (color[0] + color[1]) / 2 for color in CLASS_COLORS.values()]
    assert np.diff(sorted(blue_yellow)).min() > 30


def test_text_stays_inside_the_image() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    assert put_text(image, "outside on all sides", (-10, 12), 14, (255, 255, 255)) > 30
    assert image.max() > 0


def test_png_holds_the_same_pixels(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    write_png(tmp_path / "new" / "a.png", image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "new" / "a.png"))[..., ::-1], image)
