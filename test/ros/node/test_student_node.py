"""How the executable starts and refuses to start."""
from __future__ import annotations

import sys

import pytest

from mapkd_core.predictor import DEFAULT_WEIGHTS
from mapkd_ros.node import student_node
from mapkd_ros.node.student_parameters import PARAMETERS

VALUES = {row.name: row.default for row in PARAMETERS}


class Signals:
    """Leaves the test runner's own signal handlers alone."""

    def ignore(self) -> None: ...


@pytest.fixture
def refusal(monkeypatch, capsys):
    """refusal(error) is what main prints when starting raises this error."""
    monkeypatch.setattr(student_node, "StopSignals", Signals)

    def run(error: Exception) -> str:
        def fail(signals: object) -> int:
            raise error

        monkeypatch.setattr(student_node, "_run", fail)
        assert student_node.main() == 2
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'tf2_msgs'", name="tf2_msgs"), "install the package tf2_msgs"),
        (ModuleNotFoundError("No module named 'mapkd_ros.msg'", name="mapkd_ros.msg"), "run colcon build"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "pip install torch"),
        (ModuleNotFoundError("No module named 'rclpy'", name="rclpy"), "source /opt/ros"),
        (ModuleNotFoundError("No module named 'zzz'", name="zzz"), "install it for the Python that runs ROS"),
        (RuntimeError("Handle's typesupport identifier is not supported"), "run colcon build"),
        (ValueError("parameter device is 'gpu'"), "student_node: parameter device is 'gpu'"),
    ],
)
def test_a_reason_not_to_start_is_one_line_with_the_remedy(refusal, error, words):
    text = refusal(error)
    assert text.startswith("student_node: ") and words in text and text.count("\n") == 1


def test_a_fault_of_our_own_is_not_hidden(refusal):
    with pytest.raises(RuntimeError, match="a bug"):
        refusal(RuntimeError("a bug"))


@pytest.mark.ros
def test_help_and_unknown_arguments(monkeypatch, capsys):
    pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    monkeypatch.setattr(student_node, "StopSignals", Signals)
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
    with pytest.raises(ValueError, match=r"no model card .*, or one of nano, small, base"):
        student_node.load_predictor({**VALUES, "weights": "/nowhere/student.json"})
