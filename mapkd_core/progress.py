"""How far a long job is: a bar on a terminal, a line every half minute in a log. On stderr."""
from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

EVERY_S = 30.0
"""Seconds between two lines where stderr is no terminal."""

T = TypeVar("T")


class Progress:
    """`with Progress("predict", total=100) as bar: ... bar.update()`.

    `total` may be unknown (None) or set later; `initial` counts what was done before this run, and is left out of the
    speed. With `shown` False nothing is written. A job that ends within half a minute leaves no line in a log.
    """

    def __init__(
        self, what: str, total: int | None = None, unit: str = "frame", initial: int = 0, shown: bool = True
    ) -> None:
        shown = shown and sys.stderr is not None  # as with contextlib.redirect_stderr(None)
        self.what, self.unit, self.done, self._initial, self._shown = what, unit, initial, initial, shown
        self._total, self._note = total, ""
        self._began = self._last = time.monotonic()
        self._bar: tqdm | None = None
        self._over = threading.Event()
        if shown and sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=what, unit=unit, initial=initial, dynamic_ncols=True)
        elif shown:
            threading.Thread(target=self._speak, name="progress", daemon=True).start()

    @property
    def total(self) -> int | None:
        """How many there are, None where nobody knows."""
        return self._total

    @total.setter
    def total(self, total: int | None) -> None:
        self._total = total
        if self._bar is not None:
            self._bar.total = total

    def update(self, count: int = 1) -> None:
        """Counts what is done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._shown and time.monotonic() - self._last >= EVERY_S:
            self._write()

    def note(self, text: str) -> None:
        """A remark behind the count, such as the loss."""
        self._note = text
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)

    def close(self) -> None:
        """Ends the bar."""
        self._over.set()
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Progress:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the bar."""
        self.close()

    def line(self) -> str:
        """What is written to a log: count, share, speed, time left."""
        spent = time.monotonic() - self._began
        speed = (self.done - self._initial) / spent if spent > 0 else 0.0
        words = f"{self.what}: {self.done}"
        if self._total is not None:
            words += f" of {self._total}"
        words += f" {self.unit}s"
        if self._total:
            words += f" ({100 * self.done / self._total:.0f} %)"
        words += f", {_duration(spent)}"
        if self._total is not None and speed > 0:
            words += f", {_duration(max(self._total - self.done, 0) / speed)} left"
        return words + (f", {self._note}" if self._note else "")

    def _speak(self) -> None:
        """Writes when one step alone takes longer than half a minute, too."""
        while not self._over.wait(max(self._last + EVERY_S - time.monotonic(), 0.05)):
            if time.monotonic() - self._last >= EVERY_S:
                self._write()

    def _write(self) -> None:
        self._last = time.monotonic()
        with contextlib.suppress(OSError, ValueError):  # stderr was closed: nobody reads it
            sys.stderr.write(self.line() + "\n")
            sys.stderr.flush()


def each(items: Iterable[T], what: str, unit: str = "frame", shown: bool = True) -> Iterator[T]:
    """The items in order, with their progress shown."""
    with Progress(what, len(items) if isinstance(items, Sized) else None, unit, shown=shown) as bar:
        for item in items:
            yield item
            bar.update()


def say(text: str) -> None:
    """Prints a line to stdout without breaking a bar that is drawn."""
    tqdm.write(text)


def notice(text: str) -> None:
    """Prints a line to stderr without breaking a bar that is drawn: why nothing seems to happen for a while."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # stderr was closed: nobody reads it
            tqdm.write(text, file=sys.stderr)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
