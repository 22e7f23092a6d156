import io
import re
import sys
import threading

import pytest

from mapkd_core import progress
from mapkd_core.progress import Progress, each, say


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_whole_lines(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    with Progress("predict", 4, initial=1) as bar:
        bar.note("loss 0.5")
        bar.update(2)
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"predict: 3 of 4 frames \(75 %\), 0:00, 0:00 left, loss 0.5", lines[0]), lines


def test_a_short_job_says_nothing_in_a_log(capsys):
    assert list(each(range(5), "sim sheet", "scene")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == ""


def test_a_single_long_step_is_heard_of(monkeypatch):
    """The line does not wait for the step's end."""
    written = threading.Event()
    monkeypatch.setattr(progress, "EVERY_S", 0.01)
    monkeypatch.setattr(Progress, "_write", lambda self: written.set())
    with Progress("eight bits"):
        assert written.wait(20)


def test_an_unknown_total_can_come_later():
    bar = Progress("export", shown=False)
    bar.update(5)
    assert bar.line().startswith("export: 5 frames, ")
    bar.total = 10
    assert bar.line().startswith("export: 5 of 10 frames (50 %), ")


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress("predict", 2, unit="image") as bar:
        bar.update(2)
        bar.total = 3
    assert "predict:  67%" in sys.stderr.getvalue() and "image" in sys.stderr.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_is_shown_where_nothing_is_wanted(monkeypatch, terminal):
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    assert sum(1 for _ in each(range(3), "predict", shown=False)) == 3
    assert sys.stderr.getvalue() == ""


def test_what_is_said_is_on_stdout(capsys):
    say("step 3: miou 12.00")
    assert capsys.readouterr().out == "step 3: miou 12.00\n"


def test_a_closed_log_stops_nobody(monkeypatch):
    closed = io.StringIO()
    closed.close()
    bar = Progress("predict", shown=False)
    monkeypatch.setattr(sys, "stderr", closed)
    bar._write()


def test_nothing_is_shown_where_there_is_no_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with Progress("predict", 2) as bar:
        bar.update(2)
    assert bar.done == 2
