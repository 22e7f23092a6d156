"""`mapkd` commands as processes that a test may kill: forked from this one, which has imported what is slow.

Each runs in a process group of its own. It can be killed from outside at any moment, or by itself just before its
n-th change of a file's name or content, which is where a kill does the most harm.
"""
from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NAMES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")
"""Events of Python's audit that change names or lengths; besides, files opened for writing."""


def preload() -> None:
    """Imports what all commands import, once."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # threads do not outlive a fork
        assert os.environ.get(name) == "1", f"set {name}=1"
    import lightning_fabric  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401

    import mapkd_core.commands.main
    import mapkd_core.distill.objective
    import mapkd_core.evaluation.evaluate
    import mapkd_core.training.loop  # noqa: F401


@dataclass
class Command:
    """A running command; `log` is where its output goes."""

    pid: int
    log: Path
    begun: float
    code: int | None = None

    def running(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is None

    def wait(self, timeout_s: float = 600.0) -> int:
        """The exit code; a command that goes on for too long is killed and gives 999."""
        until = time.monotonic() + timeout_s
        while self.running():
            if time.monotonic() > until:
                self.kill(group=True)
                os.waitpid(self.pid, 0)
                self.code = 999
            time.sleep(0.005)
        assert self.code is not None
        return self.code

    def kill(self, group: bool) -> None:
        """SIGKILL, to its worker processes too if `group`."""
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.is_file() else ""


def start(
    arguments: Sequence[str],
    cwd: Path,
    log: Path,
    kill_before: int | None = None,
    largest_file: int | None = None,
    as_owner_only: bool = False,
) -> Command:
    """Runs `mapkd ARGUMENTS` in `cwd`.

    It kills itself before its change of files number `kill_before` (0 counts them only, into `log`.changes). No file
    may grow beyond `largest_file` bytes. `as_owner_only` makes permissions hold for root too.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        return Command(pid, log, time.monotonic())
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(cwd)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for descriptor in (1, 2):
            os.dup2(out, descriptor)
        if as_owner_only:
            give_up_privileges()
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        if kill_before is not None:
            _watch(cwd, log.with_suffix(".changes"), kill_before)
        from mapkd_core.commands.main import main

        sys.argv = ["mapkd", *arguments]
        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def give_up_privileges() -> None:
    """Clears this process's capabilities (capset(2), version 3), with which root writes where nobody may.

    For good, also for a program that takes its place (PR_SET_NO_NEW_PRIVS of prctl(2)).
    """
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def _watch(cwd: Path, counter: Path, kill_before: int) -> None:
    """Counts changes below `cwd`, by this process and those that it forks each for itself."""
    owner, here, count = os.getpid(), str(cwd), 0
    changes = os.open(counter, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666) if not kill_before else -1

    def hook(event: str, values: tuple) -> None:
        nonlocal count
        if event == "open":
            flags = values[2] if len(values) > 2 and isinstance(values[2], int) else 0
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in NAMES:
            return
        if not values or not isinstance(values[0], str | bytes | os.PathLike) or os.getpid() != owner:
            return
        path = os.path.join(os.getcwd(), os.fsdecode(values[0]))
        if not path.startswith(here + os.sep):
            return
        count += 1
        if changes >= 0:
            os.write(changes, f"{event} {path[len(here) + 1:]}\n".encode())
        elif count == kill_before:
            os.killpg(owner, signal.SIGKILL)

    sys.addaudithook(hook)
