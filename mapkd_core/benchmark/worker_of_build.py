"""A process that runs a file of this package with the code of a checkout, and answers in lines of JSON."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import mapkd_core

HERE = Path(mapkd_core.__file__).resolve().parent.parent
THIS = "this build"
Own = TypeVar("Own", bound="WorkerOfBuild")


class WorkerOfBuild:
    """`with WorkerOfBuild(folder, file) as worker: worker.ask({...}); worker.answer()`.

    `environment` is added to this process's. Raises ValueError, naming the checkout, if the process ends without an
    answer.
    """

    def __init__(self, folder: Path, worker: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **(environment or {}), "PYTHONPATH": path},
        )  # fmt: skip

    def ask(self, what: Mapping[str, Any]) -> None:
        """Writes a line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ValueError(self._silence()) from error

    def answer(self) -> dict[str, Any]:
        """The next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ValueError(self._silence())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _silence(self) -> str:
        return f"the code in {self.folder} ended without an answer; what it said stands above"

    def __enter__(self: Own) -> Own:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def check_checkout(folder: Path, file: str = "mapkd_core/predictor.py") -> Path:
    """The folder, absolute. Raises ValueError if it holds no checkout of this project with such a file."""
    if not (folder / file).is_file():
        raise ValueError(f"--against {folder} has no {file}; name a checkout of this project")
    return folder.resolve()
