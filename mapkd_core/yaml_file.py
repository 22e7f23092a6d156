"""YAML of others: size, depth and what its aliases stand for are bounded before anything is built of it."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mapkd_core.schema import FileFault, read_bytes

MOST_BYTES = 1 << 20
DEEPEST = 32
MOST_NODES = 100_000
"""Of a document with its aliases written out: ten lines of aliases can stand for billions of values."""
_BUILD_ERRORS = (yaml.YAMLError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
"""What PyYAML lets through for tags and dates that cannot be, beside its own."""


def read_yaml(path: Path, what: str, remedy: str = "mend it") -> Any:
    """The plain values of a YAML file; `what` says what the file should be, `remedy` what to do if it is not.

    Raises FileNotFoundError, or FileFault that names the file and what is wrong.
    """
    return parse_yaml(read_bytes(path, what), str(path), what, remedy)


def parse_yaml(data: bytes | str, where: str, what: str, remedy: str = "mend it") -> Any:
    """The same from bytes or text; `where` names their place."""
    try:
        if len(data) > MOST_BYTES:
            raise ValueError(f"it has {len(data)} bytes, at most {MOST_BYTES} are read")
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        _check_extent(text)
        return yaml.load(text, _UniqueKeys)
    except _BUILD_ERRORS as error:
        no_text = isinstance(error, UnicodeDecodeError)
        reason = "no text in UTF-8" if no_text else " ".join(str(error).split()) or type(error).__name__
        raise FileFault(f"{where} is not {what}: not YAML ({reason}); {remedy}") from error


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast


class _UniqueKeys(_Loader):
    """A key that stands twice is refused: PyYAML lets the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise ValueError(f"{key.value} stands twice below one key, line {node.start_mark.line + 1}")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _check_extent(text: str) -> None:
    """Counts what the parser finds, one event after the other, without building anything."""
    known: dict[str, int] = {}
    names: list[str | None] = []
    counts: list[int] = [0]
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in known:
                raise ValueError(f"alias *{event.anchor} stands before or inside what it names")
            counts[-1] += known[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            counts[-1] += 1
            if event.anchor:
                known[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            names.append(event.anchor)
            counts.append(1)
        elif isinstance(event, yaml.CollectionEndEvent):
            name, count = names.pop(), counts.pop()
            counts[-1] += count
            if name:
                known[name] = count
        if len(counts) > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")
        if counts[-1] > MOST_NODES:
            raise ValueError(f"it stands for more than {MOST_NODES} values")
