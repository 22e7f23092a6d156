from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from mapkd_ros.child_process import ChildProcess


def python(code: str) -> ChildProcess:
    return ChildProcess("child", [sys.executable, "-c", code])


def test_output_of_both_kinds_and_exit_code() -> None:
    child = python("import sys; print('to out'); print('to err', file=sys.stderr); sys.exit(3)")
    assert child.wait(20) == 3
    assert "to out" in child.output and "to err" in child.output
    assert child.tail(1) in ("to out", "to err")


def test_waiting_for_words_returns_as_soon_as_they_come() -> None:
    with python("import time; print('ready', flush=True); time.sleep(60)") as child:
        began = time.monotonic()
        child.wait_for("ready", 30)
        assert time.monotonic() - began < 30
        assert child.returncode is None
    assert child.returncode is not None


def test_a_child_that_ends_without_the_words_is_an_error_with_its_last_ones() -> None:
    child = python("print('out of coffee'); raise SystemExit(7)")
    with pytest.raises(RuntimeError, match=r"(?s)ended with code 7 without saying 'ready'.*out of coffee"):
        child.wait_for("ready", 30)


def test_a_child_that_never_says_the_words_is_an_error() -> None:
    with python("import time; time.sleep(60)") as child, pytest.raises(RuntimeError, match="without saying 'ready'"):
        child.wait_for("ready", 0.3)


def test_a_child_that_does_not_end_in_time_is_an_error() -> None:
    with python("import time; time.sleep(60)") as child, pytest.raises(RuntimeError, match="still runs after"):
        child.wait(0.2)


def test_stop_sends_the_signal_and_returns_the_exit_code() -> None:
    child = python(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    child.wait_for("ready", 30)
    assert child.stop(signal.SIGINT) == 5


def test_grandchildren_do_not_survive() -> None:
    child = python(
        "import subprocess, sys, time\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(signal.SIGINT, "
        "signal.SIG_IGN); time.sleep(60)'])\n"
        "print('pid', other.pid, flush=True)\n"
        "time.sleep(60)"
    )
    child.wait_for("pid", 30)
    grandchild = int(child.output.split("pid ")[1].split()[0])
    child.stop()
    assert ends(grandchild)


def test_neither_child_nor_grandchild_survives_a_parent_that_is_killed() -> None:
    """As `ros2 launch` and its nodes, in a run of the tests that is killed."""
    sleeper = "import subprocess as s, sys; o = s.Popen(['sleep', '60']); print('pid', o.pid, flush=True); o.wait()"
    code = (
        "from mapkd_ros.child_process import ChildProcess\n"
        f"child = ChildProcess('child', [{sys.executable!r}, '-c', {sleeper!r}])\n"
        "child.wait_for('pid', 30)\n"
        "print(child.pid, child.output.split()[1], flush=True)\n"
        "child.wait(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment()) as parent:
        pids = [int(word) for word in (parent.stdout or pytest.fail()).readline().split()]
        assert len(pids) == 2 and all(map(alive, pids))
        parent.kill()
    assert all(map(ends, pids))


def test_the_guard_goes_with_the_child() -> None:
    before = set(psutil.Process().children())
    child = python("pass")
    assert child.wait(30) == 0
    assert set(psutil.Process().children()) == before


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def ends(pid: int) -> bool:
    """Whether a process is gone within half a minute."""
    for _ in range(600):
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
