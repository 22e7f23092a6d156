"""XML from files of users, and text that XML can hold."""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from mapkd_core.schema import LARGEST, FileFault, read_bytes, shown

_IMPOSSIBLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _PlainBuilder(ElementTree.TreeBuilder):
    """A builder of elements without namespaces, which some tools give a whole file.

    It refuses a document type: entities of a few lines could fill the memory.
    """

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        """Called by the parser where an element begins."""
        return super().start(tag.rpartition("}")[2], attrs)

    def end(self, tag: str, /) -> ElementTree.Element:
        """Called by the parser where an element ends."""
        return super().end(tag.rpartition("}")[2])

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called by the parser for `<!DOCTYPE`."""
        raise ValueError("it declares a document type, which no map needs")


def read_xml(path: Path, root: str, what: str) -> ElementTree.Element:
    """The root element of an XML file, which must be named `root`; names are without their namespaces.

    Raises FileNotFoundError, or FileFault for a file that is no XML, has another root, or declares entities.
    """
    data = read_bytes(path, what)
    try:
        tree = ElementTree.fromstring(data, ElementTree.XMLParser(target=_PlainBuilder()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise FileFault(f"{path} is not {what}: {error}; export it again") from error
    if tree.tag != root:
        raise FileFault(f"{path} is not {what}: its root is <{shown(tree.tag)}>; expected <{root}>")
    return tree


def number_of(attributes: Mapping[str, str], name: str, where: str, default: float | None = None) -> float:
    """A finite number of an element. Raises FileFault that names `where` for one that is absent or none."""
    text = attributes.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST:
        raise FileFault(f"{where}: {name} is {shown(text)}; expected a number from {-LARGEST:g} to {LARGEST:g}")
    return value


def xml_text(text: str) -> str:
    """The text with U+FFFD in place of each character that XML 1.0 has no place for."""
    return _IMPOSSIBLE.sub("\ufffd", text)
