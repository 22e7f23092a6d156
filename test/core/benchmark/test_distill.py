"""The comparison of methods: its plan, its runs, its table."""
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from travelling_engine import TravellingEngine

from mapkd_core.benchmark import distill
from mapkd_core.benchmark.distill import BenchmarkPlan, network_configs, reported, row_configs
from mapkd_core.benchmark.distill_jobs import ScoreRun, TrainNetwork, TrainRows, missing
from mapkd_core.benchmark.distill_table import Entry, gap_closed, write_table
from mapkd_core.commands.main import main
from mapkd_core.config import DataConfig, config_dict, load_config
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.interface import method_config
from mapkd_core.distill.methods import METHODS, method_class
from mapkd_core.storage import Folder
from mapkd_core.training.lockstep import side_by_side

ROOT = Path(__file__).parents[3]
PLANS = sorted((ROOT / "config" / "train").rglob("benchmark*.yaml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_shipped_plan_loads_with_all_it_names(path, monkeypatch):
    plan = load_config(BenchmarkPlan, path)
    base = load_config(DistillConfig, ROOT / plan.distill)
    monkeypatch.chdir(ROOT)
    places = {f"{c.out}/{c.name}" for c in network_configs(plan).values()}
    configs = row_configs(plan, base, plan.seeds[0])
    for config in configs.values():
        known = places | {""}
        assert {config.teacher, config.coach} <= known, "the plan trains the teachers that its students are given"
        method_config(method_class(config.method).Config, config.method_options, config.method)
    if path.name == "benchmark.yaml":  # the whole comparison; others hold its leading rows
        missing = set(METHODS) - {c.method for c in configs.values()} - {"mapkd_coach"}  # the coach learns by that one
        assert missing == set()


def test_rows_are_runs_of_their_own():
    plan = BenchmarkPlan("p", "x.yaml", rows={"none": {}, "fast": {"method": "kd_logit", "learning_rate": 1.0}},
                         repeat=("fast",), seeds=(3, 4))  # fmt: skip
    base = DistillConfig(teacher="t")
    first, second = row_configs(plan, base, 3), row_configs(plan, base, 4)
    assert [(c.name, c.method, c.seed) for c in first.values()] == [("p/none", "none", 3), ("p/fast", "kd_logit", 3)]
    assert [(c.name, c.seed) for c in second.values()] == [("p/fast-seed4", 4)]
    assert first["fast"].learning_rate == 1.0 and first["none"].learning_rate == base.learning_rate
    changed = row_configs(replace(plan, changes={"learning_rate": 2.0, "optimizer": "muon"}), base, 3)
    assert [(c.learning_rate, c.optimizer) for c in changed.values()] == [(2.0, "muon"), (1.0, "muon")]
    base = replace(base, data=DataConfig(train="cache:a", lidar=True))
    moved = row_configs(replace(plan, changes={"data": {"train": "cache:b"}}), base, 3)
    assert [(c.data.train, c.data.lidar) for c in moved.values()] == [("cache:b", True)] * 2
    with pytest.raises(ValueError, match="expected `none`"):
        BenchmarkPlan("p", "x.yaml", rows={"none": {}}, repeat=("other",))


def test_networks_are_configs_with_overrides(tmp_path):
    (tmp_path / "net.yaml").write_text("name: other\nsteps: 7\ndata: {train: 'cache:a', lidar: true}\n")
    networks = {"teacher": {"config": str(tmp_path / "net.yaml"), "data": {"train": "cache:b"}, "optimizer": "muon"}}
    plan = BenchmarkPlan("p", "x.yaml", networks=networks, rows={"none": {}})
    found = network_configs(plan)["teacher"]
    assert (found.name, found.steps, found.optimizer) == ("p/teacher", 7, "muon")
    assert found.data == DataConfig(train="cache:b", lidar=True)
    with pytest.raises(ValueError, match=r"network x is .*expected `config`"):
        BenchmarkPlan("p", "x.yaml", networks={"x": {"steps": 1}}, rows={"none": {}})


def test_a_finished_run_is_scored_once_and_again_when_asked(tmp_path, monkeypatch):
    import torch

    config = DistillConfig(out=str(tmp_path), name="row", teacher="t", steps=1,
                           data=DataConfig(val=f"cache:{tmp_path / 'there'}"))
    (tmp_path / "row").mkdir()
    (tmp_path / "there").mkdir()
    for name in ("last", "best"):
        torch.save({"step": 1}, tmp_path / "row" / f"{name}.pt")
    scored = []

    def evaluate(folder, cache, out, processes, overwrite):
        scored.append(cache)
        out.mkdir(exist_ok=True)
        return SimpleNamespace(result={"frames": len(scored), "ap": {}})

    monkeypatch.setattr("mapkd_core.evaluation.evaluate_cache.evaluate_cache", evaluate)
    found = [ScoreRun(1, again)(config) for again in (False, False, True)]
    assert [f["frames"] for f in found] == [1, 1, 2] and scored == [str(tmp_path / "there")] * 2
    (tmp_path / "there" / "00000.tar").write_bytes(b"another cache at the same path")
    assert ScoreRun(1, False)(config)["frames"] == 3
    assert ScoreRun(1, False)(replace(config, steps=2)) is None  # not finished


def test_the_table_reports_test_data_and_what_is_chosen_is_chosen_on_validation(tmp_path, monkeypatch):
    asked = []

    def scored_once(folder, cache, out, checkpoint, processes, again):
        asked.append((cache, out.name, checkpoint.name))
        return {}

    monkeypatch.setattr("mapkd_core.evaluation.evaluate_cache.scored_once", scored_once)
    monkeypatch.setattr("mapkd_core.benchmark.distill_jobs._finished", lambda config: True)
    config = DistillConfig(out=str(tmp_path), name="row", teacher="t", data=DataConfig(val="cache:val"))
    ScoreRun(1, False)(config)
    ScoreRun(1, False, "cache:test")(config)
    assert asked == [("val", "evaluation", "best.pt"), ("test", "evaluation_test", "best.pt")]
    with pytest.raises(ValueError, match="row: the plan's test is 'drives'; expected cache:DIR"):
        ScoreRun(1, False, "drives")(config)
    plan = BenchmarkPlan("p", "x.yaml", rows={"none": {}}, test="cache:test")
    assert [reported(plan, split) for split in (None, "test", "val")] == ["cache:test", "cache:test", ""]
    assert reported(replace(plan, test=""), None) == ""
    with pytest.raises(ValueError, match=r"--split test, but the plan p names no test data"):
        reported(replace(plan, test=""), "test")


def test_gap_closed():
    assert gap_closed(15, 10, 20) == 50
    assert gap_closed(5, 10, 20) == -50
    assert gap_closed(15, 10, 10) != gap_closed(15, 10, 10)  # no gap, no share of it


def result(miou, ap):
    iou = {"miou": miou, "divider": miou, "ped_crossing": miou, "boundary": miou}
    aps = {name: {"0.5/1/1.5": {"mAP": ap}} for name in ("ap_chamfer", "ap_pmapnet", "ap_hdmapnet")}
    return {"frames": 7, "iou": iou, "iou_exact_lines": iou, "ap": aps}


def test_the_table_holds_each_row_against_the_student_alone_of_its_seeds(tmp_path):
    import torch

    config = DistillConfig(out=str(tmp_path), teacher="t", model_options={"variant": "nano"}, method="none")

    def entry(row, seed, miou, ap):
        mine = replace(config, name=f"{row}{seed}", seed=seed)
        (tmp_path / mine.name).mkdir()
        state = {"step": 1, "network": {"a": torch.zeros(2)}, "train_only": {"method.x": torch.zeros(10**6)}}
        for name in ("best", "last"):
            torch.save(state, tmp_path / mine.name / f"{name}.pt")
        return Entry(row, mine, result(miou, ap))

    teacher = Entry("teacher", replace(config, name="teacher", model="student"), result(0.5, 0.4))
    students = [entry("none", 0, 0.1, 0.1), entry("none", 1, 0.3, 0.2), entry("good", 0, 0.3, 0.25),
                Entry("left", replace(config, name="left"), None)]  # fmt: skip
    (tmp_path / "good0" / "cost.json").write_text(json.dumps({"step_ms": 12.4, "kept_mb": 3.0}))
    text = write_table(tmp_path, [teacher], students, "plan.yaml")
    rows = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in text.splitlines()
            if line.startswith("|")}  # fmt: skip
    assert rows["`none`"][:2] == ["2", "20.0 ± 10.0"]
    # good: seed 0 only, so against none of seed 0: (30 - 10) / (50 - 10) and (25 - 10) / (40 - 10)
    assert rows["`good`"] == ["1", *["30.0"] * 4, *["25.0"] * 3, "50", "50", "12", "3", "1.00"]
    assert "10000 steps of 8 frames each" in text and "without labels" not in text
    half = Entry("none", replace(config, data=DataConfig(unlabelled="cache:b"), name="half"), None)
    assert "8 frames (50% of them without labels) each" in write_table(tmp_path / "b", [teacher], [half], "plan.yaml")
    assert f"scored on 7 frames of {config.data.val}, on which checkpoints were chosen too." in text
    on_test = write_table(tmp_path / "c", [teacher], students, "plan.yaml", "cache:test")
    assert f"frames of cache:test; checkpoints and recipes were chosen on {config.data.val}." in on_test
    assert "Not run: left." in text and "the same network, parameter by parameter" in text
    assert (tmp_path / "table.md").read_text() == text
    assert [e["row"] for e in json.loads((tmp_path / "table.json").read_text())] == ["teacher", "none", "none", "good"]


def test_the_command_without_any_run_names_what_was_not_run(tmp_path, monkeypatch, capsys):
    (tmp_path / "net.yaml").write_text("data: {val: 'cache:there'}\n")
    (tmp_path / "distill.yaml").write_text("teacher: runs/p/teacher\ndata: {val: 'cache:there'}\n")
    (tmp_path / "plan.yaml").write_text(
        "name: p\ndistill: distill.yaml\nnetworks: {teacher: {config: net.yaml}}\nrows: {none: {}, kd_logit: {}}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", "distill", "--plan", "plan.yaml", "--train", "nothing", "--out", "table.md"]) == 0
    text = (tmp_path / "table.md").read_text()
    assert "Not run: none, kd_logit." in text and text.strip() == capsys.readouterr().out.strip()


def test_a_finished_run_under_another_teacher_is_no_run_of_this_plan(tmp_path):
    import torch

    config = DistillConfig(out=str(tmp_path), name="row", teacher="old", steps=1)
    assert missing([config]) == [config]
    (tmp_path / "row").mkdir()
    torch.save({"step": 1}, tmp_path / "row" / "last.pt")
    (tmp_path / "row" / "config.json").write_text(json.dumps(config_dict(config)))
    assert missing([config]) == []
    with pytest.raises(ValueError, match=r"row holds a run under another config \(teacher: "):
        missing([replace(config, teacher="new")])


@pytest.mark.parametrize(("alone", "units"), [(True, [["none", "fast"]]), (False, [["none"], ["fast"]])])
def test_rows_share_a_machine_or_have_a_worker_each(alone, units, tmp_path, monkeypatch):
    configs = {row: DistillConfig(out=str(tmp_path), name=row, teacher="t") for row in ("none", "fast", "done")}
    monkeypatch.setattr(distill, "missing", lambda found: [c for c in found if c.name != "done"])
    engine = TravellingEngine()
    engine.alone = alone
    monkeypatch.setattr(TrainRows, "__call__", lambda self, rows: None)
    distill._train_rows(configs, None, 1, Folder(str(tmp_path)), engine)
    assert [[config.name for config in unit] for unit in engine.units] == units
    with pytest.raises(ValueError, match=r"rows \['slow'\] are not in the plan"):
        distill._train_rows(configs, ["slow"], 1, Folder(str(tmp_path)), engine)


def test_rows_of_other_teachers_or_another_kind_of_teacher_train_apart():
    base = DistillConfig(name="a", teacher="vectors", method="matched_queries")
    rows = [base, replace(base, name="b", method="none"), replace(base, name="c", method="mapkd", teacher="maps"),
            replace(base, name="d", method_options={"points_weight": 1.0}),
            replace(base, name="e", method="mapdistill", teacher="maps")]  # fmt: skip
    assert [[row.name for row in group] for group in side_by_side(rows)] == [["a", "d"], ["b"], ["c", "e"]]
    assert side_by_side([]) == []


def test_a_worker_that_does_not_see_the_runs_trains_nothing(tmp_path):
    for job, unit in ((TrainRows(Folder(str(tmp_path)), 1), []), (TrainNetwork(Folder(str(tmp_path))), None)):
        with pytest.raises(OSError, match=r"plan\.yaml is not seen by"):
            job(unit)
