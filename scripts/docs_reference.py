"""The reference pages of the documentation, made from the code: commands, config keys, parameters, topics, messages.

`scripts/docs_site.py` puts them into the site. Each function returns one page in Markdown. Nothing here is written by
hand that the code also says: to change a sentence, change it there.
"""
from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NODE_OF = {
    "student_parameters": "student_node", "player_parameters": "nuscenes_player", "builder_parameters": "map_builder",
    "recorder_parameters": "recorder",
}  # fmt: skip
"""File of a table of parameters -> node, where they are not called the same."""


def pages() -> dict[str, str]:
    """Place in the site -> text."""
    return {
        "reference/commands.md": commands(),
        "reference/config.md": config_keys(),
        "reference/parameters.md": parameters(),
        "reference/topics.md": topics(),
        "reference/messages.md": messages(),
        "reference/weights.md": weights(),
    }


def page(*parts: str) -> str:
    """Paragraphs, tables and headings, with an empty line between them; a paragraph may span lines."""
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; pipes and line ends in cells are taken care of."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [[str(cell).replace("\n", " ").replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def code(value: object) -> str:
    """A value as inline code, or the word "empty"."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else "empty"


def commands() -> str:
    """Every command with what its `--help` prints."""
    from mapkd_core.commands.main import COMMANDS

    rows = ((f"[`mapkd {name}`](#mapkd-{name})", line) for name, (_, line) in COMMANDS.items())
    parts = []
    for words in command_lines(COMMANDS):
        parts += [f"{'#' * (1 + len(words))} mapkd {' '.join(words)}", f"```text\n{help_text(words)}\n```"]
    return page(
        "# Commands",
        "`mapkd COMMAND --help` prints what stands here, `mapkd --version` the version.\n"
        "Exit codes, locks and the files that commands leave: [files and folders](files.md).",
        table(["command", "what it does"], rows), *parts,
    )  # fmt: skip


def command_lines(known: Mapping[str, tuple[str, str]], before: Sequence[str] = ()) -> Iterator[list[str]]:
    """The words of every command and sub-command below `known`, a table as in commands/main.py."""
    for name, (module, _) in known.items():
        words = [*before, name]
        yield words
        below = getattr(importlib.import_module(module), "COMMANDS", None)
        if below:
            yield from command_lines(below, words)
        else:  # as `mapkd sim`, which has a parser for each job
            jobs = re.search(r"positional arguments:\n  \{.*\}\n((?:    .*\n)+)", help_text(words))
            yield from ([*words, job] for job in re.findall(r"^    (\w+)  ", jobs[1] if jobs else "", re.MULTILINE))


def help_text(words: Sequence[str]) -> str:
    """What `mapkd WORDS --help` prints, 100 columns wide."""
    from mapkd_core.commands.main import main

    out = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            main([*words, "--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return out.getvalue().rstrip()


def config_keys() -> str:
    """The keys of every config that a YAML may hold."""
    from mapkd_core.benchmark.distill import BenchmarkPlan
    from mapkd_core.config import TrainConfig
    from mapkd_core.config_keys import RENAMED, keys_of
    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.distill.methods import METHODS
    from mapkd_core.model.mapnet import MapNetConfig
    from mapkd_core.model.student_config import VARIANTS, StudentConfig
    from mapkd_core.vectorizer.vectorize import VectorizeConfig

    def keys(kind: type, less: type | None = None) -> str:
        known = {key.name for key in keys_of(less)} if less else set()
        rows = [(code(k.name), code(k.type), code(k.default), k.meaning) for k in keys_of(kind) if k.name not in known]
        return table(["key", "type", "default", "meaning"], rows)

    with_keys = {name: kind.Config for name, kind in METHODS.items() if keys_of(kind.Config)}
    methods = [part for name, kind in with_keys.items() for part in (f"#### {name}", keys(kind))]
    variants = [(f"`{name}`", _differs(config, StudentConfig())) for name, config in VARIANTS.items()]
    return page(
        "# Config keys",
        "A YAML in `config/train/` overrides these defaults, the command line overrides the YAML: `--data.workers 4`.\n"
        "An unknown key is an error with the nearest known one. `mapkd train --config FILE --print_config` prints a\n"
        "config with all its keys.",
        "## mapkd train", keys(TrainConfig),
        "## mapkd distill", "All keys of `mapkd train`, and these:", keys(DistillConfig, TrainConfig),
        "### method_options", "What each method takes; [distillation](distillation.md) says what it does.", *methods,
        "## model_options of the student", "`variant` chooses the widths, single ones may be overridden:",
        table(["variant", "differs by"], variants), keys(StudentConfig),
        "## model_options of the papers' networks", keys(MapNetConfig),
        "## mapkd benchmark distill --plan", keys(BenchmarkPlan),
        "## Vectorizer", "For `MapPredictor(..., vectorize_config=VectorizeConfig(...))`; no file holds it.",
        keys(VectorizeConfig),
        "## Former names", "Read with a notice for one version.",
        table(["old", "new"], ((f"`{old}`", f"`{new}`") for old, new in RENAMED.items())),
    )  # fmt: skip


def _differs(config: Any, other: Any) -> str:
    mine = {name: value for name, value in vars(config).items() if value != getattr(other, name)}
    return ", ".join(f"`{name}: {value}`" for name, value in mine.items()) or "the defaults"


def parameters() -> str:
    """The parameters of every node and the arguments of every launch file."""
    parts = []
    for path in sorted((ROOT / "mapkd_ros").rglob("*.py")):
        if re.search(r"^PARAMETERS = \(", path.read_text(), re.MULTILINE):
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            node = NODE_OF.get(path.stem, path.stem)
            longer = _comments(ROOT / "config" / f"{node}.yaml")
            rows = [
                (f"`{row.name}`", code(row.default), _allowed(row), "" if row.read_only else "yes",
                 longer.get(row.name, row.description))
                for row in module.PARAMETERS
            ]  # fmt: skip
            parts += [f"## {node}", table(["parameter", "default", "allowed", "live", "meaning"], rows)]
    from mapkd_ros.launch_arguments import ARGUMENTS

    arguments = [
        (f"`{row.name}`", code(row.default), ", ".join(code(word) for word in row.choices if word), row.description)
        for row in ARGUMENTS
    ]
    parts += ["## student.launch.py", table(["argument", "default", "allowed", "meaning"], arguments)]
    return page(
        "# Node parameters",
        "Those with *live* may be changed while the node runs (`ros2 param set`); the others are read at the start.\n"
        "A misspelt name, another type or a value out of range is refused.",
        *parts,
    )


def _comments(path: Path) -> dict[str, str]:
    """Parameter -> the comment above it in a parameter file; empty where a node has no such file."""
    found: dict[str, str] = {}
    comment: list[str] = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        text = line.strip()
        if text.startswith("#"):
            comment.append(text.lstrip("# "))
        else:
            found[text.split(":")[0]] = " ".join(comment)
            comment = []
    return found


def _allowed(row: Any) -> str:
    if row.range is not None:
        return f"{row.range[0]:g} to {row.range[1]:g}"
    return ", ".join(f"`{choice}`" for choice in row.choices)


def topics() -> str:
    """What each node subscribes to and publishes."""
    from mapkd_ros.topics import NODES

    parts = []
    for node, directions in NODES.items():
        parts.append(f"## {node}")
        for what, rows in zip(("subscribes to", "publishes"), directions, strict=True):
            lines = [(f"`{row.name}`", f"`{row.msg_type.replace('/msg/', '/')}`", row.description) for row in rows]
            parts += [table([what, "type", "content"], lines)] if lines else []
    return page(
        "# Topics",
        "Names without a leading `/` follow the node's namespace, `~/` stands for the node's name, `<name>` for a\n"
        "camera's in lower case (`cam_front`). All can be remapped. This package's own types: [messages](messages.md).",
        *parts,
        "## recorder",
        "Subscribes to what the two others publish, but for `/clock`; a rig file may name other topics of cameras.",
    )  # fmt: skip


def messages() -> str:
    """The message definitions, whose comments explain each field."""
    parts = []
    for path in sorted((ROOT / "msg").glob("*.msg"), reverse=True):
        parts += [f"## mapkd_ros/{path.stem}", f"```text\n{path.read_text().rstrip()}\n```"]
    return page("# Messages", *parts)


def weights() -> str:
    """The cards of the shipped students and their terms of use."""
    from mapkd_core.artifact import SHIPPED, load_card

    cards = {name: load_card(path) for name, path in SHIPPED.items()}
    facts = {
        "name, version": lambda card: f"{card.name} {card.version}",
        "images": lambda card: f"{card.input_size[0]}x{card.input_size[1]}",
        "grid": lambda card: f"{card.grid.cols}x{card.grid.rows} cells of {card.grid.cell_m} m",
        "trained on": lambda card: card.training["data"],
        "licence of data": lambda card: card.training["licence_of_data"],
        "command": lambda card: f"`{card.training['command']}`",
        "took": lambda card: card.training["wall_time"],
        "SHA-256": lambda card: f"`{card.weights_sha256}`",
    }
    terms = (ROOT / "mapkd_core" / "weights" / "LICENSE.txt").read_text().rstrip()
    return page(
        "# Shipped weights",
        "The card beside each file of weights holds these facts and the whole config. `weights: small` of the node,\n"
        '`--weights small` of a command or `MapPredictor.from_artifact("small")` chooses one. Scores and times:\n'
        "[results](../results.md).",
        table(["", *map(code, cards)], ((what, *map(fact, cards.values())) for what, fact in facts.items())),
        "## Terms of use", f"```text\n{terms}\n```",
    )  # fmt: skip
