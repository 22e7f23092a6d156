"""What a user's word may mean: the known word nearest to a misspelt one, and today's name of a renamed thing."""
from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def did_you_mean(word: str, known: Iterable[str], before: str = ", ") -> str:
    """`, did you mean 'WORD'?` with `before` in front, or nothing where no known word is like it."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"{before}did you mean {close[0]!r}?" if close else ""


def renamed_notice(old: str, new: str) -> str:
    """The notice for an old name, which still works."""
    return f"{old} is called {new} now; the old name will go with the next version"


class RenamedOption(argparse.Action):
    """An option's old name: it still works, and says what the option is called now.

    `words` maps its old values to today's.
    """

    def __init__(
        self, option_strings: Sequence[str], dest: str, words: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        self.words = words or {}
        super().__init__(option_strings, dest, help=argparse.SUPPRESS, default=argparse.SUPPRESS, **settings)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Sets the new option, with a notice."""
        given = values if isinstance(values, list) else [values]
        meant = [self.words.get(value, value) for value in given]
        old, new = (" ".join(map(str, part)) for part in (given, meant))
        renamed_to = f"--{self.dest.replace('_', '-')}"
        changed = (f"{option} {old}", f"{renamed_to} {new}") if given != meant else (str(option), renamed_to)
        print(f"{parser.prog}: {renamed_notice(*changed)}", file=sys.stderr)
        setattr(namespace, self.dest, meant if isinstance(values, list) else meant[0])
