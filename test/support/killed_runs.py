"""Training runs that are interrupted, so that tests see what they are when they go on."""
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mapkd_core.training import loop


@contextmanager
def killed_after(steps: int) -> Iterator[None]:
    """Runs inside end by KeyboardInterrupt when they begin the step after so many; it must come."""
    step, calls = loop.Run._one_step, []

    def killed(self, batches):
        if len(calls) == steps:
            raise KeyboardInterrupt
        calls.append(1)
        return step(self, batches)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop.Run, "_one_step", killed)
        yield
