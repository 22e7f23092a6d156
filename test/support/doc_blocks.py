"""Code blocks of the documentation, and whether the commands in them could run."""
from __future__ import annotations

import argparse
import importlib
import importlib.util
import itertools
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapkd_core.commands import main as mapkd
from mapkd_core.config import TrainConfig, load_config
from mapkd_core.config_keys import keys_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "demo/README.md", "findings/README.md")]
    + list((ROOT / "docs").rglob("*.md"))
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ELSEWHERE = {
    "source", "export", "cd", "touch", "colcon", "rosdep", "rm", "tensorboard", "pre-commit", "ros2", "env", "rerun",
    "ray",
}  # fmt: skip
"""Commands of other programs, which are not looked into further."""
_RUNNABLE = {"mapkd", "python", "make", "."}
"""What a block without a mark may hold: everything else changes the machine, or needs what is not there."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def mark(self) -> str:
        """`needs` (no test can run it), `takes` (the slow tests run it) or empty (the quick tests do)."""
        found = re.match(r"# (needs|takes): \S", self.text)
        return found[1] if found else ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def unmarked_faults(block: Block) -> list[str]:
    """Commands for which a block needs a mark, because a test must not run them."""
    if block.mark or block.language != "bash":
        return []
    names = sorted({words[0] for words in commands(block.text)} - _RUNNABLE)
    return [f"{block} holds {names}; begin it with a line `# needs: ...` that says what they need"] if names else []


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text()
    return [Block(page, text.count("\n", 0, m.start()) + 1, m[1], m[2]) for m in _FENCE.finditer(text)]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a script: comments gone, lines joined, lists of commands taken apart."""
    for line in text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&;|")
        lexer.whitespace_split = True
        for word in lexer:
            if word and set(word) <= set("&;|"):
                if words:
                    yield words
                words = []
            elif words or not re.fullmatch(r"[A-Z_]+=.*", word):  # variables before a command
                words.append(word)
        if words:
            yield words


def check(words: Sequence[str]) -> str:
    """What is wrong with a command, in words; empty if it could run. Files are those below the repository's root."""
    name, arguments = words[0], list(words[1:])
    try:
        if name == "mapkd":
            return check_mapkd(arguments)
        if name == "torchrun":
            return check_mapkd(arguments[arguments.index("mapkd_core.commands.main") + 1 :])
        if name == "make":
            return _check_make(arguments)
        if name in ("python", "python3"):
            return _check_python(arguments)
        if name == "pip" and arguments[0] == "install":
            return _check_pip(arguments[1:])
        if name == "ros2" and arguments[:2] in (["launch", "mapkd_ros"], ["run", "mapkd_ros"]):
            return _check_ros(arguments[0], arguments[2], arguments[3:])
    except (ValueError, IndexError, KeyError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    except SystemExit as end:
        return f"{name} refuses {' '.join(arguments)!r} with code {end.code}"
    if name == ".":
        return "" if "activate" in arguments[0] or (ROOT / arguments[0]).is_file() else f"no file {arguments[0]}"
    if "/" in name:
        return "" if (ROOT / name).is_file() else f"no file {name}"
    return "" if name in _ELSEWHERE else f"no command {name!r} is known"


def check_mapkd(arguments: Sequence[str]) -> str:
    """Through the real parsers, configs and overrides included; nothing is run."""
    if arguments in (["--version"], ["--help"]):
        return ""
    table, prog, rest = mapkd.COMMANDS, "mapkd", list(arguments)
    while True:
        if rest[0] not in table:
            return f"{prog} has no command {rest[0]!r}"
        module: Any = importlib.import_module(table[rest[0]][0])
        prog, rest = f"{prog} {rest[0]}", rest[1:]
        below = getattr(module, "COMMANDS", {})
        if not below or (hasattr(module, "run") and not (rest and rest[0] in below)):
            break
        table = below
    if rest == ["--help"]:
        return ""
    try:
        options: argparse.Namespace = mapkd._parsed(module, prog, rest)
    except SystemExit as end:
        return f"the parser refuses {' '.join(arguments)!r} with code {end.code}"
    if hasattr(options, "overrides"):
        path = ROOT / options.config if options.config else None
        kind = module.config_class() if hasattr(module, "config_class") else TrainConfig
        load_config(kind, path, options.overrides)
    plan = getattr(options, "plan", None)
    return "" if plan is None or (ROOT / plan).is_file() else f"no plan {plan}"


def _check_make(arguments: Sequence[str]) -> str:
    makefile = (ROOT / "Makefile").read_text()
    for word in arguments:
        name, equals, _ = word.partition("=")
        known = rf"\b{name}\b" if equals else rf"^{re.escape(word)}:"
        if not re.search(known, makefile, re.MULTILINE):
            return f"the Makefile has no {word}"
    return ""


def _check_python(arguments: Sequence[str]) -> str:
    if arguments[0] != "-m":
        return "" if (ROOT / arguments[0]).is_file() else f"no file {arguments[0]}"
    if importlib.util.find_spec(arguments[1]) is None:
        return f"no module {arguments[1]}"
    if arguments[1] == "pytest":
        missing = [word for word in arguments[2:] if word.startswith("test") and not (ROOT / word).exists()]
        return f"no {missing}" if missing else ""
    if arguments[1] == "mapkd_ros.views":
        importlib.import_module("mapkd_ros.views.__main__").parser().parse_args(arguments[2:])
        return ""
    if arguments[1].startswith("mapkd_ros."):
        return _check_ros("run", arguments[1].rpartition(".")[2], arguments[2:])
    return ""


def _check_pip(arguments: Sequence[str]) -> str:
    text = (ROOT / "pyproject.toml").read_text()
    for word in arguments:
        extras = re.fullmatch(r"\.\[([\w,]+)\]", word)
        for extra in extras[1].split(",") if extras else []:
            if not re.search(rf"^{extra} = \[", text, re.MULTILINE):
                return f"there is no extra {extra}"
        if word.startswith("mapkd_ros["):
            return f"{word} is on no package index"
        file = word.partition("requirements/")[2]
        if file and not (ROOT / "requirements" / file).is_file():
            return f"no file requirements/{file}"
    return ""


def _check_ros(verb: str, target: str, arguments: Sequence[str]) -> str:
    if verb == "launch":
        if not (ROOT / "launch" / target).is_file():
            return f"no launch file {target}"
        known = {row.name for row in importlib.import_module("mapkd_ros.launch_arguments").ARGUMENTS}
        given = {word.partition(":=")[0] for word in arguments if ":=" in word}
        return f"{target} has no arguments {sorted(given - known)}" if given - known else ""
    cmake = (ROOT / "CMakeLists.txt").read_text()
    if not re.search(rf"[ /]{target}\b", cmake):
        return f"no executable {target}"
    given = {b.partition(":=")[0] for a, b in itertools.pairwise(arguments) if a == "-p"}
    known = {row.name for row in _parameters(target)} | {"use_sim_time"}
    return f"{target} has no parameters {sorted(given - known)}" if given - known else ""


def _parameters(executable: str) -> Sequence[Any]:
    files = {
        "student_node": "node.student_parameters", "nuscenes_player": "player.player_parameters",
        "recorder": "recorder.recorder_parameters", "map_builder": "map_builder.builder_parameters",
    }  # fmt: skip
    return importlib.import_module(f"mapkd_ros.{files[executable]}").PARAMETERS


def commands_in_comments() -> Iterator[tuple[str, list[str]]]:
    """(place, words) of the example commands in help texts and in the configs' comments."""
    for folder, pattern in (("mapkd_core", "*.py"), ("benchmarks", "*.py"), ("scripts", "*.py"), ("config", "*.yaml")):
        for path in sorted((ROOT / folder).rglob(pattern)):
            text = path.read_text().replace("\\\\\n", "\\\n")
            text = re.sub(r"\\\n#? *", " ", text)
            for line in re.findall(r"^(?:#|    |) {2,4}((?:mapkd|python|torchrun) .*)$", text, re.MULTILINE):
                for words in commands(line):
                    yield f"{path.relative_to(ROOT)}: {line}", words


def inline_commands(page: Path) -> Iterator[str]:
    """What stands in backticks in running text and begins with `mapkd` and a command."""
    for found in re.findall(r"`(mapkd [a-z][^`]*)`", _FENCE.sub("", page.read_text())):
        yield " ".join(found.split())


def check_inline(line: str) -> str:
    """Like `check_mapkd` for a command that may lack what it needs: its names and options must exist."""
    table, prog, rest = mapkd.COMMANDS, "mapkd", line.split()[1:]
    module: Any = None
    while rest and not rest[0].startswith("-") and table:
        if rest[0] not in table:
            if table is not mapkd.COMMANDS and hasattr(module, "run"):
                break
            return "" if re.fullmatch(r"[A-Z.]+", rest[0]) else f"{prog} has no command {rest[0]!r}"
        module = importlib.import_module(table[rest[0]][0])
        prog, rest, table = f"{prog} {rest[0]}", rest[1:], getattr(module, "COMMANDS", {})
    options = [word.partition("=")[0].rstrip(",") for word in rest if word.startswith("--")]
    if not options or not hasattr(module, "configure"):
        return ""
    parser = argparse.ArgumentParser()
    module.configure(parser)
    texts = [parser.format_help(), *(p.format_help() for p in _parsers_below(parser))]
    keys = [f"--{key.name}" for key in keys_of(module.config_class())] if hasattr(module, "config_class") else []
    known = set(re.findall(r"--[\w-]+", " ".join(texts))) | set(keys)
    unknown = sorted(set(options) - known)
    return f"{prog} has no options {unknown}" if unknown else ""


def _parsers_below(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    below = [a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [p for choices in below for p in choices.values()]
