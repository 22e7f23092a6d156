"""Distillation at full size: every student alone and taught under one recipe, one table, steps that are kept."""
import json

import pytest

from mapkd_core.benchmark import gpu_distill
from mapkd_core.benchmark.gpu_cases import Record, Setting
from mapkd_core.commands.main import main


@pytest.fixture
def setting(tmp_path):
    return Setting("cpu", True, tmp_path, 60.0)


def test_students_differ_only_in_network_and_method(setting):
    configs = gpu_distill.student_configs(setting, 12)
    assert [c.name for c in configs] == list(gpu_distill.rows())
    for student in gpu_distill.STUDENTS:
        own = [c for c in configs if c.name.startswith(f"{student}_") and c.name.count("_") == student.count("_") + 1]
        assert own[0].method == "none" and len(own) >= 2 and len({str(c.model_options) for c in own}) == 1
    free = {"name", "model", "model_options", "method", "method_options", "calibrate_steps"}
    for config in configs[1:]:
        assert {key for key, value in vars(config).items() if value != vars(configs[0])[key]} <= free


def test_full_size_is_that_of_the_papers(tmp_path):
    setting = Setting("cuda", False, tmp_path, 1500.0)
    assert {str(c.model_options) for c in gpu_distill.student_configs(setting, 100) if c.model != "student"} == {"{}"}
    teacher = gpu_distill.network_config(setting, "teacher", 100)
    assert teacher.model_options == {"view": "pillars", "sd_skip": True} and teacher.grid.cell_m == 0.15
    assert teacher.init == (str(tmp_path / "runs/hd_prior"),) and teacher.precision == "bf16-mixed"
    assert gpu_distill.network_config(setting, "hd_prior", 100).init == ()
    probe = gpu_distill.network_config(setting, "teacher", 2, name="probe/teacher2", val_batches=1)
    assert (probe.name, probe.model, probe.val_batches) == ("probe/teacher2", "teacher", 1)


def test_a_run_keeps_the_number_of_steps_it_began_with(tmp_path):
    setting = Setting("cpu", False, tmp_path, 60.0)
    probed = []
    first = gpu_distill._planned(setting, "students", 30.0, probed.append)
    assert probed == [2, 10] and first >= 20
    assert gpu_distill._planned(setting, "students", 1.0, probed.append) == first and len(probed) == 2


def test_report_sets_taught_beside_alone(setting):
    record = Record(setting.folder / "parts", "distill")
    scores = {"miou": 20.0, "val": 21.0, "ap_chamfer": 5.0, "ap_hdmapnet": 9.0, "seconds": 1.0}
    record.write("test nano_none", "values", scores)
    record.write("test nano_pyramid", "values", {**scores, "miou": 21.5, "ap_chamfer": 4.0})
    record.write("test mapkd_student_mapkd", "values", scores)
    record.write("students", "values", {"note": "7 steps each", "seconds": 3.0})
    record.write("test base_none", "cut", "cut off")
    text = gpu_distill.report(setting, "time is over")
    assert "| nano | none | 21.00 | 20.00 |  | 5.00 | 9.00 |  |" in text
    assert "| nano | pyramid | 21.00 | 21.50 | +1.50 | 4.00 | 9.00 | -1.00 |" in text
    assert "| mapkd_student | mapkd | 21.00 | 20.00 |  |" in text, "the student alone is not there yet"
    assert "- students: 7 steps each, 3 s" in text and "- test base_none: cut off" in text and "Not finished" in text


def test_refusal(tmp_path, capsys):
    assert main(["benchmark", "gpu_distill", "--out", str(tmp_path), "--minutes", "0", "--device", "cpu"]) == 2
    assert "expected more than 0" in capsys.readouterr().err


@pytest.mark.slow
def test_all_of_it_runs_on_a_cpu(tmp_path):
    pytest.importorskip("lightning_fabric", reason="training needs: pip install '.[train]'")
    assert main(["benchmark", "gpu_distill", "--out", str(tmp_path), "--device", "cpu", "--tiny"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "parts/distill.jsonl").read_text().splitlines()]
    assert {line["case"] for line in lines} == {line["case"] for line in lines if "values" in line}
    assert sorted(path.stem for path in (tmp_path / "weights").glob("*.json")) == ["base", "nano", "small"]
