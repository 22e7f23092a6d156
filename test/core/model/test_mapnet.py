"""The papers' networks: sizes equal to the published ones, shapes, gradients, and faults that are not repeated."""
import pytest
import torch
from rigs import ring

from mapkd_core.grid import GRID_60X30, BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.model.efficientnet import UNUSED_PARAMETERS as TOP
from mapkd_core.types import IMAGE_SIZE, Batch

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
NARROW = {
    "encoder": "small", "camera_channels": 8, "lidar_channels": 8, "pillar_width": 8,
    "view_hidden": 32, "bev_width": 8, "mae_dim": 24, "mae_layers": 2, "mae_heads": 2,
}
SECOND_BRANCHES = 1625360 + 1628069
"""Embedding and direction heads of the coarse map, computed and thrown away in P-MapNet's HD stage."""
SECOND_POSITIONS = 1251 * 768
"""A position table of the released masked autoencoder's decoder that nothing reads."""
SPLAT_HEAD = 7851321
"""A whole BEV encoder inside the coach's lift-splat branch that nothing reads."""
STUDENT_PRIORS = 1377024 + 116992
"""Up-convolutions and attention layers that MapKD's student still carries and never calls."""


@pytest.mark.parametrize(
    ("name", "millions", "unused", "tolerance"),
    [
        ("hdmapnet", 78.28, TOP, 0.006),
        ("hdmapnet_fusion", 82.72, TOP, 0.006),
        ("pmapnet_c_sd", 78.90, TOP, 0.006),
        ("pmapnet_cl_sd", 86.10, TOP, 0.006),
        ("pmapnet_c_sd_hd", 195.61, TOP + SECOND_BRANCHES + SECOND_POSITIONS, 0.02),
        ("teacher", 202.81, TOP + SECOND_BRANCHES + SECOND_POSITIONS, 0.02),
        ("coach_sd", 99.65, 2 * TOP + SPLAT_HEAD, 0.05),
        ("mapkd_student", 82.17, TOP + STUDENT_PRIORS, 0.006),
    ],
)
def test_parameters_equal_the_published_networks_less_what_they_never_use(name, millions, unused, tolerance):
    with torch.device("meta"):
        model = build_model(name, GRID_60X30, IMAGE_SIZE)
    assert (sum(p.numel() for p in model.parameters()) + unused) / 1e6 == pytest.approx(millions, abs=tolerance)


def batch_of(count=2, points=300):
    intrinsics, poses = ring(size=(176, 64), focal=90.0)
    generator = torch.Generator().manual_seed(0)
    repeat = lambda m: torch.from_numpy(m).float()[None].repeat(count, 1, 1, 1)  # noqa: E731
    lidar = torch.rand(count, points, 5, generator=generator) * torch.tensor([24, 12, 2, 255, 0.1]) - torch.tensor(
        [12.0, 6, 0, 0, 0]
    )
    return Batch(
        torch.randn(count, 6, 3, 64, 176, generator=generator), repeat(intrinsics), repeat(poses),
        lidar=lidar, lidar_mask=torch.ones(count, points), sd_map=torch.ones(count, 1, *GRID.shape),
    )


FAMILY = [
    "hdmapnet", "hdmapnet_lidar", "hdmapnet_fusion", "pmapnet_c_sd", "pmapnet_c_sd_hd", "pmapnet_cl_sd",
    "teacher", "coach_sd", "coach", "mapkd_student",
]


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("view", ["mlp", "pillars"])
def test_shapes_and_gradients(name, view):
    torch.manual_seed(0)
    model = build_model(name, GRID, (176, 64), {**NARROW, "view": view})
    for parameter in model.parameters():  # norms that start at zero would hide what lies behind them
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.2)
    prediction = model(batch_of())
    assert prediction.semantic.shape == (2, 4, *GRID.shape)
    assert prediction.embedding.shape == (2, 16, *GRID.shape)
    assert prediction.direction.shape == (2, 37, *GRID.shape)
    outputs = (prediction.semantic, prediction.embedding, prediction.direction)
    sum((output * torch.randn_like(output)).mean() for output in outputs).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


@pytest.mark.parametrize("name", ["teacher", "coach", "pmapnet_c_sd", "mapkd_student"])
def test_features_may_live_on_larger_cells_than_the_map(name):
    options = {**NARROW, "encoder": "trunk", "lift_encoder": "small", "view": "pillars", "bev_factor": 2}
    model = build_model(name, GRID, (176, 64), {**options, "outputs": ["semantic"]})
    prediction = model(batch_of())
    assert prediction.semantic.shape == (2, 4, *GRID.shape) and prediction.embedding is None
    assert prediction.taps["full_bev"].shape[-2:] == (GRID.rows // 2, GRID.cols // 2)
    assert prediction.taps["cam_bev"].shape[-2:] == (GRID.rows // 2, GRID.cols // 2)


def test_dropout_of_the_sd_prior_can_be_left_out():
    def twice(rate):
        network = build_model("pmapnet_c_sd", GRID, (176, 64), {**NARROW, "sd_dropout": rate})
        with torch.no_grad():
            return [network(batch_of()).taps["bev_sd"] for _ in range(2)]

    assert torch.equal(*twice(0.0)) and not torch.equal(*twice(0.1))
    with pytest.raises(ValueError, match=r"sd_dropout is 1\.0; expected 0 or more, below 1"):
        build_model("pmapnet_c_sd", GRID, (176, 64), {**NARROW, "sd_dropout": 1.0})


def test_full_size_output_of_hdmapnet():
    model = build_model("hdmapnet", GRID_60X30, IMAGE_SIZE).eval()
    intrinsics, poses = ring()
    calibration = (torch.from_numpy(m)[None].float() for m in (intrinsics, poses))
    batch = Batch(torch.randn(1, 6, 3, 128, 352), *calibration)
    with torch.inference_mode():
        prediction = model(batch)
    assert prediction.semantic.shape == (1, 4, 200, 400)
    assert prediction.taps["cam_bev"].shape == (1, 64, 200, 400)
    assert prediction.taps["up1"].shape == (1, 256, 100, 200)


def test_missing_inputs_are_named():
    batch = batch_of()
    batch.sd_map = None
    with pytest.raises(ValueError, match="sd_map"):
        build_model("pmapnet_c_sd", GRID, (176, 64), NARROW)(batch)
    batch.lidar = None
    with pytest.raises(ValueError, match="LiDAR"):
        build_model("hdmapnet_fusion", GRID, (176, 64), NARROW)(batch)


@pytest.mark.parametrize("name", ["hdmapnet", "mapkd_student", "coach"])
@pytest.mark.parametrize("view", ["mlp", "pillars"])
def test_images_of_another_size_are_refused(name, view):
    with pytest.raises(ValueError, match="images of 176x64, the network was built for 352x128"):
        build_model(name, GRID, IMAGE_SIZE, {**NARROW, "view": view})(batch_of())


def test_image_features_must_cover_the_images():
    with pytest.raises(ValueError, match=r"data\.image_size is 88x32; expected multiples of 16"):
        build_model("hdmapnet", GRID, (88, 32), NARROW)


def test_two_forwards_give_the_same():
    """MapKD's released student makes a new random convolution in every call."""
    model = build_model("mapkd_student", GRID, (176, 64), NARROW).eval()
    batch = batch_of()
    with torch.inference_mode():
        assert torch.equal(model(batch).semantic, model(batch).semantic)


def test_a_network_whose_weights_come_next_draws_none():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    empty = build_model("pmapnet_c_sd", GRID, (176, 64), NARROW, for_weights=True)
    assert torch.equal(torch.random.get_rng_state(), before)
    drawn = build_model("pmapnet_c_sd", GRID, (176, 64), NARROW)
    assert not torch.equal(torch.random.get_rng_state(), before)
    assert empty.state_dict().keys() == drawn.state_dict().keys()
    empty.load_state_dict(drawn.state_dict())
    with torch.no_grad():
        outputs = [network.eval()(batch_of(1)).semantic for network in (empty, drawn)]
    assert torch.equal(*outputs)


@pytest.mark.parametrize("factor", [1, 2])
def test_thin_roads_survive_on_larger_cells(factor):
    torch.manual_seed(0)
    options = {**NARROW, "view": "pillars", "bev_factor": factor}
    model, batch, given = build_model("pmapnet_c_sd", GRID, (176, 64), options).eval(), batch_of(1), []
    model.sd_prior.register_forward_pre_hook(lambda _, arguments: given.append(arguments[1]))
    batch.sd_map = torch.full((1, 1, *GRID.shape), -1.0)
    batch.sd_map[..., 7, :] = 1.0  # one cell wide
    with torch.no_grad():
        model(batch)
    roads = (given[0] == 1).nonzero()
    assert given[0].shape[-2:] == (GRID.rows // factor, GRID.cols // factor)
    assert set(given[0].unique().tolist()) == {-1, 1}
    assert set(roads[:, 2].tolist()) == {7 // factor} and len(roads) == GRID.cols // factor


def test_the_hd_prior_reads_class_probabilities():
    torch.manual_seed(0)
    model, given = build_model("pmapnet_c_sd_hd", GRID, (176, 64), {**NARROW, "view": "pillars"}).eval(), []
    model.hd_prior.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    with torch.no_grad():
        prediction = model(batch_of(1))
    assert torch.allclose(given[0], prediction.taps["coarse"].softmax(1))
