"""Hooks of mkdocs: pages made from the code, and files outside docs/ that pages link to, shown in the site.

A link to `../../config/student_node.yaml` works in a checkout and on a code host; in the site it leads to a page that
shows the file. A link to a file that is not there fails the build (`mkdocs build --strict`).
"""
from __future__ import annotations

import posixpath
import re

import docs_reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = docs_reference.ROOT
SECTIONS = {"Tutorials": "tutorials", "How-to": "how-to", "Reference": "reference", "Explanation": "explanation"}
"""Section of the navigation -> its folder."""
PROJECT = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}
"""Files of the root that are pages of their own -> place in the site."""
_LINK = re.compile(r"(?<!!)\[([^\]\n]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".sh": "bash", ".json": "json", ".xml": "xml"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts pages that mkdocs.yml does not list at the end of their section, under their own titles."""
    for section, folder in SECTIONS.items():
        (entries,) = [entry[section] for entry in config.nav or [] if isinstance(entry, dict) and section in entry]
        listed = {place for entry in entries for place in (entry.values() if isinstance(entry, dict) else [entry])}
        pages = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs" / folder).glob("*.md"))
        entries += [place for place in pages if place not in listed]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages, the root's, and those that show files outside docs/."""
    for place, text in docs_reference.pages().items():
        files.append(File.generated(config, place, content=text))
    for name, place in PROJECT.items():
        files.append(File.generated(config, place, content=(ROOT / name).read_text()))
    for name, place in _shown_files(files).items():
        files.append(File.generated(config, place, content=_page_of(name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files outside docs/ into links to the pages that show them."""
    here = posixpath.dirname(page.file.src_uri)

    def link(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        place = _place(_from_root(page.file.src_uri, target))
        return f"[{text}]({posixpath.relpath(place, here or '.')}{anchor})"

    return _LINK.sub(link, markdown)


def _shown_files(files: Files) -> dict[str, str]:
    """Path from the root -> place in the site, of every file outside docs/ that a page, or such a file, links to."""
    found: dict[str, str] = {}
    waiting = [(file.src_uri, file.content_string) for file in files if file.src_uri.endswith(".md")]
    while waiting:
        uri, text = waiting.pop()
        for _, target, _ in _LINK.findall(text):
            name = _from_root(uri, target)
            place = _place(name)
            if place.startswith("files/") and name not in found and (ROOT / name).is_file():
                found[name] = place
                if name.endswith(".md"):
                    waiting.append((place, (ROOT / name).read_text()))
    return found


def _from_root(uri: str, target: str) -> str:
    """The path of a link's target from the repository's root."""
    if uri in PROJECT.values():
        return posixpath.normpath(target)
    if uri.startswith("files/"):
        return posixpath.normpath(posixpath.join(posixpath.dirname(uri.removeprefix("files/")), target))
    return posixpath.normpath(posixpath.join("docs", posixpath.dirname(uri), target))


def _place(name: str) -> str:
    """Where the site shows a file, given its path from the root."""
    if name in PROJECT:
        return PROJECT[name]
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    return f"files/{name}" if name.endswith(".md") else f"files/{name}.md"


def _page_of(name: str) -> str:
    """A Markdown file as it is; any other as a listing."""
    text = (ROOT / name).read_text()
    if name.endswith(".md"):
        return text
    fence = "```" + "`" * max((len(run) - 2 for run in re.findall(r"`{3,}", text)), default=0)
    language = _LANGUAGES.get(posixpath.splitext(name)[1], "text")
    return f"# {posixpath.basename(name)}\n\n`{name}`\n\n{fence}{language}\n{text}\n{fence}\n"
