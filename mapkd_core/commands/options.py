"""Options that several commands have in common."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any


class RenamedOption(argparse.Action):
    """An option's old name: it still works, and says what the option is called now."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, dest, help=argparse.SUPPRESS, default=argparse.SUPPRESS, **settings)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Sets the new option, with a notice."""
        new = f"--{self.dest.replace('_', '-')}"
        print(f"{parser.prog}: {option} is called {new} now; the old name will go", file=sys.stderr)
        setattr(namespace, self.dest, values)
