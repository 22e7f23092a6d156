"""`mapkd export`: the whole artifact appears, or the old one stays as it was."""
import json
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from full_disk import files_of_at_most
from tiny_student import save_tiny_student

from mapkd_core.artifact import ArtifactError, load_card, load_model, note_graph, save_artifact
from mapkd_core.commands import export as command
from mapkd_core.commands.main import main
from mapkd_core.files import FolderLock, write_atomic
from mapkd_core.runtime import graph_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    path = save_tiny_student(folder / "out")
    graph_path(path).write_bytes(b"the old graph")
    note_graph(path, graph_path(path))
    save_tiny_student(folder / "new", seed=1)
    return folder


@pytest.fixture
def old(made, tmp_path):
    """The folder of an artifact with a graph; beside it, in `new`, another network to be exported over it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "out"


def export(old, *words):
    return main(["export", str(old.parent / "new" / "tiny.json"), "--out", str(old / "tiny.json"), *words])


def fake_graph(path, card, *_):
    graph_path(path).write_bytes(b"the new graph")
    note_graph(path, graph_path(path))
    return [(graph_path(path).name, "proved")]


def test_everything_is_replaced_and_graphs_of_the_old_weights_go(old, monkeypatch, capsys):
    graph_path(old / "tiny.json", "int8").write_bytes(b"the old graph in eight bits")
    monkeypatch.setattr(command, "write_graph", fake_graph)
    assert export(old) == 0
    assert sorted(contents(old)) == ["tiny.json", "tiny.onnx", "tiny.safetensors"]
    assert graph_path(old / "tiny.json").read_bytes() == b"the new graph"
    assert list(load_card(old / "tiny.json").graphs_sha256) == ["onnx"]
    assert f"{old / 'tiny.onnx'}: proved" in capsys.readouterr().out
    assert export(old, "--no-onnx", "--about", "rig=a van") == 0  # the same weights: their graph stays
    assert graph_path(old / "tiny.json").is_file() and load_card(old / "tiny.json").training["rig"] == "a van"


@pytest.mark.parametrize("error", [ValueError("the proof failed"), KeyboardInterrupt])
def test_a_failed_proof_leaves_the_old_artifact(old, monkeypatch, error):
    before = contents(old)

    def failing(path, card, *_):
        fake_graph(path, card)
        raise error

    monkeypatch.setattr(command, "write_graph", failing)
    assert export(old) != 0
    assert contents(old) == before


@pytest.mark.parametrize(("most", "name"), [(1000, "tiny.safetensors"), (500_000, "tiny.onnx")])
def test_a_full_disk_names_the_file_and_leaves_the_old_artifact(old, monkeypatch, capsys, most, name):
    before = contents(old)
    monkeypatch.setattr(command, "write_graph", lambda path, *_: write_atomic(graph_path(path), bytes(10**6)))
    with files_of_at_most(most):
        assert export(old) == 2
    assert f"mapkd export: {old / name}: File too large" in capsys.readouterr().err
    assert contents(old) == before


KILLED = """
import os, signal, sys
from mapkd_core.commands import export
from mapkd_core.commands.main import main
export.write_graph = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main(sys.argv[1:])
"""


def test_what_a_killed_export_left_goes_with_the_next_one(old):
    before = contents(old)
    words = ["export", str(old.parent / "new" / "tiny.json"), "--out", str(old / "tiny.json")]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], check=False)
    assert done.returncode == -signal.SIGKILL
    assert {name: (old / name).read_bytes() for name in before} == before  # beside a folder and a lock of the dead one
    load_model(old / "tiny.json")
    assert export(old, "--no-onnx") == 0
    assert sorted(path.name for path in old.iterdir()) == ["tiny.json", "tiny.safetensors"]


def test_two_exports_to_one_place_are_refused(old, capsys):
    with FolderLock(old, ".tiny.lock"):
        assert export(old, "--no-onnx") == 2
    assert "is in use by" in capsys.readouterr().err


def test_weights_without_their_card_are_told(old):
    """The moment between two renamings, which a kill can hit."""
    values = json.loads((old / "tiny.json").read_text())
    network, card = load_model(old / "tiny.json")
    with torch.no_grad():
        next(network.parameters()).add_(1)
    save_artifact(old / "tiny.json", card, network.state_dict())
    (old / "tiny.json").write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match=r"tiny\.safetensors has SHA-256 .*export again|fetch both again"):
        load_model(old / "tiny.json")


def test_a_file_that_is_no_card_is_not_written_over(old, capsys):
    config = old / "config.json"
    config.write_text('{"name": "a run"}')
    assert main(["export", str(old / "tiny.json"), "--out", str(old / "config"), "--no-onnx"]) == 2
    assert "config.json is not a model card" in (told := capsys.readouterr().err) and "choose another --out" in told
    assert config.read_text() == '{"name": "a run"}' and not (old / "config.safetensors").exists()


@pytest.mark.parametrize("score", ["-0.1", "1.5", "nan", "half"])
def test_a_least_score_is_from_0_to_1(score, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["export", "run", f"--least-score={score}", "--out", "a.json"])
    assert f"'{score}'; expected a number from 0 to 1" in capsys.readouterr().err
