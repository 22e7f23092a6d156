"""OpenVINO's backend: the numbers of the others, for any number of cameras, and what is refused."""
import importlib.util
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from tiny_student import GRID, SIZE, tiny_images, tiny_rig

from mapkd_core.artifact import ArtifactError, ModelCard, load_card, load_model, note_graph, save_artifact
from mapkd_core.export.int8 import export_int8
from mapkd_core.export.onnx_graph import export_onnx
from mapkd_core.export.parity import proof_frames
from mapkd_core.model.build import build_model
from mapkd_core.runtime import RuntimeOptions, graph_face, graph_path, open_runtime
from mapkd_core.runtime.openvino_backend import pick_openvino_device
from mapkd_core.runtime.openvino_import import import_openvino

OPENVINO = {"device": "cpu", "backend": "openvino"}
installed = pytest.mark.usefixtures("openvino")


@pytest.fixture
def openvino():
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO needs: pip install '.[openvino]'")
    return import_openvino()


@installed
@pytest.mark.parametrize("cameras", [1, 4, 6, 8])
def test_float32_is_that_of_onnx_runtime_for_any_number_of_cameras(tiny_graph, cameras):
    given = tiny_images(cameras), *tiny_rig(cameras)
    expected = open_runtime(tiny_graph, RuntimeOptions(device="cpu", backend="onnx")).probabilities(*given)
    found = open_runtime(tiny_graph, RuntimeOptions(**OPENVINO)).probabilities(*given)
    assert found.shape == expected.shape and found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-4  # in bfloat16, which it would choose itself, 5e-4


@installed
@pytest.mark.parametrize("cameras", [1, 4, 6, 8])
def test_shipped_eight_bits_draw_what_onnx_runtime_draws(cameras, monkeypatch):
    monkeypatch.setattr(graph_face, "has_any", lambda flags: True)
    width, height = load_card("nano").input_size
    images = np.random.default_rng(1).integers(0, 256, (cameras, height, width, 3), dtype=np.uint8)
    intrinsics, poses = tiny_rig(cameras)
    found = [
        open_runtime("nano", RuntimeOptions(device="cpu", backend=backend, precision="int8")).probabilities(
            images, intrinsics * np.array([[width / 96], [height / 48], [1.0]]), poses
        )
        for backend in ("onnx", "openvino")
    ]
    # Rounding differs in places: the classes are held together, not the numbers.
    assert (found[0].argmax(0) == found[1].argmax(0)).mean() > 0.95


@installed
def test_what_one_call_gives_outlives_the_next(tiny_graph):
    runtime = open_runtime(tiny_graph, RuntimeOptions(**OPENVINO))
    first = runtime.probabilities(tiny_images(seed=0), *tiny_rig())
    kept = first.copy()
    second = runtime.probabilities(tiny_images(seed=1), *tiny_rig())
    assert np.array_equal(first, kept) and not np.array_equal(first, second)


@installed
def test_threads_do_not_disturb_each_other(tiny_graph):
    runtime = open_runtime(tiny_graph, RuntimeOptions(**OPENVINO, threads=1))
    rig = tiny_rig()
    loaded = [runtime.load(tiny_images(seed=seed)) for seed in range(2)]
    expected = [runtime.infer(one, *rig) for one in loaded]
    wrong = []

    def run(number):
        for _ in range(20):
            if not np.array_equal(runtime.infer(loaded[number], *rig), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@installed
def test_maptr_runs_in_float32_and_in_eight_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(graph_face, "has_any", lambda flags: True)
    options = {"width": 256, "hidden": 256, "bev_cell_m": 3.0, "vectors": 4, "points": 3, "published": True}
    network = build_model("vector_student", GRID, SIZE, options)
    path = tmp_path / "maptr.json"
    save_artifact(path, ModelCard("m", "1", "vector_student", options, GRID, SIZE), network.state_dict())
    student, card = load_model(path)
    export_onnx(student, graph_path(path), card)
    note_graph(path, graph_path(path))
    export_int8(path, proof_frames(None, SIZE, 1))
    given = tiny_images(), *tiny_rig()
    exact = open_runtime(path, RuntimeOptions(device="cpu", backend="torch")).probabilities(*given)
    for precision, score, median_m, most_m in (("fp32", 1e-5, 1e-4, 1e-3), ("int8", 0.02, 0.1, 1.0)):
        found = open_runtime(path, RuntimeOptions(**OPENVINO, precision=precision)).probabilities(*given)
        apart = np.abs(found - exact)
        assert apart[:, :3].max() < score
        assert np.median(apart[:, 3:]) < median_m and apart[:, 3:].max() < most_m


@installed
def test_new_weights_in_the_same_file_run(tiny_graph, other_graph, tmp_path):
    outputs = []
    for origin in (tiny_graph, other_graph):
        for ending in (".json", ".onnx"):
            (tmp_path / f"tiny{ending}").write_bytes(origin.with_suffix(ending).read_bytes())
        runtime = open_runtime(tmp_path / "tiny.json", RuntimeOptions(**OPENVINO))
        outputs.append(runtime.probabilities(tiny_images(), *tiny_rig()))
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


@installed
def test_a_graph_that_its_card_does_not_know_is_not_opened(tiny_graph, openvino, tmp_path, monkeypatch):
    (tmp_path / "tiny.json").write_bytes(tiny_graph.read_bytes())
    graph = tmp_path / "tiny.onnx"
    graph.write_bytes(tiny_graph.with_suffix(".onnx").read_bytes() + b"\0")

    class NoCore:
        def read_model(self, path):
            pytest.fail("it was opened")

    monkeypatch.setattr(openvino, "Core", NoCore)
    with pytest.raises(ArtifactError, match=r"tiny\.onnx has SHA-256 .*its card says"):
        open_runtime(tmp_path / "tiny.json", RuntimeOptions(**OPENVINO))
    card = json.loads(tiny_graph.read_text())
    (tmp_path / "tiny.json").write_text(json.dumps({**card, "graphs_sha256": {}}))
    with pytest.raises(ArtifactError, match=r"tiny\.onnx is not on its card"):
        open_runtime(tmp_path / "tiny.json", RuntimeOptions(**OPENVINO))


@installed
def test_a_damaged_graph_and_one_of_other_weights_are_named(tiny_graph, other_graph, tmp_path):
    (tmp_path / "tiny.json").write_bytes(tiny_graph.read_bytes())
    graph = tmp_path / "tiny.onnx"
    for data, words in (
        (tiny_graph.with_suffix(".onnx").read_bytes()[:5000], r"does not load in OpenVINO \(.*\); .*write it again"),
        (other_graph.with_suffix(".onnx").read_bytes(), "was made from the weights [0-9a-f]{12}, its card is of"),
    ):
        graph.write_bytes(data)
        note_graph(tmp_path / "tiny.json", graph)
        with pytest.raises(ArtifactError, match=words) as raised:
            open_runtime(tmp_path / "tiny.json", RuntimeOptions(**OPENVINO))
        assert "\n" not in str(raised.value)


@installed
def test_a_missing_graph_is_named_with_the_remedy():
    words = r"no graph .*small\.onnx \(precision int8 .* is there\); write it with: mapkd export "
    with pytest.raises(ArtifactError, match=words):
        open_runtime("small", RuntimeOptions(**OPENVINO))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "cuda"}, "backend openvino runs on device cpu, not 'cuda'; use device cpu, or backend onnx"),
        ({"precision": "bf16"}, "precision bf16 is not served by backend openvino, which has fp32, int8"),
    ],
)
def test_what_it_does_not_serve(options, words):
    with pytest.raises(ValueError, match=words):
        pick_openvino_device(RuntimeOptions(backend="openvino", **options))


def test_int8_needs_a_cpu_with_the_instructions(monkeypatch):
    monkeypatch.setattr(graph_face, "has_any", lambda flags: False)
    with pytest.raises(ValueError, match=r"none of the flags amx_int8, .*; use fp32"):
        pick_openvino_device(RuntimeOptions(backend="openvino", precision="int8"))


QUIET = """
import sys
from mapkd_core.runtime.openvino_import import import_openvino
import_openvino().Core()
assert "openvino.tools.ovc" in sys.modules, "what would report is not reached"
print([name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module])
"""


@installed
def test_it_reports_nothing_to_its_makers(root):
    environment = {name: value for name, value in os.environ.items() if name != "CI"}  # there it is silent anyway
    command = [sys.executable, "-c", QUIET]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
