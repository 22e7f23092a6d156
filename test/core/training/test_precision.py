"""Mixed precision: every role and method trains in bfloat16, metres stay whole, loss scaling skips what overflows."""
from dataclasses import replace

import pytest
import torch
from distill_bench import COACH, GRID, NARROW, STUDENT, TEACHER, batch_of, config, network
from lightning_fabric.plugins import MixedPrecision
from toy import SIZE, ToySamples

from mapkd_core.config import TrainConfig
from mapkd_core.distill.frozen import FrozenNetworks
from mapkd_core.distill.methods import METHODS
from mapkd_core.distill.objective import DistillObjective
from mapkd_core.losses import task_terms
from mapkd_core.model.neural_ipm import GroundWarp
from mapkd_core.model.pillar_sampling import PillarSampling
from mapkd_core.model.ray_points import ray_points
from mapkd_core.training import batches as loading
from mapkd_core.training import loop as training
from mapkd_core.training.objective import TaskObjective
from mapkd_core.training.precision import MixedPrecisionOfWholeInputs


@pytest.fixture(autouse=True)
def toy_data(monkeypatch):
    torch.set_num_threads(1)
    batch = batch_of(2)
    monkeypatch.setattr(training, "training_batches", lambda config, first, *rest: iter([batch] * 99))
    monkeypatch.setattr(training, "validation_batches", lambda config, *rest: [batch])
    monkeypatch.setattr(loading, "open_samples", lambda spec, config: ToySamples(1))


def plan(tmp_path, **changes):
    return replace(
        config(), **{"out": str(tmp_path), "steps": 1, "batch_size": 2, "log_every": 1, "val_every": 99,
                     "save_every": 99, "schedule": "constant", **changes}
    )


def first_loss(tmp_path, objective_of, **changes):
    c = plan(tmp_path, **changes)
    with training.open_run(c, objective_of(c), restart=True) as (run, _):
        loss = run.advance(iter([batch_of(2)]))
        assert all(p.dtype == torch.float32 for p in run.trained.parameters())
        assert all(torch.isfinite(p).all() for p in run.trained.parameters())
    return loss


@pytest.mark.parametrize("role", ["student", "hdmapnet", "hd_prior", COACH, "teacher"])
def test_every_role_trains_in_bfloat16(role, tmp_path):
    options = STUDENT if role == "student" else NARROW
    changes = {"model": role, "model_options": options}
    whole, half = (
        first_loss(tmp_path, TaskObjective, precision=precision, **changes)
        for precision in ("32-true", "bf16-mixed")
    )
    assert half == pytest.approx(whole, rel=0.03) and half != whole, "nothing was computed in half precision"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_in_bfloat16_with_its_teachers(method, tmp_path):
    seen = []
    teacher, coach = network(TEACHER, 2), network(COACH, 3)
    teacher.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        losses[precision] = first_loss(
            tmp_path, lambda c: DistillObjective(c, FrozenNetworks(teacher, coach, precision=c.precision)),
            method=method, precision=precision,
        )
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.05)
    if method != "none":
        assert seen[-1] and not seen[0], "the teacher answers in the run's precision"


def test_gradients_are_compared_in_bfloat16_as_in_float32(tmp_path):
    """A method's calibration asks for gradients before the step's own."""
    teacher, coach, factors = network(TEACHER, 2), network(COACH, 3), []
    for precision in ("32-true", "bf16-mixed"):
        c = plan(tmp_path, method="mapkd", precision=precision, calibrate_steps=1)
        objective = DistillObjective(c, FrozenNetworks(teacher, coach, precision=precision))
        with training.open_run(c, objective, restart=True) as (run, _):
            run.advance(iter([batch_of(2)]))
        factors.append(float(objective.modules["calibration"].ratios[0]))
    assert factors[0] > 0 and factors[1] == pytest.approx(factors[0], rel=0.2)
    with pytest.raises(ValueError, match="calibrate_steps compares gradients"):
        replace(c, precision="16-mixed")


def test_metres_and_pixels_are_the_same_in_half_precision():
    """In bfloat16 a cell 11 m away would be looked up in another pixel."""
    batch, feature = batch_of(1), (SIZE[0] // 8, SIZE[1] // 8)
    pillars = PillarSampling(GRID)
    depths, points = torch.arange(1.5, 30.0), network(TEACHER).lidar
    ground = torch.rand(1, 6, 3, 8, 16)
    found = []
    for half in (False, True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            look = pillars.lookup(batch.intrinsics, batch.base_from_camera, SIZE, feature)
            rays = ray_points(batch.intrinsics, batch.base_from_camera, SIZE, feature, depths)
            warp = GroundWarp(GRID, (8, 16))
            warped = warp(ground, warp.lookup(batch.base_from_camera))
            found.append((look.pixel, look.weight, rays, warped, points(batch.lidar, batch.lidar_mask)))
    assert all(torch.equal(whole, half) for whole, half in zip(found[0][:4], found[1][:4], strict=True))
    assert found[1][4].dtype == torch.bfloat16
    spread = found[0][4].std()
    assert (found[0][4] - found[1][4]).abs().max() < 0.1 * spread, "points enter whole, convolutions do not"


class Scaled(MixedPrecisionOfWholeInputs):
    """float16's loss scaling on a CPU, with networks in bfloat16, since few float16 kernels exist there."""

    def __init__(self, scale):
        MixedPrecision.__init__(self, "16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))
        self._desired_input_dtype = torch.bfloat16


def test_loss_scaling_leaves_out_steps_that_overflow_and_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "precision_plugin", lambda *_: Scaled(2.0**127))
    c = plan(tmp_path, steps=9, precision="16-mixed")
    with training.open_run(c, TaskObjective(TrainConfig(loss=c.loss))) as (run, _):
        moved = []
        for _ in range(2):
            before = [p.clone() for p in run.trained.parameters()]
            run.advance(iter([batch_of(2)]))
            moved.append(any(not torch.equal(a, b) for a, b in zip(before, run.trained.parameters(), strict=True)))
        assert moved == [False, True] and training.loss_scale(run.fabric) == 2.0**126
        run._save("last.pt")
    with training.open_run(c, TaskObjective(TrainConfig(loss=c.loss))) as (run, resuming):
        assert resuming and training.loss_scale(run.fabric) == 2.0**127
        run.resume()
        assert training.loss_scale(run.fabric) == 2.0**126


def test_gradients_that_are_not_finite_stop_without_scaling(tmp_path):
    class Steep(TaskObjective):
        def terms(self, prediction, batch, step):
            terms, weights = super().terms(prediction, batch, step)
            zero = prediction.semantic.sum() * 0
            return {**terms, "steep": torch.sqrt(zero)}, {**weights, "steep": 1.0}

    c = plan(tmp_path)
    with pytest.raises(FloatingPointError, match=r"gradient of the network \(norm nan\) at step 0 is not finite"):
        training.train(c, Steep(TrainConfig(loss=c.loss)))


def test_train_only_modules_are_clipped_by_themselves(tmp_path):
    """A method's steep module must not shorten the student's step."""
    class Beside(TaskObjective):
        def prepare(self, network):
            self.modules = torch.nn.Linear(1, 1)

        def terms(self, prediction, batch, step):
            terms = task_terms(prediction, batch, self.config.loss)
            return {**terms, "beside": self.modules.weight.sum() * 1e6}, {**vars(self.config.loss), "beside": 1.0}

    norms = []
    for kind in (TaskObjective, Beside):
        c = plan(tmp_path, clip_norm=0.01)
        with training.open_run(c, kind(TrainConfig(loss=c.loss)), restart=True) as (run, _):
            run.optimizer.optimizer.register_step_pre_hook(lambda *_, run=run: norms.append(
                torch.stack([p.grad.norm() for p in run._plain().parameters() if p.grad is not None]).norm()
            ))
            run.advance(iter([batch_of(2)]))
    assert float(norms[0]) == pytest.approx(0.01, rel=1e-3) and float(norms[1]) == pytest.approx(0.01, rel=1e-3)


def test_precisions_that_do_not_exist_here_are_refused(tmp_path):
    with pytest.raises(ValueError, match="precision is 'bf16'; expected one of"):
        plan(tmp_path, precision="bf16")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="16-mixed, which needs a GPU"):
            training.train(plan(tmp_path, precision="16-mixed"))
