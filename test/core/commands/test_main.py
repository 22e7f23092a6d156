import contextlib
import errno
import os
import signal
import subprocess
import sys
import time

import pytest

import mapkd_core
from mapkd_core.commands import main as mapkd
from mapkd_core.commands.interruption import SIGNALS, Interruption, Terminated

PROGRAM = [sys.executable, "-m", "mapkd_core.commands.main"]


class Command:
    """A command whose work is given."""

    def __init__(self, work):
        self.work = work

    def configure(self, parser):
        parser.add_argument("--x")

    def run(self, options):
        return self.work()


@pytest.fixture
def outcome(monkeypatch, capsys):
    """(exit code, stderr) of a command that does what is given."""

    def of(work):
        monkeypatch.setattr(mapkd.importlib, "import_module", lambda name: Command(work))
        return mapkd.main(["train", "--x", "1"]), capsys.readouterr().err

    return of


def raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/a.png"),
         "out/a.png: No space left on device; free some space and run the same command again"),
        (OSError(errno.EROFS, "Read-only file system", "/ro"),
         "/ro: Read-only file system; choose a place that you may write to"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"),
         "/root/x: Permission denied; allow it, or choose another place"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "x"), "x: Is a directory; expected a file: name one in it"),
        (OSError("cannot encode an image"), "cannot encode an image"),
        (ValueError("size is 0"), "size is 0"),
        (FileNotFoundError("no config x.yaml"), "no config x.yaml"),
    ],
)  # fmt: skip
def test_what_the_user_can_mend_is_one_line(outcome, error, line):
    assert outcome(raising(error)) == (2, f"mapkd train: {line}\n")


def test_a_fault_of_ours_keeps_its_traceback(outcome):
    with pytest.raises(KeyError):
        outcome(raising(KeyError("x")))


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "terminal closed")],
)
def test_a_signal_unwinds_the_command_and_gives_the_shells_code(outcome, number, code, word):
    unwound = []

    def work():
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            unwound.append(True)

    before = signal.signal(number, signal.SIG_DFL)  # a shell's background jobs are started with SIGINT ignored
    try:
        assert outcome(work) == (code, f"mapkd train: {word}\n")
        assert unwound and signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_called_from_python_it_leaves_no_handler_behind(monkeypatch):
    before = [signal.getsignal(number) for number in SIGNALS]
    monkeypatch.setattr("sys.argv", ["mapkd", "--version"])
    assert mapkd.main() == 0
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_that_the_parent_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption("mapkd", keep=False):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_libraries_tidy_up_after_sigterm_as_after_ctrl_c():
    assert issubclass(Terminated, KeyboardInterrupt)


SLOW_IMPORT = """
import importlib, os, signal, sys
import mapkd_core
from mapkd_core.commands import main as mapkd
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "mapkd_core.commands.train": os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Finder())
sys.argv = ["mapkd", "train", "--help"]
sys.exit(mapkd.main(last=True))
"""


@pytest.mark.parametrize(("number", "code", "word"), [(2, 130, "interrupted"), (15, 143, "terminated")])
def test_a_signal_during_imports_is_one_line_too(number, code, word):
    done = subprocess.run(
        [sys.executable, "-c", SLOW_IMPORT.format(number=number)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, f"mapkd train: {word}\n")


def test_the_program_is_ready_for_signals_before_it_imports_anything_slow():
    slow = "{'numpy', 'argparse', 'yaml', 'typing', 'contextlib', 'pathlib'}"
    code = f"import sys, mapkd_core.commands.main; print(sorted({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


FIRST_IMPORT = """
import os, sys
import mapkd_core.__main__ as program
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "mapkd_core.commands": os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Finder())
program.main()
"""


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143), (1, 129)])
def test_a_signal_before_the_first_import_ends_it_without_a_word(number, code):
    done = subprocess.run([sys.executable, "-c", FIRST_IMPORT.format(number=number)], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_a_reader_that_leaves_is_no_fault(arguments):
    """As in `mapkd ... | head -1`."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PROGRAM, *arguments], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.stderr == "" and done.returncode in (0, 141)  # argparse keeps the error of its own help to itself


def test_names_of_files_need_not_be_utf8(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.html"
    words = [*PROGRAM, "report", "--evaluation", os.fsencode(tmp_path)]
    (tmp_path / "result.json").write_text('{"frames": 1, "ap": {}, "notes": ["half a character: \\ud800"]}')
    done = subprocess.run([*words, "--out", path], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "notes[0] is '" in done.stderr and "whole characters" in done.stderr
    (tmp_path / "result.json").write_text('{"frames": 1, "ap": {}}')
    done = subprocess.run([*words, "--out", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "\\udcff.html" in done.stdout and os.path.isfile(path)


def test_a_broken_pipe_elsewhere_is_told(outcome):
    code, line = outcome(raising(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert (code, line) == (2, "mapkd train: Broken pipe\n")


def test_a_command_runs_where_there_is_no_stdout():
    with contextlib.redirect_stdout(None):
        assert mapkd.main(["--help"]) == 0


@pytest.mark.parametrize("name", ["train", "distill"])
def test_a_command_without_options_prints_its_help(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        mapkd.main([name])
    assert stopped.value.code == 2 and "--config" in capsys.readouterr().out


def test_help_lists_the_configs_keys_and_a_config_can_be_printed(capsys):
    with pytest.raises(SystemExit):
        mapkd.main(["train", "--help"])
    assert "--data.image_size (352, 128)" in capsys.readouterr().out
    assert mapkd.main(["train", "--print_config", "--steps", "7"]) == 0
    assert "steps: 7\n" in capsys.readouterr().out


def test_the_version_comes_before_anything_heavy_is_imported():
    program = "import sys; from mapkd_core.commands.main import main; main(['--version']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    version, modules = done.stdout.splitlines()
    assert version == f"mapkd {mapkd_core.__version__}"
    assert not [name for name in ("numpy", "torch", "yaml", "argparse") if repr(name) in modules]
