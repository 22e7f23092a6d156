from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_student import GRID, OPTIONS, SIZE
from toy import ToySamples

from mapkd_core.config import DataConfig, LossConfig, TrainConfig
from mapkd_core.data.dataset import Collate
from mapkd_core.data.image_masks import MASK_SIZE, SURFACES, ImageMask
from mapkd_core.data.street_images import Street, horizon_of, line_cells
from mapkd_core.geometry import apply, inverse, project
from mapkd_core.metrics.seen_ground import SeenGround
from mapkd_core.model.build import build_model
from mapkd_core.training import street_collage
from mapkd_core.training.perspective import PerspectiveObjective
from mapkd_core.training.street_collage import collage, horizon_row, seen_map, window_at, without_specks
from mapkd_core.training.street_share import StreetShare
from mapkd_core.types import CLASS_IDS

ROAD, SIDEWALK = SURFACES.index("road"), SURFACES.index("sidewalk")


def street(horizon=0.5):
    """Road below the horizon between two sidewalks that meet there, with a line in its middle."""
    width, height = MASK_SIZE
    col, row = np.meshgrid(np.arange(width), np.arange(height))
    down = row - horizon * height
    surface = np.where(down > 0, np.where(np.abs(col - width / 2) < 1.2 * down, ROAD, SIDEWALK), 0).astype(np.uint8)
    paint = np.where((down > 4) & (np.abs(col - width / 2) < 0.04 * down), 255, 0).astype(np.uint8)
    image = np.where(paint > 0, 250, 40 * (surface + 1)).astype(np.uint8)
    return Street(np.repeat(image[..., None], 3, -1), ImageMask(surface, paint, np.zeros_like(paint)), horizon)


class Streets:
    """One street, in place of a folder of images."""

    def any(self, rng):
        return street()

    def changed(self, images, rng):
        return images

    def draw(self, count, rng):
        raise AssertionError


def test_the_map_is_what_the_images_show_by_the_sample_s_own_calibration():
    sample = ToySamples()[0]
    made = collage(sample, Streets(), GRID, np.random.default_rng(0))
    assert made.elements == () and made.images.shape == sample.images.shape
    assert made.seen.semantic.shape == (4, *GRID.shape)
    np.testing.assert_array_equal(made.base_from_camera, sample.base_from_camera)
    centres = np.concatenate([GRID.cell_centres_m(), np.zeros((*GRID.shape, 1))], -1)
    found = []
    for camera in range(6):  # a cell in the middle of a line is seen on paint, which is the brightest there is
        pixels, depth = project(apply(inverse(made.base_from_camera[camera]), centres), made.intrinsics[camera])
        inside = (depth > 1) & (depth < 6) & (pixels >= 0).all(-1) & (pixels < np.array(SIZE) - 1).all(-1)
        col, row = np.round(pixels[inside]).astype(int).T
        bright = made.images[camera][row, col, 0] > 230
        found += list(made.seen.semantic[CLASS_IDS["divider"]][inside][bright] > 0)
    assert len(found) > 10 and np.mean(found) > 0.85
    assert (made.seen.semantic.sum(0) == 1).all() and made.seen.known[made.seen.semantic[0] == 0].all()
    assert 0.1 < made.seen.known.mean() < 1 and made.seen.semantic[CLASS_IDS["boundary"]].any()
    assert made.line_views.shape == (6, 2, SIZE[1] // 4, SIZE[0] // 4) and made.line_views[:, 0].any()


def test_masks_are_cut_as_their_images_are(monkeypatch):
    window = (0.3, 0.5, 0.6, 0.8)
    monkeypatch.setattr(street_collage, "window_at", lambda *_: window)
    made = collage(ToySamples()[0], Streets(), GRID, np.random.default_rng(0))
    whole = line_cells(street().mask, (0.0, 0.0, 1.0, 1.0), (SIZE[0] // 4, SIZE[1] // 4))
    expected = line_cells(street().mask, window, (SIZE[0] // 4, SIZE[1] // 4))
    assert np.mean(made.line_views[0] == expected) > 0.93 > np.mean(whole == expected)


def test_horizons_meet():
    sample = ToySamples()[0]
    assert horizon_row(sample, 0) == pytest.approx(sample.intrinsics[0][1, 2], abs=1)  # its cameras look level
    rng = np.random.default_rng(0)
    for wanted in (0.2, 0.5, 0.75):
        for seen in (0.35, 0.5, 0.6):
            left, top, right, bottom = window_at(street(seen), wanted, 2.0, rng)
            assert 0 <= left < right <= 1 + 1e-9 and -1e-9 <= top < bottom <= 1 + 1e-9
            assert (seen - top) / (bottom - top) == pytest.approx(wanted)
    assert horizon_of(street(0.45).mask) == pytest.approx(0.45, abs=0.03)
    nothing = replace(street().mask, surface=np.zeros(MASK_SIZE[::-1], np.uint8))
    assert horizon_of(nothing) == 0.5


@pytest.mark.parametrize("degrees", [-12, 0, 9])
def test_the_horizon_of_a_camera_that_looks_up_or_down(degrees):
    """Up, the horizon lies lower in the image: by the focal length times the angle's tangent."""
    sample = ToySamples()[0]
    up = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(up), -np.sin(up)], [np.sin(up), np.cos(up)]]  # about the camera's x, which points right
    poses = sample.base_from_camera.copy()
    poses[1] = poses[1] @ turn
    ahead = poses[1][:3, 2]
    assert np.rad2deg(np.arcsin(ahead[2])) == pytest.approx(degrees, abs=0.1)
    focal, middle = sample.intrinsics[1][1, 1:]
    row = horizon_row(replace(sample, base_from_camera=poses), 1)
    assert row == pytest.approx(middle + focal * np.tan(up), abs=0.1)


def test_labels_are_as_wide_as_drawn_ones_and_specks_are_left_out():
    ground = SeenGround(*(np.zeros(SeenGround.grid().shape, bool) for _ in range(3)))
    ground.known[:] = True
    ground.edge[150, 100:200] = True
    ground.paint[80:83, 120:123] = True
    labels = seen_map(ground, GRID)
    across = labels.semantic[CLASS_IDS["boundary"]][:, GRID.cols // 2].sum()
    assert 5 <= across <= 9 and not labels.semantic[CLASS_IDS["divider"]].any()
    assert not without_specks(ground.paint).any() and without_specks(ground.edge).sum() == 100
    for cells, kept in ((14, 0), (15, 15)):
        row = np.zeros((5, 30), bool)
        row[2, 3 : 3 + cells] = True
        assert without_specks(row).sum() == kept


def test_unknown_cells_teach_nothing():
    torch.manual_seed(0)
    config = TrainConfig(
        grid=GRID, model_options=OPTIONS, data=DataConfig(image_size=SIZE, streets=("x",)), loss=LossConfig(dice=1.0)
    )
    sample = collage(ToySamples()[0], Streets(), GRID, np.random.default_rng(0))
    batch = Collate(GRID)([sample, replace(ToySamples()[1], line_views=sample.line_views)])
    assert batch.known_cells[1].all() and not batch.known_cells[0].all()
    np.testing.assert_array_equal(batch.semantic[0].numpy(), sample.seen.semantic)
    network, objective = build_model("student", GRID, SIZE, OPTIONS), PerspectiveObjective(config)
    objective.prepare(network)
    prediction = network(batch)
    prediction.semantic.retain_grad()
    terms, _ = objective.terms(prediction, batch, 0)
    (terms["semantic"] + terms["dice"]).backward()
    gradient = prediction.semantic.grad.abs().sum(1)
    assert not gradient[~batch.known_cells].any() and gradient[batch.known_cells].min() > 0


def test_as_often_as_asked_for():
    share = StreetShare(Streets(), 0, 0.0, collages=0.3, grid=GRID)
    made = [share.added(ToySamples()[0], np.random.default_rng(k)).seen is not None for k in range(60)]
    assert 8 <= sum(made) <= 28


def test_where_paint_and_edge_meet_a_cell_is_boundary_and_edges_are_known():
    ground = SeenGround(*(np.zeros(SeenGround.grid().shape, bool) for _ in range(3)))
    ground.edge[150, 100:200] = True
    ground.paint[100:200, 150] = True
    labels = seen_map(ground, GRID)
    one = labels.semantic.astype(int)
    assert (one.sum(0) == 1).all(), "one class in every cell"
    divider, boundary = one[CLASS_IDS["divider"]], one[CLASS_IDS["boundary"]]
    row, col = np.floor(GRID.cells_from_metres(np.array([[0.05, 0.05]])))[0, ::-1].astype(int)
    assert boundary[row, col] == 1 and divider[row, col] == 0 and divider.any()
    assert (labels.known == (one[1:].max(0) > 0)).all(), "what is drawn counts, even where no camera saw the ground"


def test_a_collages_images_are_changed_as_the_others_are():
    class Darker(Streets):
        def changed(self, images, rng):
            return images // 2

    sample = ToySamples()[0]
    plain, darker = (collage(sample, s, GRID, np.random.default_rng(0)) for s in (Streets(), Darker()))
    np.testing.assert_array_equal(darker.images, plain.images // 2)
    np.testing.assert_array_equal(darker.seen.semantic, plain.seen.semantic)


def test_every_image_is_cut_to_the_horizon_of_its_own_camera(monkeypatch):
    sample, asked = ToySamples()[0], []
    poses = sample.base_from_camera.copy()
    for camera, degrees in enumerate(range(-5, 7, 2)):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        poses[camera, :3, :3] = poses[camera, :3, :3] @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    sample = replace(sample, base_from_camera=poses)
    monkeypatch.setattr(street_collage, "window_at", lambda *given: asked.append(given[1:3]) or window_at(*given))
    collage(sample, Streets(), GRID, np.random.default_rng(0))
    height, width = sample.images.shape[1:3]
    rows = [horizon_row(sample, camera) for camera in range(6)]
    assert asked == [(row / height, width / height) for row in rows] and np.ptp(rows) > 4 and len(set(rows)) == 6
