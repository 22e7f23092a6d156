"""How the executable starts and refuses to start."""
from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from mapkd_core.predictor import DEFAULT_WEIGHTS
from mapkd_ros.node import student_node
from mapkd_ros.node.student_parameters import PARAMETERS
from mapkd_ros.stop_signals import SIGNALS, StopSignals

VALUES = {row.name: row.default for row in PARAMETERS}


@pytest.fixture(autouse=True)
def handlers_of_the_test_runner() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("torch", "use backend:=onnx, or install it with: pip install '.[torch]'"),
        ("onnxruntime", "backend:=torch"),
        ("openvino", "use backend:=onnx, or install it with: pip install '.[openvino]'"),
    ],
)
def test_a_missing_package_is_one_line_with_the_remedy(module, words, monkeypatch, capsys):
    def fail(signals: StopSignals) -> int:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(student_node, "_run", fail)
    assert student_node.main() == 2
    text = capsys.readouterr().err
    assert text.startswith("student_node: ") and words in text and text.count("\n") == 1


@pytest.mark.ros
def test_help_and_unknown_arguments(monkeypatch, capsys):
    pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    monkeypatch.setattr(sys, "argv", ["student_node", "--help"])
    assert student_node.main() == 0
    assert "image_transport" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["student_node", "--device", "cpu"])
    assert student_node.main() == 2
    assert "unknown argument '--device'; give parameters as: --ros-args -p" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["student_node", "--ros-args", "-r", "bogus"])
    assert student_node.main() == 2
    assert "remap rule" in capsys.readouterr().err


def test_empty_weights_mean_those_of_the_package():
    pytest.importorskip("torch")
    if not DEFAULT_WEIGHTS.is_file():
        pytest.skip(f"{DEFAULT_WEIGHTS} is not there")
    predictor = student_node.load_predictor({**VALUES, "device": "cpu", "threads": 1})
    assert predictor.device == "cpu"
    assert predictor.card == student_node.load_predictor({**VALUES, "device": "cpu", "weights": DEFAULT_WEIGHTS}).card
    assert predictor.card == student_node.load_predictor({**VALUES, "device": "cpu", "weights": "nano"}).card
    with pytest.raises(ValueError, match=r"no model card .*, or one of nano, small, base, nano_robust"):
        student_node.load_predictor({**VALUES, "weights": "/nowhere/student.json"})
