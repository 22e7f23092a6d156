"""The wheel as a deployer installs it: in a clean environment with the extra `deploy` it predicts without PyTorch."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tiny_student import save_tiny_student, tiny_images, tiny_rig

from mapkd_core import MapPredictor
from mapkd_core.artifact import load_model

pytestmark = pytest.mark.slow

PREDICT = """
import importlib.util, json, sys
import numpy as np
import mapkd_core
from mapkd_core import MapPredictor
assert sys.prefix in mapkd_core.__file__, mapkd_core.__file__
assert importlib.util.find_spec("torch") is None
given = np.load("given.npz")
predictor = MapPredictor.from_artifact("tiny.json", backend="onnx")
found = predictor.predict(list(given["images"]), given["intrinsics"], given["poses"])
np.save("out.npy", found.probabilities)
print(json.dumps([element.label for element in found.elements]))
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Outside this checkout; skips the test where the package index cannot be reached."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode and any(w in done.stderr for w in ("NewConnectionError", "name resolution", "ConnectTimeout")):
        pytest.skip("the package index cannot be reached")
    return done


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources: building leaves folders beside them."""
    sources, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(root / name, sources / name)
    for name in ("mapkd_core", "mapkd_ros"):
        shutil.copytree(root / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    built = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", out, sources, cwd=out)
    assert built.returncode == 0, built.stderr
    (path,) = out.glob("*.whl")
    return path


def test_every_source_and_what_it_reads_are_in_the_wheel(root: Path, wheel: Path) -> None:
    there = set(zipfile.ZipFile(wheel).namelist())
    wanted = [path for name in ("mapkd_core", "mapkd_ros") for path in (root / name).rglob("*") if path.is_file()]
    named = {str(path.relative_to(root)) for path in wanted if "__pycache__" not in path.parts}
    assert len(named) > 200 and named - there == set()
    assert {name for name in there if not name.startswith(("mapkd_core/", "mapkd_ros/"))} == {
        name for name in there if ".dist-info/" in name
    }


@pytest.fixture(scope="module")
def deployed(root: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment with the extra `deploy` alone."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pins = root / "requirements" / "constraints.txt"
    done = run(python, "-m", "pip", "install", "-q", "-c", pins, f"{wheel}[deploy]", cwd=folder)
    assert done.returncode == 0, done.stderr
    return python


def test_a_deployer_predicts_without_pytorch(deployed: Path, tmp_path: Path) -> None:
    from mapkd_core.export.onnx_graph import export_onnx

    path = save_tiny_student(tmp_path)
    network, card = load_model(path)
    export_onnx(network, path.with_suffix(".onnx"), card)
    expected = MapPredictor.from_artifact(path, "cpu", backend="torch").predict(list(tiny_images()), *tiny_rig())
    path.with_suffix(".safetensors").unlink()
    intrinsics, poses = tiny_rig()
    np.savez(tmp_path / "given.npz", images=tiny_images(), intrinsics=intrinsics, poses=poses)
    done = run(deployed, "-c", PREDICT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(tmp_path / "out.npy") - expected.probabilities).max() < 1e-4
    assert json.loads(done.stdout) == [element.label for element in expected.elements]


def test_the_command_runs_and_names_what_it_lacks(deployed: Path, tmp_path: Path) -> None:
    mapkd = deployed.with_name("mapkd")
    shown = run(mapkd, "--help", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "") and "usage: mapkd COMMAND" in shown.stdout
    refused = run(mapkd, "export", "runs/student", "--out", "student.json", cwd=tmp_path)
    assert refused.returncode == 2 and "pip install '.[export]'" in refused.stderr, refused.stderr
