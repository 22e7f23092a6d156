"""The known word that a misspelt one is nearest to."""
from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], before: str = ", ") -> str:
    """`, did you mean 'WORD'?` with `before` in front, or nothing where no known word is like it."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"{before}did you mean {close[0]!r}?" if close else ""
