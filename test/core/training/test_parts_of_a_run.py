"""Parts of a run by themselves: the average's decay, rates, seeds, processes, what counts as a run, what is loaded."""
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from distill_bench import GRID, STUDENT
from torch import nn
from toy import SIZE, ToySamples

from mapkd_core.config import DataConfig, LossConfig, TrainConfig, config_dict
from mapkd_core.data.dataset import Collate
from mapkd_core.training import batches as loading
from mapkd_core.training import loop as training
from mapkd_core.training.averaging import averaged_model
from mapkd_core.training.checkpoint import claim_run_folder, load_checkpoint, save_checkpoint
from mapkd_core.training.gradients import apply_gradients, average_gradients, finite_everywhere
from mapkd_core.training.objective import TaskObjective
from mapkd_core.training.pseudo_labels import draw_unknown_labels
from mapkd_core.training.random_state import RandomState, draws_random_numbers, seed_process
from mapkd_core.training.trained import load_run, trained_network
from mapkd_core.types import CAMERAS, Prediction


@pytest.mark.parametrize(("ema", "step", "kept"), [
    (0.999, 0, 1 / 10), (0.999, 5, 6 / 15), (0.999, 90, 91 / 100), (0.999, 20_000, 0.999), (0.5, 8, 0.5),
    (0.5, 7, 8 / 17),
])  # fmt: skip
def test_the_averages_decay_grows_with_the_steps_up_to_the_configs(ema, step, kept):
    run = training.Run.__new__(training.Run)
    run.config, run.step = TrainConfig(ema=ema), step
    assert run._decay() == pytest.approx(kept)


def test_an_average_keeps_its_share_of_weights_and_statistics_and_copies_counts():
    network = nn.BatchNorm1d(2)
    average = averaged_model(network, lambda: 0.75)
    assert not any(p.requires_grad for p in average.parameters()) and not average.training
    with torch.no_grad():
        network.weight.fill_(5.0)
        network.running_mean.fill_(8.0)
        network.num_batches_tracked.fill_(3)
    average.update_parameters(network)
    inside = average.module
    assert inside.weight.tolist() == [2.0, 2.0] and inside.running_mean.tolist() == [2.0, 2.0]
    assert int(inside.num_batches_tracked) == 3
    average.update_parameters(network)
    assert inside.weight.tolist() == [2.75, 2.75]


def rates(at, /, **changes):
    run = training.Run.__new__(training.Run)
    run.config, found = TrainConfig(learning_rate=2.0, **changes), []
    for run.step in at:
        found.append(run.rate())
    return found


def test_a_constant_rate_does_not_decay():
    assert rates([0, 25, 50], schedule="constant", decay_steps=10, steps=60, warmup_steps=0) == [2.0] * 3


def test_rates_of_every_schedule():
    assert rates((0, 3, 50), schedule="constant", warmup_steps=0) == [2.0] * 3
    assert rates((0, 1, 3, 4, 90), schedule="constant", warmup_steps=4) == [0.5, 1.0, 2.0, 2.0, 2.0]
    assert rates((0, 20, 40), schedule="cosine", warmup_steps=0, steps=40) == pytest.approx([2.0, 1.0, 0.0])
    quarter = rates((10, 50), schedule="cosine", warmup_steps=0, steps=40)
    assert quarter == pytest.approx([1 + np.cos(np.pi / 4), 0.0])
    assert rates((4, 12, 20), schedule="cosine", warmup_steps=4, steps=20) == pytest.approx([2.0, 1.0, 0.0])
    stairs = rates((1, 5, 9, 10, 20), schedule="step", decay_steps=10, warmup_steps=4)
    assert stairs == pytest.approx([1.0, 2.0, 2.0, 0.2, 0.02])
    assert rates((9, 10), schedule="cosine", warmup_steps=10, steps=10) == pytest.approx([2.0, 2.0])
    assert rates((0, 99), schedule="step", decay_steps=0, warmup_steps=0) == [2.0, 2.0]


class TwoProcesses:
    """Of which the other one always holds `theirs`."""

    world_size, device = 2, "cpu"

    def __init__(self, theirs):
        self.theirs = theirs

    def all_reduce(self, tensor, reduce_op="mean"):
        assert reduce_op == "mean"
        return (tensor + self.theirs) / 2


def test_gradients_beside_the_network_are_averaged_over_processes():
    module = nn.Linear(2, 1)
    module.weight.grad = torch.tensor([[2.0, 4.0]])
    average_gradients(TwoProcesses(0.0), module)
    assert module.weight.grad.tolist() == [[1.0, 2.0]] and module.bias.grad is None
    average_gradients(SimpleNamespace(world_size=1), module)
    assert module.weight.grad.tolist() == [[1.0, 2.0]]


def test_a_number_is_finite_only_if_it_is_in_every_process():
    alone, good, bad = SimpleNamespace(world_size=1), TwoProcesses(1.0), TwoProcesses(0.0)
    for value, finite in ((1.0, True), (float("inf"), False), (float("nan"), False)):
        number = torch.tensor(value)
        assert finite_everywhere(alone, number) is finite and finite_everywhere(good, number) is finite
        assert finite_everywhere(bad, number) is False


@pytest.mark.parametrize(("limit", "expected"), [(0.5, [0.3, 0.4]), (100.0, [3.0, 4.0]), (0.0, [24.0, 32.0])])
def test_scaled_gradients_are_unscaled_before_they_are_clipped_and_gone_after_the_step(limit, expected):
    """Scaled by 8; without a limit the scaler itself unscales them in the optimizer's step."""
    module, seen = nn.Linear(2, 1, bias=False), []
    module.weight.grad = torch.tensor([[24.0, 32.0]])
    precision = SimpleNamespace(
        scaler=SimpleNamespace(get_scale=lambda: 8.0), unscale_gradients=lambda optimizer: module.weight.grad.div_(8)
    )
    optimizer = SimpleNamespace(
        optimizer="the optimizer", step=lambda: seen.append(module.weight.grad.tolist()),
        zero_grad=lambda: seen.append("gone"),
    )
    fabric = SimpleNamespace(strategy=SimpleNamespace(precision=precision), world_size=1)
    apply_gradients(fabric, optimizer, {"the network": module, "nothing": nn.Module()}, limit)
    assert seen == [[pytest.approx(expected)], "gone"]
    module.weight.grad = torch.tensor([[float("inf"), 1.0]])
    apply_gradients(fabric, optimizer, {"the network": module}, 1.0)  # the scaler leaves such a step out
    precision.scaler = None
    module.weight.grad = torch.tensor([[float("inf"), 1.0]])
    with pytest.raises(FloatingPointError, match=r"the gradient of the network \(norm inf\)"):
        apply_gradients(fabric, optimizer, {"the network": module}, 1.0)


def test_losses_are_logged_as_the_mean_over_processes():
    run = training.Run.__new__(training.Run)
    run.fabric = TwoProcesses(4.0)
    assert run._averaged({"semantic": 2.0, "total": 6.0}) == {"semantic": 3.0, "total": 5.0}
    run.fabric = SimpleNamespace(world_size=1)
    assert run._averaged({"total": 6.0}) == {"total": 6.0}


def test_every_process_draws_numbers_of_its_own_and_the_first_those_of_the_seed():
    drawn = []
    for rank in (0, 1, 2):
        torch.manual_seed(7)
        seed_process(7, rank)
        drawn.append(torch.rand(3))
    torch.manual_seed(7)
    assert torch.equal(drawn[0], torch.rand(3))
    torch.manual_seed(8)  # nor do two runs of neighbouring seeds share numbers
    assert not torch.equal(drawn[1], torch.rand(3))
    seed_process(8, 1)
    assert not torch.equal(drawn[1], torch.rand(3))
    assert not any(torch.equal(a, b) for a, b in ((drawn[0], drawn[1]), (drawn[0], drawn[2]), (drawn[1], drawn[2])))


def test_a_run_alone_draws_its_own_numbers_whatever_others_drew_meanwhile():
    fabric = SimpleNamespace(device=torch.device("cpu"), world_size=1, global_rank=0)
    torch.manual_seed(5)
    expected = torch.rand(6)
    torch.manual_seed(5)
    state, drawn = RandomState(fabric), []
    for _ in range(3):
        torch.manual_seed(99)  # another run of the same process
        with state.alone():
            drawn.append(torch.rand(2))
    assert torch.equal(torch.cat(drawn), expected)


def test_every_process_goes_on_with_its_own_numbers_and_a_new_one_with_those_it_has():
    states = []
    for seed in (11, 12):
        torch.manual_seed(seed)
        states.append([torch.get_rng_state()])
    expected = [torch.rand(3, generator=torch.Generator().manual_seed(seed)) for seed in (11, 12, 13)]
    for rank in (0, 1, 2):
        torch.manual_seed(13)
        fabric = SimpleNamespace(device=torch.device("cpu"), world_size=3, global_rank=rank)
        state = RandomState(fabric)
        state.restore(states)
        assert torch.equal(torch.rand(3), expected[rank])
        with state.alone():
            assert torch.equal(torch.rand(3), expected[rank]), "what was restored is where the run alone goes on"


@pytest.mark.parametrize(("layer", "draws"), [
    (nn.Dropout(0.1), True), (nn.Dropout(0.0), False), (nn.MultiheadAttention(4, 2, dropout=0.2), True),
    (nn.MultiheadAttention(4, 2), False), (nn.BatchNorm1d(2), False),
])  # fmt: skip
def test_which_layers_draw(layer, draws):
    assert draws_random_numbers(nn.Sequential(nn.ReLU(), layer)) is draws


@pytest.mark.parametrize("left", ["last.pt", "best.pt", "log", "not_finite_step7.pt"])
def test_whatever_a_run_has_written_makes_the_folder_its_own(tmp_path, left):
    claim_run_folder(tmp_path, {"lr": 1})
    (tmp_path / left).mkdir() if left == "log" else save_checkpoint(tmp_path / left, {"step": 1})
    with pytest.raises(ValueError, match="lr: 1 -> 2"):
        claim_run_folder(tmp_path, {"lr": 2})
    assert (tmp_path / left).exists()
    assert claim_run_folder(tmp_path, {"lr": 2}, restart=True) is False and not (tmp_path / left).exists()


def test_where_things_run_and_how_often_they_are_saved_may_change_and_nothing_else(tmp_path):
    config = config_dict(TrainConfig())
    claim_run_folder(tmp_path, config)
    save_checkpoint(tmp_path / "last.pt", {"step": 1})
    free = set()
    for key in config:
        try:
            other = ["another"] if key != "data" else {**config["data"], "val": "another"}
            claim_run_folder(tmp_path, {**config, key: other})
            free.add(key)
            claim_run_folder(tmp_path, config)
        except (ValueError, TypeError):
            continue
    assert free == {"accelerator", "log_every", "save_every", "val_every", "val_batches", "out"}


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """The checkpoint of a run whose average differs from its weights."""
    monkeypatch.setattr(loading, "open_samples", lambda spec, config: ToySamples(3))
    config = TrainConfig(
        name="run", out=str(tmp_path), model_options=STUDENT, grid=GRID, data=DataConfig(image_size=SIZE), steps=1,
        batch_size=1, accelerator="cpu", ema=0.9, val_batches=1, loss=LossConfig(),
    )
    with training.open_run(config, TaskObjective(config)) as (run, _):
        run.step, run.best = 1, 0.25
        with torch.no_grad():
            for parameter in run.average.module.parameters():
                parameter.add_(1.0)
        for name in ("best.pt", "last.pt"):
            run._save(name)
    return tmp_path / "run"


def test_of_a_run_the_average_is_loaded_where_there_is_one(finished):
    state = load_checkpoint(finished / "best.pt")
    network, config, facts = trained_network(finished)
    assert not network.training and config.steps == 1
    assert (facts["step"], facts["best_val_miou"]) == (1, 0.25)
    loaded = network.state_dict()
    assert all(torch.equal(value, state["average"][name]) for name, value in loaded.items())
    assert not torch.equal(loaded["trunk.stem.0.0.weight"], state["network"]["trunk.stem.0.0.weight"])
    save_checkpoint(finished / "last.pt", {**state, "step": 5, "average": {}})
    network, card = load_run(finished, "last")
    assert all(torch.equal(value, state["network"][name]) for name, value in network.state_dict().items())
    assert (card.version, card.grid, card.input_size, card.model) == ("step 5", GRID, SIZE, "student")
    assert load_run(finished)[1].version == "step 1"
    assert load_run(finished, name="n", version="v")[1].version == "v" and card.cameras == CAMERAS
    save_checkpoint(finished / "last.pt", {**state, "cameras": ["left", "right"], "least_score": 0.2})
    card = load_run(finished, "last")[1]
    assert card.cameras == ("left", "right") and card.least_score == 0.2


def test_the_seed_decides_the_first_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "open_samples", lambda spec, config: ToySamples(3))
    found = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        config = TrainConfig(name=name, out=str(tmp_path), model_options=STUDENT, grid=GRID, seed=seed,
                             data=DataConfig(image_size=SIZE), accelerator="cpu")  # fmt: skip
        with training.open_run(config, TaskObjective(config)) as (run, _):
            found.append(run._plain().state_dict()["trunk.stem.0.0.weight"].clone())
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_a_run_starts_from_its_stages(finished):
    config = TrainConfig(
        name="next", out=str(finished.parent), model_options=STUDENT, grid=GRID, seed=9, accelerator="cpu", ema=0.9,
        data=DataConfig(image_size=SIZE), init=(str(finished),),
    )
    with training.open_run(config, TaskObjective(config)) as (run, _):
        started = run._plain().state_dict()
        assert all(torch.equal(v, started[k]) for k, v in load_checkpoint(finished / "best.pt")["average"].items())
        assert all(torch.equal(v, started[k]) for k, v in run.average.module.state_dict().items())


def test_weights_of_the_task_are_the_configs():
    config = TrainConfig(loss=LossConfig(dice=0.3, semantic=0.7))
    batch = Collate(GRID)([ToySamples()[1]])
    terms, weights = TaskObjective(config).terms(Prediction(torch.zeros(1, 4, *GRID.shape)), batch, 0)
    assert weights == asdict(config.loss) and set(terms) == {"semantic", "dice"}


def test_a_network_sees_as_many_points_as_the_config_says():
    assert loading.collate_for(TrainConfig(data=DataConfig(lidar_points=7))).lidar_points == 7
    with pytest.raises(ValueError, match=r"data\.lidar_points is 0; expected at least 1"):
        DataConfig(lidar_points=0)


def test_every_unlabelled_sample_gets_its_own_map_and_crossings_as_edges():
    """The unlabelled ones come before and after the labelled one, and see different things."""
    toys = [ToySamples()[k] for k in (0, 2, 5)]
    hidden = [replace(toy, elements=(), labelled=False) if k != 1 else toy for k, toy in enumerate(toys)]
    whole, partly = Collate(GRID)(toys), Collate(GRID)(hidden)
    logits = 8.0 * whole.semantic.float()
    logits[2] = 0.0
    logits[2, 0] = 8.0
    for top in (GRID.rows // 2 - 12, GRID.rows // 2 + 5):
        logits[2, 0, top : top + 7, 20:60], logits[2, 2, top : top + 7, 20:60] = 0.0, 8.0
    drawn = draw_unknown_labels(partly, Prediction(logits), GRID)
    assert drawn.elements[1] == partly.elements[1]
    (divider,) = (e for e in drawn.elements[0] if e.label == "divider")
    np.testing.assert_allclose(divider.points_m[:, 1].mean(), toys[0].elements[0].points_m[0, 1], atol=0.2)
    assert [(e.label, e.closed) for e in drawn.elements[2]] == [("ped_crossing", False)] * 2
    assert torch.equal(drawn.semantic[2].argmax(0), logits[2].argmax(0))
    assert len(drawn.instance[2].unique()) == 3 and (drawn.direction[2] > 0).any()
