"""Trains in a process of its own and says what each step took; `mapkd benchmark training --against` starts it.

It is run as a file, so that it measures the build that PYTHONPATH names, older ones too: it uses nothing of this
package but `load_config`, and `time_steps`, PARTS and (newer builds have it) `config_class` of `mapkd benchmark
training`. The first line of JSON on stdin names config and threads; each further line asks for one step, and the line
of JSON that answers it holds milliseconds of all processors of this process by part.
"""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO


class Turns:
    """Takes the place of the benchmark's clock: waits for its turn before a step, and answers after it."""

    def __init__(self, asked: TextIO, answers: TextIO, parts: Sequence[str]) -> None:
        self.asked, self.answers, self.parts = asked, answers, parts
        self.spent: list[float] = []

    def __call__(self, work: Callable[[], object], device: str = "cpu") -> float:
        """Milliseconds of processors that `work` takes; ends the process where no further step is asked for."""
        if not self.spent and not self.asked.readline():
            raise SystemExit(0)
        began = time.process_time()
        work()
        self.spent.append(1e3 * (time.process_time() - began))
        if len(self.spent) == len(self.parts):
            self.answers.write(json.dumps(dict(zip(self.parts, self.spent, strict=True))) + "\n")
            self.answers.flush()
            self.spent = []
        return 0.0


def answer(lines: TextIO, out: TextIO) -> None:
    """Answers until stdin ends."""
    given: dict[str, Any] = json.loads(lines.readline())
    import torch

    torch.set_num_threads(given["threads"])
    from mapkd_core.benchmark import training
    from mapkd_core.config import TrainConfig, load_config

    kind = getattr(training, "config_class", lambda: TrainConfig)()
    config = load_config(kind, given["config"], given["overrides"])
    training.timed_ms = Turns(lines, out, training.PARTS)  # type: ignore[assignment]
    training.time_steps(config, 0, sys.maxsize)


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, whose modules are none of the build's
    answers, sys.stdout = sys.stdout, sys.stderr  # what the code says by the way must not mix with the answers
    answer(sys.stdin, answers)
