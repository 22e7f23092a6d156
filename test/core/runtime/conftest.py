"""A tiny student with its exported graph, once for all tests of the runtimes: an export takes seconds."""
from pathlib import Path

import pytest
from tiny_student import save_tiny_student

from mapkd_core.artifact import load_model, note_graph


def graph_of(folder: Path, seed: int) -> Path:
    """The card of a tiny student; tiny.safetensors and tiny.onnx lie beside it."""
    pytest.importorskip("onnxscript", reason="ONNX export needs: pip install '.[export]'")
    from mapkd_core.export.onnx_graph import export_onnx

    path = save_tiny_student(folder, seed)
    network, card = load_model(path)
    export_onnx(network, path.with_suffix(".onnx"), card)
    note_graph(path, path.with_suffix(".onnx"))
    return path


@pytest.fixture(scope="session")
def tiny_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card; tiny.safetensors and tiny.onnx lie beside it."""
    return graph_of(tmp_path_factory.mktemp("artifact"), 0)


@pytest.fixture(scope="session")
def other_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_graph` with other weights."""
    return graph_of(tmp_path_factory.mktemp("artifact"), 1)
