"""One word for each thing (docs/glossary.md): the words that the glossary rules out occur nowhere."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (
    "mapkd_core", "mapkd_ros", "launch", "msg", "config", "scripts", "benchmarks", "docs", "findings", "test",
    ".github",
)  # fmt: skip
ENDINGS = {".py", ".md", ".yaml", ".yml", ".msg", ".sh", ".txt", ".toml", ".xml", ".jinja", ".rviz"}
SELF = {"test/test_words.py", "docs/glossary.md"}
RECORDS = ("benchmarks/results/", "CHANGELOG.md")
"""Dated results and the list of old names quote what was true then."""
_NETWORK = r"(?:networks?|students?|teachers?|coach(?:es)?|predictors?)"
OLD = {
    r"pictures?": "image",
    r"\bkerbs?": "curb",
    r"\bgrey": "gray",
    r"\bblots?\b": "merged region",
    r"\bcrumbs?\b": "short fragment",
    r"in the bed of": "overlap",
    rf"\b{_NETWORK} (?:\w+ )?(?:says?|said|hears?|heard|speaks?|tells?|told)\b": "a network predicts",
    rf"\b(?:asks?|asked|hears?|heard) (?:by |of )?(?:the|a|an|its|our) {_NETWORK}\b": "a network predicts",
    rf"\b{_NETWORK} (?:is|are|was|were|be) (?:asked|heard)\b": "a network predicts",
    r"mapkd_ros\[\w": "a checkout's extra: pip install '.[train]'",
}
"""Pattern -> what the glossary says instead."""
ALLOWED = {
    "--pictures": "former name of an option", '"--pictures"': "the same", "picture_dropout": "former key of configs",
    "pictures_weight": "the same", "mapkd_ros[deploy,torch]": "an extra made of others", "mapkd_ros[torch]": "the same",
}  # fmt: skip
"""Text that may stand, and why."""


def files() -> list[Path]:
    found = [path for path in ROOT.iterdir() if path.is_file()]
    found += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    return sorted(path for path in found if path.suffix in ENDINGS and "__pycache__" not in path.parts)


def faults(text: str) -> list[str]:
    """`line: word; say ...` of each word that should not be there."""
    for allowed in ALLOWED:
        text = text.replace(allowed, "." * len(allowed))
    plain = re.sub(r"\n[ #*>]*", lambda m: "\n" + " " * (len(m[0]) - 1), text)  # a phrase may go over a line's end
    return [
        f"{text.count(chr(10), 0, m.start()) + 1}: {' '.join(m[0].split())!r}; say {instead!r}"
        for pattern, instead in OLD.items()
        for m in re.finditer(pattern.replace(" ", r"\s+"), plain, re.IGNORECASE)
    ]


def test_old_words_do_not_occur() -> None:
    checked = [path for path in files() if not str(path.relative_to(ROOT)).startswith((*SELF, *RECORDS))]
    assert len(checked) > 400
    found = {str(path.relative_to(ROOT)): faults(path.read_text(errors="replace")) for path in checked}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "text",
    [
        "a picture of the road", "Kerbs", "a grey one", "two blots", "crumb", "lies in the bed of another",
        "what the network says", "the teacher also says", "asked by the teacher", "teachers are asked once",
        "# which the\n# student hears", "pip install 'mapkd_ros[train]'",
    ],
)  # fmt: skip
def test_an_old_word_is_found(text: str) -> None:
    assert len(faults(text)) == 1


@pytest.mark.parametrize("text", ["breadcrumbs", "the image says", "--pictures", "the student predicts"])
def test_other_words_are_let_through(text: str) -> None:
    assert faults(text) == []


def test_the_glossary_names_each_word_that_is_ruled_out() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    for word in ("picture", "kerb", "grey", "blot", "crumb", "in the bed of", "say, hear, ask"):
        assert f"| {word} |" in glossary
