"""The measurement of engines: what it packs, what it counts, its table."""
from __future__ import annotations

import pytest
from invented_frames import Drive

from mapkd_core.benchmark import cluster
from mapkd_core.benchmark.cluster import HEADS, measure
from mapkd_core.commands.main import main
from mapkd_core.engine import EngineOptions


@pytest.mark.parametrize("processes", [1, 2])
def test_a_line_counts_frames_bytes_and_time_and_leaves_nothing(tmp_path, processes):
    found = measure(EngineOptions(processes=processes), Drive(5), (64, 32), 4, 6, tmp_path)
    assert (found.workers, found.frames, found.empty) == (processes, 4, 6)
    assert 0.001 < found.size_mb < 1 and found.workers_s > 0 and found.wall_s > 0
    assert (found.own_s == 0) == (processes == 1), "what this process does as a worker is no cost of sharing out"
    assert not list(tmp_path.iterdir())


def test_the_command_takes_turns_and_writes_its_table(tmp_path, monkeypatch, capsys):
    asked = []

    def measured(options, source, size, frames, empty, folder):
        asked.append(options.name)
        return cluster.Measured(2, 1.0, 4.0, frames, 6.0, 0.3, 3.0, 0.5, 0.1, empty)

    monkeypatch.setattr(cluster, "measure", measured)
    monkeypatch.setattr(cluster, "warm", lambda *_: None)
    words = ["benchmark", "cluster", "--data", "simdrive-v1:val:small:1", "--frames", "12", "--workers", "1", "3"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert asked == ["local", "local", "ray://local-1", "ray://local-3"] * 2
    (path,) = tmp_path.glob("cluster_*.md")
    rows = [line for line in path.read_text().splitlines() if line.startswith("| ")]
    assert rows[0] == f"| {' | '.join(HEADS)} |"
    assert "| local 3 | 2 | 1.0 | 3.00 | 1.50 | 0.5000 | 0.0250 | 0.2500 | 800 | 0.250 |" in rows
    assert path.read_text().strip() in capsys.readouterr().out
    assert main([*words, "--frames", "0"]) == 2
