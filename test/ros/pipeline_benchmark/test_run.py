"""One short run of the real benchmark; which cases there are."""
from __future__ import annotations

import argparse
from pathlib import Path

import psutil
import pytest
import tiny_nuscenes

from mapkd_core.commands.benchmark_pipeline import configure
from mapkd_ros.pipeline_benchmark import run as pipeline_benchmark
from mapkd_ros.pipeline_benchmark.fast_dds_files import shared_files


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser.parse_args(words)


def test_every_transport_is_measured_at_every_rate() -> None:
    given = options("--rates", "5", "max", "--image-transports", "compressed", "raw-large")
    found = list(pipeline_benchmark.cases(given))
    assert [(case.transport, case.rate) for case in found] == [
        ("compressed", "5 Hz"), ("compressed", "flat out"), ("raw-large", "5 Hz"), ("raw-large", "flat out"),
    ]  # fmt: skip
    assert {case.seconds for case in found} == {15.0}
    assert next(pipeline_benchmark.cases(options("--minutes", "10"))).seconds == 600


@pytest.mark.parametrize("rate", ["0", "-1", "fast", "nan", "1e9"])
def test_a_rate_that_makes_no_sense_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match="expected rounds a second"):
        list(pipeline_benchmark.cases(options("--rates", "5", rate)))
    with pytest.raises(ValueError, match="0 s"):
        list(pipeline_benchmark.cases(options("--seconds", "0")))


def test_a_folder_for_the_results_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        pipeline_benchmark.main(["--dataroot", str(tmp_path), "--out", str(tmp_path)])
    assert f"--out: {tmp_path} is a folder; expected the name of a file\n" in capsys.readouterr().err


@pytest.mark.ros
def test_a_short_run_gives_every_table_and_leaves_nothing_behind(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nuscenes", reason="needs nuscenes-devkit")
    root = tiny_nuscenes.write_tiny_nuscenes(tmp_path / "drive", {"scene-0061": 2})
    held: set[Path] = set()  # by its own processes: others on this machine come and go

    def noted(pid: int) -> set[Path]:
        held.update(shared_files(pid))
        return shared_files(pid)

    monkeypatch.setattr(pipeline_benchmark, "shared_files", noted)
    code = pipeline_benchmark.main(
        ["--dataroot", str(root), "--rates", "5", "--image-transports", "compressed", "--seconds", "1",
         "--warm-up", "0.5", "-p", "threads:=1", "-p", "device:=cpu", "--out", str(tmp_path / "out" / "pipeline.md")]
    )  # fmt: skip
    said = capfd.readouterr()
    assert code == 0, said.err
    text = (tmp_path / "out" / "pipeline.md").read_text()
    assert "maps of 5 sets" in said.out and text in said.out
    head, _, row = [line for line in text.split("## Latency")[1].split("##")[0].splitlines() if line.startswith("|")]
    cells = dict(zip((c.strip() for c in head.split("|")), (c.strip() for c in row.split("|")), strict=True))
    assert cells["sent"] == "5" and int(cells["mapped"]) >= 1
    assert cells["front: median / p95 / max"] != "-"
    assert "network" in text and "-p threads:=1" in text
    # Fast DDS shares some ports between domains: what another program on this machine maps now is that program's.
    everybody = set().union(*(shared_files(pid) for pid in psutil.pids()))
    assert held and not [path for path in held - everybody if path.exists()]


def test_a_node_that_cannot_start_ends_the_benchmark_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    node = tmp_path / "student_node"
    node.write_text("#!/bin/sh\necho no weights at /nowhere\nexit 2\n")
    node.chmod(0o755)
    monkeypatch.setattr(pipeline_benchmark, "node_executable", lambda name: node)
    words = ["--dataroot", str(tmp_path), "--rates", "5", "--image-transports", "compressed"]
    assert pipeline_benchmark.main(words) == 2
    said = capfd.readouterr().err
    assert "student_node ended with code 2" in said and "no weights at /nowhere" in said
    assert pipeline_benchmark.main(words[2:]) == 2
    assert "--dataroot is missing" in capfd.readouterr().err
