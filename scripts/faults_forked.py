"""Runs pytest in forks of a process that has loaded the libraries, with one file of the package changed."""
from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import pkgutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

LIBRARIES = (
    "cv2", "hypothesis", "lightning_fabric", "scipy.optimize", "scipy.spatial.transform", "shapely", "torch",
    "torch.utils.tensorboard",
)
PACKAGES = ("distill", "metrics", "training", "vector_loss", "vectorizer")


def import_libraries() -> None:
    """Loads what every fork would else load by itself: libraries, and the package as it is."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for name in PACKAGES:
        package = importlib.import_module(f"mapkd_core.{name}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    imports_of_loaded()
    gc.freeze()  # else each fork's first collection of garbage copies all of this memory


def forked(job: Callable[..., Any], *arguments: Any, limit_s: float | None = None) -> Any:
    """What `job` returns in a fork, as JSON knows it, or None if it dies or takes longer than the limit."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(read)
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            with os.fdopen(write, "w") as pipe:
                pipe.write(json.dumps(job(*arguments)))
        finally:
            os._exit(0)
    os.close(write)
    os.set_blocking(read, False)
    try:
        data = _read_within(read, limit_s)
    finally:  # whatever ends this process ends the fork, with the processes that its tests may have left
        os.close(read)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return json.loads(data) if data else None


def _read_within(pipe: int, limit_s: float | None) -> bytes:
    """All that is written to a pipe that does not block; less after the limit."""
    until, data = time.monotonic() + (limit_s or 1e9), b""
    while time.monotonic() < until:
        try:
            part = os.read(pipe, 1 << 20)
        except BlockingIOError:
            time.sleep(0.02)
            continue
        if not part:
            break
        data += part
    return data


def run_changed(root: Path, path: str, text: str, tests: Sequence[str], limit_s: float) -> tuple[str, str]:
    """`found` with the first test that fails, `left` if none does, or `not finished` within the limit."""
    result = forked(_run_changed, root, path, text, tests, limit_s=limit_s)
    if result is None:
        return "not finished", ""
    return ("left", "") if result["code"] == pytest.ExitCode.OK else ("found", result["failed"])


class _FirstFailure:
    """A pytest plugin that remembers what failed."""

    failed = "does not import"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of a test."""
        if report.failed:
            self.failed = report.nodeid


def _run_changed(root: Path, path: str, text: str, tests: Sequence[str]) -> dict[str, Any]:
    os.chdir(root)
    name = path.removesuffix(".py").replace("/", ".")
    for module in _dependents(name):
        _forget(module)
    sys.meta_path.insert(0, _Finder(name, root / path, compile(text, str(root / path), "exec", dont_inherit=True)))
    first = _FirstFailure()
    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(root), *tests], plugins=[first])
    return {"code": int(code), "failed": first.failed}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module, whose code is given."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        """The spec of that module."""
        if fullname != self.name:
            return None
        loader = importlib.machinery.SourceFileLoader(fullname, str(self.path))
        loader.get_code = lambda _: self.code  # type: ignore[assignment, method-assign, misc]
        return importlib.util.spec_from_file_location(fullname, self.path, loader=loader)


def _dependents(name: str) -> set[str]:
    """Loaded modules of the package that import a module, by way of others too, and itself."""
    found, new = set(), {name}
    while new:
        found |= new
        new = {module for module, names in imports_of_loaded().items() if names & new} - found
    return found


@cache
def imports_of_loaded() -> dict[str, set[str]]:
    """What each module of the package imports that was loaded when this was first called."""
    return {
        module: _imported(Path(loaded.__file__))
        for module, loaded in sys.modules.items()
        if module.startswith("mapkd_core.") and loaded.__file__
    }


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def _forget(module: str) -> None:
    sys.modules.pop(module, None)
    package, _, name = module.rpartition(".")
    if package in sys.modules and hasattr(sys.modules[package], name):
        delattr(sys.modules[package], name)
