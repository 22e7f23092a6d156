"""Jobs whose work is counted in a folder, for tests of engines: a line in `log` for each time that a unit was begun."""
from __future__ import annotations

import functools
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Square:
    """Squares numbers; notes who did it, and how often a worker had to prepare itself."""

    folder: Path
    wait_s: float = 0.0
    fails_at: int = -1
    kills_at: int = -1
    """The worker that gets this number kills itself: once, or each time with `always`."""
    always: bool = False

    @functools.cached_property
    def prepared(self) -> int:
        self._note("prepared")
        return 1

    def __call__(self, number: int) -> int:
        assert self.prepared
        self._note(f"begun {number}")
        if number == self.fails_at:
            raise ValueError(f"number {number} is damaged")
        if number == self.kills_at and (self.always or not (self.folder / "killed").exists()):
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.wait_s)
        return number * number

    def _note(self, text: str) -> None:
        with (self.folder / "log").open("a") as file:
            file.write(f"{text} {os.getpid()} {os.environ.get('MAPKD_TEST_NODE', '')}\n")


def log(folder: Path) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in (folder / "log").read_text().splitlines()]
