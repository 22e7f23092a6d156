"""The engine that a command's options name."""
from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mapkd_core.engine.interface import Engine, EngineFault, UnitNeeds
from mapkd_core.engine.local import LocalEngine

LOCAL = "local"
_RAY = re.compile(r"ray://(auto|local(-[1-9]\d{0,3})?|[A-Za-z0-9_.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})")


@dataclass(frozen=True)
class EngineOptions:
    """Where a command's units of work run."""

    name: str = LOCAL
    """`local`; `ray://HOST:PORT`, the Ray Client server of a cluster's head; `ray://auto`, this machine's cluster;
    `ray://local`, one that is started here for the time of the command, or with 2 CPUs by `ray://local-2`."""
    processes: int = 0
    """Of `local`: worker processes, 0 or 1 for none."""
    needs: UnitNeeds = field(default_factory=UnitNeeds)

    def __post_init__(self) -> None:
        if self.name != LOCAL and not _RAY.fullmatch(self.name):
            raise EngineFault(
                f"engine {self.name!r} is unknown; expected {LOCAL}, ray://HOST:PORT (a cluster's head, by default "
                "port 10001), ray://auto (the cluster that this machine is a node of), or ray://local (one of its own)"
            )

    @property
    def elsewhere(self) -> bool:
        """Whether workers may be on other machines, which see only what all share."""
        return self.name != LOCAL


@contextlib.contextmanager
def open_engine(options: EngineOptions) -> Iterator[Engine]:
    """The engine, connected. Raises EngineFault where none answers, ModuleNotFoundError without the extra `cluster`."""
    if not options.elsewhere:
        yield LocalEngine(options.processes, options.needs)
        return
    from mapkd_core.engine.ray_engine import ray_engine

    with ray_engine(options.name, options.needs) as engine:
        yield engine
