"""`mapkd benchmark vectorize` runs on small inputs, alone and beside a stand-in for the peer."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.benchmark import vectorize_inputs as inputs
from mapkd_core.benchmark.vectorize_peer import further_heads, hdmapnet
from mapkd_core.commands import main as cli
from mapkd_core.grid import GRID_60X30
from mapkd_core.types import DIRECTION_BINS
from mapkd_core.vectorizer.vectorize import vectorize

SMALL = ["benchmark", "vectorize", "--grids", "60x30", "--frames", "1", "--rounds", "1"]


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A folder that looks like the peer's and finds one line in everything."""
    package = tmp_path / "postprocess"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "vectorize.py").write_text(
        "def vectorize(segmentation, embedding, direction, bins):\n"
        "    assert segmentation.shape[0] == 4 and direction.shape[0] == bins + 1\n"
        "    return [[(10, 20), (300, 20)]], [0.5], [2]\n"
    )
    path = list(sys.path)
    yield tmp_path
    assert sys.path == path, "the checkout stayed importable"
    for name in [name for name in sys.modules if name.split(".")[0] == "postprocess"]:
        del sys.modules[name]


def test_prints_times_scores_and_the_floor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mapkd_core.benchmark.machine.memory_gbs", lambda: 10.0)
    out = tmp_path / "results" / "vectorize.md"
    assert cli.main([*SMALL, "--inputs", "branching", "worst", "--note", "Nothing else ran.", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert out.read_text() == text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| 60x30 branching")]
    assert [row[0] for row in rows] == [f"| 60x30 branching, {kind}" for kind in inputs.KINDS]
    assert all(row[1] == "mapkd" and len(row) == 12 for row in rows)
    assert all(float(row[3]) > 0 and float(row[-1].rstrip(" |")) > 0 for row in rows)
    assert "| empty | " in text and "at the 10.0 GB/s of a large copy takes 0.13 ms" in text
    assert "Nothing else ran." in text and "numpy" in text


def test_the_peer_gets_rows_and_a_ratio(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mapkd_core.benchmark.machine.memory_gbs", lambda: 10.0)
    assert cli.main([*SMALL, "--inputs", "branching", "--peer", str(checkout), "--peer-frames", "1"]) == 0
    text = capsys.readouterr().out
    assert text.count("HDMapNet, heads from labels | 1 |") == len(inputs.KINDS)
    assert text.count("HDMapNet, heads from semantic | 1 |") == len(inputs.KINDS)
    assert "times as long" in text


def test_the_peers_lines_become_elements(checkout: Path) -> None:
    peer = hdmapnet(checkout)
    logits = np.zeros((4, *GRID_60X30.shape), np.float32)
    (element,) = peer(logits, logits, np.zeros((DIRECTION_BINS + 1, *GRID_60X30.shape), np.float32), GRID_60X30)
    assert element.label == "boundary" and element.score == 0.5
    np.testing.assert_allclose(element.points_m, GRID_60X30.metres_from_cells(np.array([[10.5, 20.5], [300.5, 20.5]])))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--inputs", "nuscenes"], "--inputs nuscenes needs --dataroot"),
        (["--peer", "/nowhere"], "expected a checkout of the peer"),
        (["--rounds", "0"], "at least 1"),
    ],
)
def test_mistakes_are_told_in_a_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SMALL, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_branching_frames_are_easy_to_recover_when_the_network_is_sure() -> None:
    for seed, truth in enumerate(inputs.branching(GRID_60X30, 3)):
        assert len(truth) == 6 and all(GRID_60X30.contains(e.points_m).all() for e in truth)
        found = vectorize(inputs.softmax(inputs.saturated(truth, GRID_60X30, seed)), GRID_60X30)
        assert len(found) == len(truth)


@pytest.mark.parametrize("kind", inputs.KINDS)
def test_logits_favour_the_true_class_on_most_of_a_line(kind: str) -> None:
    (truth,) = inputs.branching(GRID_60X30, 1)
    winner = inputs.KINDS[kind](truth, GRID_60X30, 0).argmax(0)
    sure = inputs.saturated(truth, GRID_60X30, 0).argmax(0)
    assert winner.shape == GRID_60X30.shape and (winner == sure).mean() > 0.95
    assert (winner[sure > 0] == sure[sure > 0]).mean() > 0.7


def test_heads_tell_lines_apart_that_touch_only_if_they_come_from_the_labels() -> None:
    (truth,) = inputs.branching(GRID_60X30, 1)
    logits = inputs.saturated(truth, GRID_60X30, 0)
    kinds = {}
    for heads in ("labels", "semantic"):
        embedding, direction = further_heads(truth, logits, GRID_60X30, 0, heads)
        assert direction.shape == (DIRECTION_BINS + 1, *GRID_60X30.shape)
        kinds[heads] = len(np.unique(np.round(embedding[:, logits[1:].max(0) > 0].T / 2), axis=0))
    assert kinds["labels"] > kinds["semantic"]
    with pytest.raises(ValueError, match="heads is 'none'"):
        further_heads(truth, logits, GRID_60X30, 0, "none")
