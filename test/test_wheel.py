"""The wheel: what is in it, and that with the extra `deploy` a clean environment predicts without PyTorch."""
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

from mapkd_core import MapPredictor, __version__
from mapkd_core.artifact import load_model, note_graph

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


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sources(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the wheel is built from."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(root / name, folder / name)
    for name in ("mapkd_core", "mapkd_ros", "msg"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in the copy, by the setuptools that is here."""
    pytest.importorskip("wheel", reason="building a wheel needs: pip install -r requirements/dev.txt")
    before, out = files_below(sources), tmp_path_factory.mktemp("wheel")
    built = run(
        sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", out, sources, cwd=out
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert files_below(sources) == before, "building leaves files beside the sources"
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_holds_every_source_what_it_reads_the_licenses_and_nothing_else(sources: Path, wheel: Path) -> None:
    there = set(zipfile.ZipFile(wheel).namelist())
    wanted = {name for name in files_below(sources) if name.startswith(("mapkd_core/", "mapkd_ros/"))}
    assert len(wanted) > 200 and "mapkd_core/weights/LICENSE.txt" in wanted
    info = f"mapkd_ros-{__version__}.dist-info/"
    messages = f"mapkd_ros-{__version__}.data/data/share/mapkd_ros/"
    about = {name.removeprefix(info).removeprefix(messages) for name in there - wanted}
    assert wanted - there == set()
    assert {name.rpartition("/")[2] for name in about if name.endswith(("LICENSE", "NOTICE"))} == {"LICENSE", "NOTICE"}
    assert {name for name in about if not name.endswith(("LICENSE", "NOTICE"))} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt",
        *(name for name in files_below(sources) if name.startswith("msg/")),
    }  # fmt: skip


def test_the_wheel_tells_pip_its_version_and_its_pythons(wheel: Path) -> None:
    metadata = zipfile.ZipFile(wheel).read(f"mapkd_ros-{__version__}.dist-info/METADATA").decode().splitlines()
    assert f"Version: {__version__}" in metadata
    (pythons,) = [line for line in metadata if line.startswith("Requires-Python: ")]
    assert {">=3.10", "<3.13"} == set(pythons.removeprefix("Requires-Python: ").split(","))


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


@pytest.mark.slow
def test_a_deployer_predicts_without_pytorch(deployed: Path, tmp_path: Path) -> None:
    from mapkd_core.export.onnx_graph import export_onnx

    path = save_tiny_student(tmp_path)
    network, card = load_model(path)
    export_onnx(network, path.with_suffix(".onnx"), card)
    note_graph(path, path.with_suffix(".onnx"))
    expected = MapPredictor.from_artifact(path, device="cpu", backend="torch").predict(list(tiny_images()), *tiny_rig())
    path.with_suffix(".safetensors").unlink()
    intrinsics, poses = tiny_rig()
    np.savez(tmp_path / "given.npz", images=tiny_images(), intrinsics=intrinsics, poses=poses)
    done = run(deployed, "-c", PREDICT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(tmp_path / "out.npy") - expected.probabilities).max() < 1e-4
    assert json.loads(done.stdout) == [element.label for element in expected.elements]


@pytest.mark.slow
def test_the_command_runs_and_names_what_it_lacks(deployed: Path, tmp_path: Path) -> None:
    mapkd = deployed.with_name("mapkd")
    shown = run(mapkd, "--help", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "") and "usage: mapkd COMMAND" in shown.stdout
    assert run(mapkd, "--version", cwd=tmp_path).stdout == f"mapkd {__version__}\n"
    refused = run(mapkd, "export", "runs/student", "--out", "student.json", cwd=tmp_path)
    assert refused.returncode == 2 and "pip install '.[export]'" in refused.stderr, refused.stderr
