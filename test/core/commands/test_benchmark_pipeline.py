"""The core's half of the pipeline benchmark: it passes everything on, and says what is missing."""
from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mapkd_core.commands import benchmark_pipeline as pipeline
from mapkd_core.commands import main as cli


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    pipeline.configure(parser)
    return parser.parse_args(words)


def test_the_old_words_for_transports(capsys: pytest.CaptureFixture[str]) -> None:
    assert options("--transports", "jpeg", "raw-large") == options("--image-transports", "compressed", "raw-large")
    assert "--transports jpeg raw-large is called --image-transports compressed raw-large" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--rates", "5", "max", "--image-transports", "raw", "--seconds", "2.5"],
        ["--minutes", "10", "-p", "device:=cpu", "-p", "threads:=1", "--out", "a b/pipeline.md", "--warm-up", "0"],
    ],
)
def test_the_options_arrive_as_they_were_given(words: list[str]) -> None:
    given = options(*words, "--dataroot", "/data/nu scenes")
    assert options(*pipeline.words(given, given.dataroot)) == given


def test_without_ros_it_says_what_to_source(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    assert cli.main(["benchmark", "pipeline", "--dataroot", "/data"]) == 2
    assert "source /opt/ros/$ROS_DISTRO/setup.bash" in capsys.readouterr().err


def test_the_exit_code_is_that_of_the_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[list[str]] = []

    def start(command: list[str], check: bool) -> SimpleNamespace:
        started.append(command)
        return SimpleNamespace(returncode=2)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(os.environ, "AMENT_PREFIX_PATH", "/opt/ros")
    monkeypatch.setattr(subprocess, "run", start)
    assert pipeline.run(options("--dataroot", str(tmp_path))) == 2
    assert started[0][:3] == [sys.executable, "-m", "mapkd_ros.pipeline_benchmark.run"]
