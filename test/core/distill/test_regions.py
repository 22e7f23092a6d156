"""Regions: masks and line maps where lines are, keypoints and samples at their metres."""
import numpy as np
import pytest
import torch

from mapkd_core.data.raster import rasterize
from mapkd_core.distill.regions import Regions, along
from mapkd_core.grid import BevGrid
from mapkd_core.types import Batch, MapElement

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
LINE = MapElement("divider", np.array([[-9, 0.15], [9, 0.15]], np.float32))
SHORT = MapElement("boundary", np.array([[-6, 4], [-3, 4]], np.float32))


def regions(elements=(LINE, SHORT)):
    drawn = rasterize(elements, GRID)
    batch = Batch(
        torch.zeros(1, 6, 3, 4, 4), torch.zeros(1, 6, 3, 3), torch.zeros(1, 6, 4, 4),
        semantic=torch.from_numpy(drawn.semantic)[None], instance=torch.from_numpy(drawn.instance)[None],
        elements=[tuple(elements)],
    )
    return Regions(batch, GRID)


def test_a_thin_line_survives_pooling():
    at = regions().foreground((5, 10))
    assert at.shape == (1, 1, 5, 10) and at[0, 0, 2].max() == 1 and at[0, 0, 0].max() == 0


def test_line_maps_are_gaussians_of_metres():
    heat = regions().heat()[0]
    row, col = 20, 40  # the cell of (0.15, 0.15), on the line
    assert heat[0, row, col] == 1
    assert heat[0, row + 2, col].item() == pytest.approx(np.exp(-(0.6**2) / (2 * 0.5**2)), rel=1e-4)
    assert heat[1].max() < 1e-6, "no crossing, no heat"


def test_an_instance_counts_by_the_root_of_its_area():
    scale = regions().instance_scale(GRID.shape)[0, 0]
    ids = regions().batch.instance[0]
    for number in (1, 2):
        assert torch.allclose(scale[ids == number], (ids == number).sum().float().rsqrt())
    assert (scale[ids == 0] == 0).all() and (ids == 2).any()


def test_false_positives_are_away_from_lines():
    logits = torch.full((1, 4, *GRID.shape), -9.0)
    logits[0, 1, 5], logits[0, 1, 20] = 9.0, 9.0
    mask = regions().false_positives(logits, GRID.shape)[0, 0]
    assert mask[5].all() and not mask[20, 15:65].any() and mask.sum() < 2.5 * GRID.cols


def test_sampling_a_ramp_gives_the_metres():
    centres = torch.from_numpy(GRID.scaled(2).cell_centres_m()).float().permute(2, 0, 1)  # 2 h w
    points = regions().keypoints_m(9)[0]
    assert points.shape == (2, 9, 2)
    assert torch.allclose(regions().sample(centres, points), points, atol=1e-4)


def test_keypoints_are_evenly_spaced_and_rings_have_a_centre():
    bent = MapElement("divider", np.array([[0, 0], [1, 0], [1, 3]], np.float32))
    assert np.allclose(along(bent, 5), [[0, 0], [1, 0], [1, 1], [1, 2], [1, 3]])
    ring = np.array([[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]], np.float32)
    points = along(MapElement("ped_crossing", ring, closed=True), 9)
    assert points.shape == (9, 2) and np.allclose(points[8], [1, 1]) and np.allclose(points[1], [1, 0])


def test_ribbons_lie_beside_their_line():
    ribbon = regions().ribbons_m(24, np.linspace(-0.8, 0.8, 9), 16, 0)[0]
    assert ribbon.shape == (2, 216, 2)
    assert torch.allclose(ribbon[0, :, 1].unique().sort()[0][[0, -1]], torch.tensor([-0.65, 0.95]), atol=1e-4)
    assert len(regions([LINE] * 9).ribbons_m(4, np.zeros(1), 3, 0)[0]) == 3


def test_no_lines():
    empty = regions(())
    assert empty.keypoints_m(9)[0].shape == (0, 9, 2)
    assert empty.ribbons_m(24, np.zeros(9), 16, 0)[0].shape == (0, 216, 2)
    assert empty.heat().max() == 0 and empty.foreground().max() == 0 and empty.instance_scale((5, 10)).max() == 0
