"""How each executable of this package starts and ends: signals, arguments, ROS, and one line for a reason to stop."""
from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager

from mapkd_core.extras import how_to_install
from mapkd_core.importing import importing
from mapkd_ros.stop_signals import SIGNALS, StopSignals

TYPE_CHECKING = False  # what is imported here is time in which a signal ends in a traceback
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from rclpy.node import Node

NO_ROS = "no ROS 2 in this shell: source /opt/ros/$ROS_DISTRO/setup.bash, or this project's scripts/env.sh"
LAST_DOMAIN = 232
"""The port of a higher one would not exist: DDS counts 250 ports a domain from 7400 on."""
NO_SECURITY = (
    "ROS_SECURITY_ENABLE asks for SROS 2, and the middleware here is built without it (that of the wheels is): use an "
    "installation that has it, or unset ROS_SECURITY_ENABLE and read SECURITY.md"
)
UNBUILT = "the messages of mapkd_ros are not built or not found: run colcon build, then source install/setup.bash"

_NO_START = ("failed to initialize rcl", "error creating node")
"""How rclpy begins what it says where the environment keeps ROS from starting."""


def run_main(name: str, work: Callable[[StopSignals], int], remedies: Mapping[str, str] | None = None) -> int:
    """Does an executable's work and returns the exit code: 2 with one line on stderr for what a user can mend.

    SIGINT and SIGTERM set `stopping` of the StopSignals that `work` gets, or end it at once inside `interruptible()`;
    both count as success. `remedies` names, module by module, what this executable advises where one is missing.
    Other exceptions are faults of this package and pass through with their traceback.
    """
    signals = StopSignals()
    try:
        return work(signals)
    except KeyboardInterrupt:
        return 0
    except ModuleNotFoundError as error:
        return _refuse(name, f"needs {error.name or error}; {_remedy(error, remedies or {})}")
    except (ValueError, OSError) as error:
        return _refuse(name, str(error))
    except Exception as error:
        # ROS has no common class for messages whose libraries are not on the loader's path.
        if "typesupport" in f"{type(error).__name__} {error}".lower():
            return _refuse(name, UNBUILT)
        if type(error).__name__ == "RCLError" and str(error).startswith(_NO_START):
            return _refuse(name, _no_start(str(error)))
        raise
    finally:
        signals.ignore()


@contextmanager
def interruptible() -> Iterator[None]:
    """A signal ends what is done meanwhile right away, such as reading the tables of a large data set."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:  # SIGINT too: shells start background jobs with that signal ignored
        signal.signal(number, _end_at_once)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """Unwinds what is done; an import would swallow that, or report it as a fault of its own."""
    if importing(frame):
        os._exit(0)
    raise KeyboardInterrupt


def only_ros_arguments(help_text: Callable[[], str]) -> bool:
    """Whether to go on: False after `--help`, which it answers. Raises ValueError for an argument that is not ROS's."""
    from rclpy.utilities import remove_ros_args

    try:
        others = remove_ros_args(sys.argv)[1:]
    except RuntimeError as error:  # of rclpy, for malformed --ros-args
        raise ValueError(str(error).splitlines()[0]) from error
    if "-h" in others or "--help" in others:
        print(help_text())
        return False
    if others:
        raise ValueError(f"unknown argument {others[0]!r}; give parameters as: --ros-args -p name:=value (see --help)")
    return True


@contextmanager
def ros() -> Iterator[None]:
    """ROS is up meanwhile; signals are this package's affair (see StopSignals)."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    domain = os.environ.get("ROS_DOMAIN_ID", "")
    if domain.isdigit() and int(domain) > LAST_DOMAIN:  # Fast DDS would end the process by itself
        raise ValueError(f"ROS_DOMAIN_ID is {domain}; expected 0 to {LAST_DOMAIN}")
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield
    finally:
        rclpy.try_shutdown()


def spin(node: Node, signals: StopSignals) -> None:
    """Runs the node's callbacks until a signal comes."""
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor()
    executor.add_node(node)
    signals.spin(executor)
    executor.shutdown()


def _remedy(error: ModuleNotFoundError, remedies: Mapping[str, str]) -> str:
    package = (error.name or "").split(".")[0]
    if package in remedies:
        return remedies[package]
    if package == "mapkd_ros":
        return UNBUILT
    if package == "rclpy":
        return NO_ROS
    if package.endswith(("_msgs", "_interfaces")):
        apt = f"ros-$ROS_DISTRO-{package.replace('_', '-')}"
        return f"install the package {package} (apt install {apt}), or run `make setup`"
    return how_to_install(package) or "install it for the Python that runs ROS"


def _no_start(text: str) -> str:
    """Why ROS itself did not start, in its own words without the place in its sources, and what helps."""
    if "security libraries" in text:
        return NO_SECURITY
    reason = " ".join(text.splitlines()).split(", at /")[0]
    return f"ROS 2 does not start ({reason}); look at this shell's variables: env | grep -E '^(ROS|RMW)_'"


def _refuse(name: str, reason: str) -> int:
    print(f"{name}: {' '.join(reason.split())}", file=sys.stderr, flush=True)
    return 2
