"""A teacher on larger cells sees what it was trained on, and its lines come out where they were, as thin as labels."""
import numpy as np
import pytest
import torch
from distill_bench import GRID, SIZE, batch_of, config, network

from mapkd_core.distill.coarser import CoarserTeacher, thinned
from mapkd_core.distill.frozen import FrozenNetworks
from mapkd_core.distill.objective import DistillObjective
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.types import Prediction


class Seen(torch.nn.Module):
    """Keeps its batch, answers with one sharp line along x, five cells wide."""

    def __init__(self):
        super().__init__()
        self.anything = torch.nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        self.batch = batch
        rows, cols = batch.sd_map.shape[-2:]
        semantic = torch.full((len(batch.images), 4, rows, cols), -20.0)
        semantic[:, 0] = 20
        semantic[:, 0, 8:13], semantic[:, 2, 8:13] = -20.0, 20.0
        return Prediction(semantic)


def fine_teacher():
    seen = Seen()
    half = (SIZE[0] // 2, SIZE[1] // 2)
    return seen, CoarserTeacher(seen, GRID.scaled(2), half, GRID, SIZE)


def test_images_calibration_and_roads_shrink_together():
    seen, teacher = fine_teacher()
    batch = batch_of()
    batch.images = torch.randn(batch.images.shape, generator=torch.Generator().manual_seed(0))
    batch.sd_map = torch.full_like(batch.sd_map, -1)
    batch.sd_map[..., 18:23, :] = 1                     # a road drawn five cells wide
    teacher(batch)
    given = seen.batch
    assert given.images.shape[-2:] == (SIZE[1] // 2, SIZE[0] // 2)
    torch.testing.assert_close(given.images[..., 0, 0], batch.images[..., :2, :2].mean((-2, -1)))
    point = torch.tensor([0.3, -0.2, 1.0])
    u, v, _ = (batch.intrinsics[0, 0] @ point).tolist()
    small_u, small_v, _ = (given.intrinsics[0, 0] @ point).tolist()
    # Fine pixels 0 and 1 become coarse pixel 0: their common centre 0.5 becomes 0.
    assert small_u == pytest.approx((u - 0.5) / 2, abs=1e-4) and small_v == pytest.approx((v - 0.5) / 2, abs=1e-4)
    assert given.sd_map.shape[-2:] == (GRID.rows // 2, GRID.cols // 2)
    assert 4 <= int((given.sd_map[0, 0, :, 5] > 0).sum()) <= 6


def test_lines_come_out_where_they_were_and_thin():
    _, teacher = fine_teacher()
    probability = teacher(batch_of()).semantic.softmax(1)
    assert probability.shape == (2, 4, *GRID.shape)
    on_line = (probability[0, 2, :, 30] > 0.5).nonzero().flatten()
    assert on_line.float().mean().item() == pytest.approx(2 * 10.5 - 0.5)   # the middle of rows 8..12, twice as fine
    assert 5 <= len(on_line) <= 7
    torch.testing.assert_close(probability.sum(1), torch.ones_like(probability[:, 0]))


def test_thinning_keeps_probabilities():
    soft = torch.randn(1, 4, 6, 8).softmax(1)
    for factor in (1, 2, 3):
        fine = thinned(soft, factor)
        assert fine.shape == (1, 4, 6 * factor, 8 * factor) and (fine >= 0).all()
        torch.testing.assert_close(fine.sum(1), torch.ones(1, 6 * factor, 8 * factor))
    torch.testing.assert_close(thinned(soft, 1), soft)


def slow_thinned(probability, factor):
    """Bilinear between cell centres, each class's least value around, what is lost to the background."""
    count, _, rows, cols = probability.shape
    fine = np.zeros((count, 4, rows * factor, cols * factor))
    for r, c in np.ndindex(rows * factor, cols * factor):
        y, x = (min(max((k + 0.5) / factor - 0.5, 0), n - 1) for k, n in ((r, rows), (c, cols)))
        y0, x0 = int(y), int(x)
        y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, cols - 1)
        fine[..., r, c] = (1 - y + y0) * ((1 - x + x0) * probability[..., y0, x0] + (x - x0) * probability[..., y0, x1])
        fine[..., r, c] += (y - y0) * ((1 - x + x0) * probability[..., y1, x0] + (x - x0) * probability[..., y1, x1])
    edge = 5 * (factor - 1) // 2
    result = np.zeros_like(fine)
    for r, c in np.ndindex(rows * factor, cols * factor):
        around = fine[:, 1:, max(r - edge, 0) : r + edge + 1, max(c - edge, 0) : c + edge + 1]
        result[:, 1:, r, c] = around.min((2, 3))
    result[:, 0] = np.maximum(1 - result[:, 1:].sum(1), 0)
    return result


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_thinning_written_out(factor):
    soft = torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(0)).softmax(1)
    np.testing.assert_allclose(thinned(soft, factor), slow_thinned(soft.double().numpy(), factor), atol=1e-5)


def test_the_map_is_the_thinned_one_of_the_teachers_class_probabilities():
    """Of logits that are sure of nothing, where one sigmoid a class would be another map."""
    logits = torch.randn(2, 4, GRID.rows // 2, GRID.cols // 2, generator=torch.Generator().manual_seed(3))

    class Unsure(Seen):
        def forward(self, batch):
            return Prediction(logits, taps={"enc3": logits[:, :2]})

    teacher = CoarserTeacher(Unsure(), GRID.scaled(2), (SIZE[0] // 2, SIZE[1] // 2), GRID, SIZE)
    answer = teacher(batch_of())
    expected = thinned(logits.softmax(1), 2).clamp(min=1e-6)
    torch.testing.assert_close(answer.semantic.exp(), expected)
    assert torch.equal(answer.taps["enc3"], logits[:, :2]), "features as they are"


@pytest.mark.parametrize(("cells", "images"), [(2, 1), (1, 2), (3, 1)])
def test_cells_or_images_alone_may_be_larger(cells, images):
    size = (SIZE[0] // images, SIZE[1] // images)
    grid = GRID if cells < 3 else BevGrid((-9.0, 9.0), (-9.0, 9.0), 0.5)
    seen = Seen()
    teacher = CoarserTeacher(seen, grid.scaled(cells), size, grid, SIZE)
    batch = batch_of()
    if cells == 3:
        batch.sd_map = torch.full((2, 1, *grid.shape), -1.0)
    answer = teacher(batch)
    assert answer.semantic.shape == (2, 4, *grid.shape) and (teacher.factor, teacher.shrink) == (cells, images)
    assert seen.batch.images.shape[-2:] == size[::-1]
    assert seen.batch.sd_map.shape[-2:] == (grid.rows // cells, grid.cols // cells)
    focal, center = batch.intrinsics[0, 0, 0, 0], batch.intrinsics[0, 0, 0, 2]
    small = seen.batch.intrinsics[0, 0]
    assert small[0, 0].item() == pytest.approx(focal.item() / images)
    assert small[0, 2].item() == pytest.approx((center.item() + 0.5) / images - 0.5, abs=1e-4), "by the images' size"
    torch.testing.assert_close(answer.semantic.exp().sum(1), torch.ones(2, *grid.shape), atol=1e-4, rtol=0)
    assert answer.semantic.min().item() == pytest.approx(np.log(1e-6), rel=1e-4)


def test_without_an_sd_map_there_is_none():
    class Plain(Seen):
        def forward(self, batch):
            assert batch.sd_map is None
            return Prediction(torch.zeros(2, 4, GRID.rows // 2, GRID.cols // 2), taps={"enc3": torch.ones(1)})

    teacher = CoarserTeacher(Plain(), GRID.scaled(2), (SIZE[0] // 2, SIZE[1] // 2), GRID, SIZE)
    batch = batch_of()
    batch.sd_map = None
    assert set(teacher(batch).taps) == {"enc3"}


def test_a_student_learns_from_it():
    student = network("student", 1)
    wide = CoarserTeacher(Seen(), GRID.scaled(2), (SIZE[0] // 2, SIZE[1] // 2), GRID, SIZE)
    objective = DistillObjective(config(method="balanced"), FrozenNetworks(wide))
    objective.prepare(student)
    batch = batch_of()
    terms, weights = objective.terms(student(batch), batch, 0)
    assert terms["kd_lines"] > 0 and weights["kd_lines"] == 1
    terms["kd_lines"].backward()
    assert any(p.grad.abs().sum() > 0 for p in student.parameters())


def test_features_cover_the_same_ground_with_fewer_cells():
    """A student of the fine grid can follow a whole network of the coarse one at `bev_small`."""
    torch.manual_seed(0)
    student = network("student", 1)
    half = (SIZE[0] // 2, SIZE[1] // 2)
    coarse = build_model("student", GRID.scaled(2), half, {"variant": "nano"})
    objective = DistillObjective(
        config(method="pyramid", method_options={"feature_weight": 0.5}),
        FrozenNetworks(CoarserTeacher(coarse, GRID.scaled(2), half, GRID, SIZE)),
    )
    objective.prepare(student)
    batch = batch_of()
    terms, _ = objective.terms(student(batch), batch, 0)
    terms["kd_feature"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.parameters())


@pytest.mark.parametrize(
    ("theirs", "size"),
    [
        (GRID.scaled(2), (90, 48)),
        (BevGrid((-12.0, 12.0), (-3.0, 3.0), 0.6), SIZE),
        (BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.4), SIZE),
    ],
)
def test_sizes_that_do_not_fit_are_refused(theirs, size):
    with pytest.raises(ValueError, match="whole multiple"):
        CoarserTeacher(Seen(), theirs, size, GRID, SIZE)
