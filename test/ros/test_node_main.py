"""What the executables share: exit codes, and one line with the remedy for each reason not to go on."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from mapkd_ros.node_main import interruptible, only_ros_arguments, ros, run_main
from mapkd_ros.stop_signals import SIGNALS, StopSignals


@pytest.fixture(autouse=True)
def handlers_of_the_test_runner() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raises(error: BaseException) -> Callable[[StopSignals], int]:
    def work(signals: StopSignals) -> int:
        raise error

    return work


class RCLError(Exception):
    """Named as rclpy's own, which cannot be imported by that name where ROS is missing."""


def missing(module: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named {module!r}", name=module)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (missing("tf2_msgs.msg"), "apt install ros-$ROS_DISTRO-tf2-msgs"),
        (missing("mapkd_ros.msg"), "run colcon build"),
        (missing("rclpy"), "source /opt/ros"),
        (missing("rosbags"), "pip install"),
        (missing("torch"), "ask the mechanic"),
        (missing("zzz"), "install it for the Python that runs ROS"),
        (RuntimeError("Handle's typesupport identifier is not supported"), "run colcon build"),
        (RCLError("error creating node: This Fast DDS version doesn't have the security libraries\nPlease compile"),
         "ROS_SECURITY_ENABLE asks for SROS 2"),
        (RCLError("failed to initialize rcl: ROS_DOMAIN_ID is not an integral number, at /src/domain_id.c:49"),
         "(failed to initialize rcl: ROS_DOMAIN_ID is not an integral number); look at"),
        (ValueError("parameter device is 'gpu';\n  expected cpu"), "parameter device is 'gpu'; expected cpu"),
        (FileNotFoundError(2, "No such file or directory", "/nowhere/x"), "/nowhere/x"),
        (PermissionError(13, "Permission denied", "/root/x"), "Permission denied"),
    ],
)
def test_a_reason_to_stop_is_one_line_with_the_remedy(error, words, capsys):
    assert run_main("some_node", raises(error), {"torch": "ask the mechanic"}) == 2
    text = capsys.readouterr().err
    assert text.startswith("some_node: ") and words in text and text.count("\n") == 1


def test_a_fault_of_our_own_is_not_hidden():
    with pytest.raises(RuntimeError, match="a bug"):
        run_main("some_node", raises(RuntimeError("a bug")))
    with pytest.raises(RCLError, match="a bug"):
        run_main("some_node", raises(RCLError("publisher is invalid: a bug")))


FIRST_IMPORT = """
import os, runpy, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mapkd_core", "mapkd_ros"): os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Finder())
runpy.run_path({path!r}, run_name="__main__")
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "program", ["node/student_node", "player/nuscenes_player", "recorder/recorder", "map_builder/map_builder"]
)
def test_an_executable_is_ready_for_signals_before_it_imports_anything_slow(program, number, root):
    code = FIRST_IMPORT.format(number=int(number), path=str(root / "mapkd_ros" / f"{program}.py"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_an_import_ends_it_too(number, tmp_path):
    """Modules in C swallow KeyboardInterrupt, or make an ImportError of it."""
    kill = f"os.kill(os.getpid(), {int(number)})"
    text = f"import os\ntry:\n    {kill}\nexcept KeyboardInterrupt:\n    raise ImportError from None\n"
    (tmp_path / "compiled.py").write_text(text)
    code = """
import sys
from mapkd_ros.node_main import interruptible, run_main
def work(signals):
    with interruptible():
        import compiled
    return 1
sys.exit(run_main("some_node", work))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_one_in_long_preparation_ends_it(number, capsys):
    reached = []

    def work(signals: StopSignals) -> int:
        os.kill(os.getpid(), number)
        assert signals.stopping.is_set()
        with interruptible():
            reached.append("preparation")
            os.kill(os.getpid(), number)
            reached.append("never")
        return 1

    assert run_main("some_node", work) == 0
    assert reached == ["preparation"] and capsys.readouterr().err == ""
    assert signal.getsignal(number) is signal.SIG_IGN  # while the interpreter shuts down it must do no harm


def test_after_preparation_a_signal_is_only_noted_again():
    def work(signals: StopSignals) -> int:
        with interruptible():
            pass
        os.kill(os.getpid(), signal.SIGINT)
        return 0 if signals.stopping.is_set() else 1

    assert run_main("some_node", work) == 0


@pytest.mark.ros
def test_help_goes_to_stdout_and_other_arguments_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["some_node", "--help", "--ros-args", "-p", "rate:=2"])
    assert not only_ros_arguments(lambda: "what it is for")
    assert capsys.readouterr().out == "what it is for\n"
    monkeypatch.setattr(sys, "argv", ["some_node", "--ros-args", "-p", "rate:=2"])
    assert only_ros_arguments(lambda: "")
    refused = ((["--rate", "2"], "unknown argument '--rate'"), (["--ros-args", "-r", "bogus"], "remap rule"))
    for arguments, words in refused:
        monkeypatch.setattr(sys, "argv", ["some_node", *arguments])
        with pytest.raises(ValueError, match=words):
            only_ros_arguments(lambda: "")


@pytest.mark.ros
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"ROS_DOMAIN_ID": "233"}, "ROS_DOMAIN_ID is 233; expected 0 to 232"),
        ({"ROS_DOMAIN_ID": "x"}, "ROS_DOMAIN_ID is not an integral number); look at"),
        ({"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce", "ROS_SECURITY_KEYSTORE": "/nowhere"},
         "'/nowhere/enclaves' does not exist.); look at"),
    ],
)
def test_variables_with_which_ros_does_not_start_are_named(variables, words, monkeypatch, capsys):
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

    def work(signals: StopSignals) -> int:
        with ros():
            rclpy.create_node("never")
        return 0

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run_main("some_node", work) == 2
    assert words in capsys.readouterr().err


@pytest.mark.ros
def test_sros_is_refused_where_the_middleware_lacks_it(tmp_path, monkeypatch, capsys):
    """A node must not go on in the open when it was told to hide. Installations with SROS 2 name the missing keys."""
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    (tmp_path / "enclaves").mkdir()
    for name, value in (("ENABLE", "true"), ("STRATEGY", "Enforce"), ("KEYSTORE", str(tmp_path))):
        monkeypatch.setenv(f"ROS_SECURITY_{name}", value)

    def work(signals: StopSignals) -> int:
        with ros():
            rclpy.create_node("never")
        return 0

    assert run_main("some_node", work) == 2
    text = capsys.readouterr().err
    assert "ROS_SECURITY_ENABLE asks for SROS 2" in text or "ROS 2 does not start" in text
