"""ONNX Runtime without PyTorch: predictions are the same, and what needs more says what to install."""
import json
import subprocess
import sys

import numpy as np
import pytest
from tiny_student import tiny_images, tiny_rig

from mapkd_core import MapPredictor
from mapkd_core.commands.main import COMMANDS
from mapkd_core.extras import EXTRAS

# Imports of what the extras but `deploy` bring fail as where it is not installed.
WITHOUT = f"""
import json, sys
for name in {sorted(name for name in EXTRAS if name != "onnxruntime")}:
    sys.modules[name] = None
"""
PREDICT = WITHOUT + """
import numpy as np
from mapkd_core import MapPredictor
folder, out, backend, precision = sys.argv[1:]
given = np.load(folder + "/given.npz")
predictor = MapPredictor.from_artifact(folder + "/tiny.json", backend=backend, precision=precision)
found = predictor.predict(list(given["images"]), given["intrinsics"], given["poses"])
np.save(out, found.probabilities)
print(json.dumps([predictor.engine, [element.label for element in found.elements]]))
"""
HELP = WITHOUT + """
from mapkd_core.commands.main import COMMANDS, main
for name in COMMANDS:
    try:
        code = main([name, "--help"])
    except SystemExit as end:
        code = end.code
    assert code == 0, name
    print(name)
"""
COMMAND = WITHOUT + """
from mapkd_core.commands.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def python(root):
    """Runs code in a new interpreter that imports this checkout."""

    def run(code, *arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture(scope="module")
def without_weights(tiny_graph, tmp_path_factory):
    """The card and the graph alone, and images with their calibration: all that a deployer needs."""
    folder = tmp_path_factory.mktemp("deployed")
    for name in ("tiny.json", "tiny.onnx"):
        (folder / name).write_bytes((tiny_graph.parent / name).read_bytes())
    intrinsics, poses = tiny_rig()
    np.savez(folder / "given.npz", images=tiny_images(), intrinsics=intrinsics, poses=poses)
    return folder


@pytest.mark.parametrize(("backend", "precision"), [("onnx", "fp32"), ("auto", "auto")])
def test_predictions_are_those_of_pytorch(python, tiny_graph, without_weights, tmp_path, backend, precision):
    done = python(PREDICT, without_weights, tmp_path / "out.npy", backend, precision)
    assert done.returncode == 0, done.stderr
    engine, labels = json.loads(done.stdout)
    ours = MapPredictor.from_artifact(tiny_graph, device="cpu", backend="torch")
    expected = ours.predict(list(tiny_images()), *tiny_rig())
    assert engine == "onnx fp32"
    assert np.abs(np.load(tmp_path / "out.npy") - expected.probabilities).max() < 1e-4
    assert labels == [element.label for element in expected.elements]


def test_every_command_shows_its_help(python):
    done = python(HELP)
    assert done.returncode == 0, done.stderr
    assert all(f"usage: mapkd {name}" in done.stdout for name in COMMANDS)


@pytest.mark.parametrize(("arguments", "extra"), [
    (["train", "--config", "config/train/student.yaml"], "train"),
    (["distill", "--config", "config/train/distill_student.yaml"], "train"),
    (["export", "runs/student", "--out", "student.json"], "export"),
    (["predict", "--images", "front.jpg", "--calibration", "rig.json", "--backend", "torch"], "torch"),
    (["benchmark", "latency"], "torch"),
])  # fmt: skip
def test_a_command_that_needs_more_names_the_extra(python, arguments, extra):
    done = python(COMMAND, *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"mapkd {arguments[0]}") and f"pip install '.[{extra}]'" in done.stderr
