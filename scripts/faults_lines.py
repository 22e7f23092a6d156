"""Which lines of the sources each quick test executes, and which tests therefore may notice a change of some text."""
from __future__ import annotations

import ast
import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

Lines = dict[str, tuple[float, dict[str, list[int]]]]
"""test -> seconds that it took, and by source the lines of functions that it executed."""


class Tracer:
    """A pytest plugin that notes what every test that passes executes of the sources below `watched`."""

    def __init__(self, root: Path, watched: str) -> None:
        self.root, self.watched = root, str(root / watched)
        self.lines: Lines = {}
        self._hits: set[tuple[str, int]] = set()
        self._passed = True

    def _called(self, frame: Any, event: str, argument: object) -> Any:
        code = frame.f_code
        if code.co_filename == "<string>" and code.co_name == "__init__":  # a dataclass's: its defaults are at stake
            place = frame.f_globals.get("__file__") or ""
            if place.startswith(self.watched):
                self._hits.add((place, 0))
            return None
        if not code.co_filename.startswith(self.watched) or code.co_name == "<module>":
            return None
        self._hits.add((code.co_filename, code.co_firstlineno))
        return self._stepped

    def _stepped(self, frame: Any, event: str, argument: object) -> Any:
        self._hits.add((frame.f_code.co_filename, frame.f_lineno))
        return self._stepped

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Traces a test with its fixtures."""
        self._hits, self._passed, began = set(), True, time.process_time()
        sys.settrace(self._called)
        threading.settrace(self._called)
        try:
            return (yield)  # type: ignore[misc]
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            if self._passed:
                table: dict[str, list[int]] = {}
                for name, line in sorted(self._hits):
                    table.setdefault(str(Path(name).relative_to(self.root)), []).append(line)
                self.lines[item.nodeid] = (time.process_time() - began, table)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that fails or is skipped without any fault notices nothing."""
        self._passed &= report.passed


def lines_by_test(root: Path, part: str, tests: Sequence[str], forked: Callable[..., Any]) -> Lines:
    """Of the quick tests in `tests`; those of files that have not changed since the last time are read from .cache."""
    places = [root / name for name in tests]
    files = [path for place in places for path in (sorted(place.rglob("test_*.py")) if place.is_dir() else [place])]
    watched = sorted((root / part).rglob("*.py")) if (root / part).is_dir() else [root / part]
    shared = hashlib.sha256(b"".join(p.read_bytes() for p in (*watched, *sorted((root / "test/support").glob("*.py")))))
    kept = root / ".cache" / "faults" / f"{part.replace('/', '_')}.json"
    stored = json.loads(kept.read_text()) if kept.exists() else {}
    known, missing = {}, []
    for path in files:
        name, key = str(path.relative_to(root)), shared.copy()
        key.update(path.read_bytes())
        known[name] = stored.get(name, {})
        if known[name].get("key") != key.hexdigest():
            known[name] = {"key": key.hexdigest(), "lines": {}}
            missing.append(name)
    if missing:
        print(f"{part}: running the tests of {len(missing)} files once", file=sys.stderr, flush=True)
        for test, noted in forked(_traced, root, part, missing).items():
            known[test.partition("::")[0]]["lines"][test] = noted
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(known))
    return {test: noted for entry in known.values() for test, noted in entry["lines"].items()}


def _traced(root: Path, part: str, names: Sequence[str]) -> Lines:
    tracer = Tracer(root, part)
    pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", str(root), *names], plugins=[tracer])
    return tracer.lines


def chosen_tests(source: str, path: str, begin: int, end: int, known: Lines, slowest_s: float) -> list[str]:
    """The tests, shortest first, that execute a statement in the text from `begin` to `end`, in characters.

    Of what lies outside of functions, which is executed at import: those that execute anything of the file, first
    those in test files of its name.
    """
    first, last = source.count("\n", 0, begin) + 1, source.count("\n", 0, end) + 1
    lines = _executed_with(ast.parse(source), first, last)
    quick = {test: (seconds, table.get(path)) for test, (seconds, table) in known.items() if seconds <= slowest_s}
    found = [
        (seconds, test) for test, (seconds, own) in quick.items()
        if own is not None and (lines is None or lines.intersection(own))
    ]  # fmt: skip
    if not found and lines is None:  # a file without functions
        found = [(seconds, test) for test, (seconds, _) in quick.items()]
    named = f"test_{Path(path).stem}"
    return [test for _, test in sorted(found, key=lambda pair: (lines is None and named not in pair[1], *pair))]


def _executed_with(tree: ast.Module, first: int, last: int) -> set[int] | None:
    """Lines of which one is executed with some others: those of their statements; None outside of functions."""
    within = None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.body[0].lineno <= last and first <= (node.end_lineno or 0):
            within = node  # walks from the outside in
    if within is None:
        return None
    lines: set[int] = set()
    for node in ast.walk(within):
        if isinstance(node, ast.stmt) and node is not within:
            body = getattr(node, "body", None)  # of what has one, the head alone
            end = max(body[0].lineno - 1 if isinstance(body, list) else node.end_lineno or 0, node.lineno)
            if node.lineno <= last and first <= end:
                lines.update(range(node.lineno, end + 1))
    return lines or set(range(within.body[0].lineno, (within.end_lineno or 0) + 1))
