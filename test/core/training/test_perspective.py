from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from tiny_student import GRID, OPTIONS, SIZE, tiny_rig
from torch.nn import functional
from toy import ToySamples

from mapkd_core.config import DataConfig, LossConfig, TrainConfig
from mapkd_core.data.image_masks import UNKNOWN
from mapkd_core.data.sample import StreetViews
from mapkd_core.model.build import build_model
from mapkd_core.training import batches as loading
from mapkd_core.training.objective import TaskObjective
from mapkd_core.training.perspective import PerspectiveHead, PerspectiveObjective, line_bce, map_objective
from mapkd_core.training.street_share import StreetShare
from mapkd_core.types import Batch

CONFIG = TrainConfig(
    grid=GRID, model_options=OPTIONS, data=DataConfig(image_size=SIZE, streets=("images",), street_masks="masks"),
    loss=LossConfig(surface=0.5, lines=2.0), batch_size=2,
)


class Streets:
    """In the place of a folder of images."""

    def draw(self, count, rng):
        w, h = SIZE
        return StreetViews(
            rng.integers(0, 256, (count, h, w, 3), np.uint8), rng.integers(0, 6, (count, h // 4, w // 4), np.uint8),
            rng.integers(0, 2, (count, 2, h // 4, w // 4)).astype(np.float32),
        )  # fmt: skip

    def style(self, rng):
        return rng.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)


def batch(streets=True):
    intrinsics, poses = tiny_rig()
    w, h = SIZE
    made = Batch(
        torch.randn(2, 6, 3, h, w), torch.tensor(np.stack([intrinsics] * 2)).float(),
        torch.tensor(np.stack([poses] * 2)).float(), semantic=torch.zeros(2, 4, *GRID.shape),
        line_views=torch.zeros(2, 6, 2, h // 4, w // 4),
    )  # fmt: skip
    if streets:
        made.street_images, made.street_lines = torch.randn(3, 3, h, w), torch.ones(3, 2, h // 4, w // 4)
        made.street_surface = torch.full((3, h // 4, w // 4), 4, dtype=torch.uint8)
    return made


def test_real_images_go_through_the_trunk_and_leave_the_map_as_it_is():
    torch.manual_seed(0)
    network = build_model("student", GRID, SIZE, OPTIONS).eval()
    made = batch()
    with torch.inference_mode():
        together, alone = network(made), network(replace(made, street_images=None))
        torch.testing.assert_close(together.semantic, alone.semantic)
        torch.testing.assert_close(together.taps["streets"], network.trunk(made.street_images))
    assert "streets" not in alone.taps


def test_terms_by_hand_and_what_they_reach():
    torch.manual_seed(0)
    network = build_model("student", GRID, SIZE, OPTIONS)
    objective = PerspectiveObjective(CONFIG)
    objective.prepare(network)
    made = batch()
    made.street_surface[0] = UNKNOWN
    prediction = network(made)
    terms, weights = objective.terms(prediction, made, 0)
    surface, found = objective.modules(prediction.taps["streets"])
    probability = surface.softmax(1)[1:, 4]
    torch.testing.assert_close(terms["surface"], -probability.log().mean())
    views = objective.modules(prediction.taps["image"].flatten(0, 1))[1]
    expected = (functional.softplus(views).mean() + 4 * functional.softplus(-found).mean()) / 2  # all 0, all 1
    torch.testing.assert_close(terms["lines"], expected)
    assert weights["surface"] == 0.5 and weights["lines"] == 2.0 and "semantic" in terms
    (terms["surface"] + terms["lines"]).backward()
    assert all(p.grad is not None and p.grad.any() for p in objective.modules.parameters())
    assert network.trunk.stem[0][0].weight.grad.any() and network.heads["semantic"].parameters
    assert all(p.grad is None for p in network.bev.parameters())  # no map is asked of real images


def test_lines_count_four_times():
    assert line_bce(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)) == pytest.approx(np.log(2))
    assert line_bce(torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)) == pytest.approx(4 * np.log(2))


def test_without_real_images_in_the_batch_the_views_lines_are_left():
    torch.manual_seed(0)
    network = build_model("student", GRID, SIZE, OPTIONS)
    objective = PerspectiveObjective(CONFIG)
    objective.prepare(network)
    made = batch(streets=False)
    terms, _ = objective.terms(network(made), made, 0)
    assert "lines" in terms and "surface" not in terms
    assert isinstance(objective.modules, PerspectiveHead) and not any("hidden" in k for k in network.state_dict())


def test_cells_that_nobody_labels_teach_the_map_nothing():
    torch.manual_seed(0)
    network = build_model("student", GRID, SIZE, OPTIONS)
    objective = PerspectiveObjective(CONFIG)
    objective.prepare(network)
    made = batch()
    made.semantic[:, 0] = 1
    made.known_cells = torch.zeros(2, *GRID.shape, dtype=torch.bool)
    prediction = network(made)
    terms, _ = objective.terms(prediction, made, 0)
    assert terms["semantic"] < 1e-6 and terms["lines"] > 0.1
    made.known_cells[0] = True
    assert objective.terms(prediction, made, 0)[0]["semantic"] > 0.1


def test_which_objective_and_for_which_network():
    assert type(map_objective(CONFIG)) is PerspectiveObjective
    assert type(map_objective(replace(CONFIG, data=DataConfig()))) is TaskObjective
    with pytest.raises(ValueError, match="not of hdmapnet"):
        map_objective(replace(CONFIG, model="hdmapnet", model_options={}))
    with pytest.raises(ValueError, match="needs a teacher"):
        map_objective(replace(CONFIG, data=replace(CONFIG.data, unlabelled="x")))


@pytest.fixture
def street_data(monkeypatch):
    monkeypatch.setattr(loading, "open_samples", lambda *a, **k: ToySamples(5))
    monkeypatch.setattr(StreetShare, "of", classmethod(lambda cls, config: cls(Streets(), 2, config.augment.style)))


@pytest.mark.parametrize("style", [0.0, 1.0])
def test_batches_carry_them_and_go_on_as_before(street_data, style):
    config = replace(CONFIG, augment=replace(CONFIG.augment, style=style))
    whole = list(islice(loading.training_batches(config), 4))
    later = list(islice(loading.training_batches(config, first_batch=2), 2))
    one = whole[0]
    assert one.street_images.shape == (4, 3, SIZE[1], SIZE[0])
    assert one.street_surface.shape == (4, SIZE[1] // 4, SIZE[0] // 4)
    assert one.line_views.shape == (2, len(one.images[0]), 2, SIZE[1] // 4, SIZE[0] // 4)
    for a, b in zip(whole[2:], later, strict=True):
        assert a.tokens == b.tokens
        for name in ("images", "street_images", "street_surface", "street_lines", "line_views"):
            assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_a_streamed_cache_is_refused():
    config = replace(CONFIG, data=replace(CONFIG.data, train="cache:https://example.org/train"))
    with pytest.raises(ValueError, match=r"data\.streets or data\.window it must be a local folder"):
        loading.training_batches(config)


def test_the_head_is_a_convolution_a_relu_and_one_logit_for_each_surface_and_line():
    torch.manual_seed(1)
    head = PerspectiveHead(5)
    features = torch.randn(2, 5, 4, 6)
    surface, lines = head(features)
    hidden = functional.conv2d(features, head.hidden.weight, head.hidden.bias, padding=1)
    assert hidden.shape[1] == 32 and (hidden < -0.1).any()
    expected = torch.einsum("bhyx,ch->bcyx", hidden.clamp(min=0), head.out.weight[..., 0, 0])
    expected = expected + head.out.bias[:, None, None]
    torch.testing.assert_close(torch.cat([surface, lines], 1), expected, rtol=1e-4, atol=1e-5)
    assert surface.shape == (2, 6, 4, 6) and lines.shape == (2, 2, 4, 6)


def test_lines_drawn_one_over_another_count_once():
    logits = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    target = (torch.rand(1, 2, 3, 4, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    torch.testing.assert_close(line_bce(logits, 2 * target), line_bce(logits, target))
