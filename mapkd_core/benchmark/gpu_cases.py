"""Cases of `mapkd benchmark gpu`: each is measured once, its result kept at once, in a process that may be ended.

The record of a part is a file of JSON lines, so that what was measured outlives a process that is killed, a GPU that
fails, and a machine that goes away: the next run measures what has no result yet.
"""
from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapkd_core.extras import how_to_install
from mapkd_core.progress import notice
from mapkd_core.worker_process import end_with_parent

Values = dict[str, Any]
"""What a case found: numbers and words, as JSON has them."""
GPU_IS_LOST = 75
"""Exit code of a process whose GPU answers nothing any more, after an error in a kernel."""
_GRACE_S = 10.0


@dataclass(frozen=True)
class Setting:
    """Where and how large a part is measured."""

    device: str
    """`cuda` or `cpu`."""
    tiny: bool
    """Small networks, images and counts: whether all runs, not how fast."""
    folder: Path
    """Of all results."""
    seconds: float
    """Of the part's time box."""

    def of(self, full: Any, tiny: Any) -> Any:
        """The value for the size asked for."""
        return tiny if self.tiny else full


@dataclass(frozen=True)
class Case:
    """One line of a part's table."""

    name: str
    measure: Callable[[], Values]


def verdict(off: float, tolerance: float, note: str = "") -> Values:
    """A comparison: how far off a result is, and how far it may be."""
    return {"off": off, "tolerance": tolerance, "same": bool(off <= tolerance), "note": note}


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether cuDNN may round float32 to 10 bits in convolutions meanwhile; else all stays as it is set."""
    import torch

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class Record:
    """The results of one part, in `folder`/`part`.jsonl."""

    def __init__(self, folder: Path, part: str) -> None:
        self.path = folder / f"{part}.jsonl"

    def write(self, case: str, kind: str, what: Any) -> None:
        """Adds a line: `kind` is `values`, or the reason why there are none (`error`, `missing`, `cut`, `ended`)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"case": case, kind: what}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def results(self) -> dict[str, dict[str, Any]]:
        """The newest line of each case that began; a line that was cut off with the machine is left out."""
        found: dict[str, dict[str, Any]] = {}
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            found[str(entry.pop("case"))] = entry
        return found

    def values(self) -> dict[str, Values]:
        """The cases that have been measured."""
        return {case: entry["values"] for case, entry in self.results().items() if "values" in entry}


def measure(cases: Iterable[Case], record: Record, skipped: Iterable[str] = ()) -> int:
    """Measures the cases that have no values yet; returns the exit code for the process, 0 if it may go on."""
    done = {*record.values(), *skipped}
    for case in cases:
        if case.name in done:
            continue
        record.write(case.name, "begun", True)
        began = time.perf_counter()
        try:
            values = case.measure()
            record.write(case.name, "values", {**values, "seconds": round(time.perf_counter() - began, 1)})
        except ModuleNotFoundError as error:
            record.write(case.name, "missing", how_to_install(error.name) or f"pip install {error.name}")
        except Exception as error:  # one case that fails must not cost the others: a GPU is lent for minutes
            record.write(case.name, "error", in_one_line(error))
            if os.environ.get("MAPKD_GPU_TRACEBACKS"):
                traceback.print_exc()
            if "CUDA error" in str(error) or "device-side assert" in str(error):
                return GPU_IS_LOST
    return 0


def in_one_line(error: BaseException) -> str:
    """Its kind and its words, at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def run_part(module: str, part: str, setting: Setting) -> str:
    """Measures a part in processes of its own within its box; returns how it ended: `done` or `time is over`.

    A case that ends its process, as by a fault in a library, is noted, and another process goes on behind it.
    """
    record = Record(setting.folder / "parts", part)
    ends = time.monotonic() + setting.seconds
    fatal: list[str] = []
    spawn = multiprocessing.get_context("spawn")
    while (left := ends - time.monotonic()) > 0:
        process = spawn.Process(target=_work, args=(module, part, setting, fatal), name=f"gpu-{part}")
        process.start()
        process.join(left)
        if process.is_alive():
            _end(process)
            _close(record, "cut", f"cut off when the part's {setting.seconds:.0f} s were over")
            return "time is over"
        if process.exitcode == 0:
            return "done"
        last = _close(record, "ended", f"the process ended with exit code {process.exitcode}")
        lost = list(record.results())[-1:] if process.exitcode == GPU_IS_LOST else []
        if not (last or lost):  # it ended before any case began; the next would too
            record.write(part, "ended", f"the process ended with exit code {process.exitcode} before its first case")
            return "done"
        fatal += [*last, *lost]
        notice(f"{part}: {fatal[-1]} ended its process ({process.exitcode}); the next cases go on in another")
    return "time is over"


def _work(module: str, part: str, setting: Setting, skipped: list[str]) -> None:
    end_with_parent()
    cases = importlib.import_module(module).cases(setting)
    raise SystemExit(measure(cases, Record(setting.folder / "parts", part), skipped))


def _end(process: Any) -> None:
    process.terminate()
    process.join(_GRACE_S)
    if process.is_alive():
        process.kill()
        process.join()


def _close(record: Record, kind: str, why: str) -> list[str]:
    """Notes the reason for the case that began and did not end; returns its name, or nothing."""
    begun = [case for case, entry in record.results().items() if "begun" in entry]
    for case in begun:
        record.write(case, kind, why)
    return begun
