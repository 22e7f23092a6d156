"""A self-contained HTML page of sections: the parts that reports are made of, and the template that shows them."""
from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True)
class Cell:
    """A table's cell: text as it is, as code, marked as the best, or a bar that is `text` pixels wide."""

    text: str
    style: Literal["", "code", "best", "bar"] = ""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Notes:
    """A list of remarks."""

    notes: Sequence[str]
    kind: str = "notes"


@dataclass(frozen=True)
class Table:
    """Rows under headings; without headings where there are none."""

    rows: Sequence[Sequence[Cell]]
    headings: Sequence[str] = ()
    kind: str = "table"


@dataclass(frozen=True)
class Chart:
    """An SVG drawing of our own making, which is shown unescaped; empty where there is nothing to draw."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Charts:
    """Charts side by side."""

    charts: Sequence[Chart]
    kind: str = "charts"


@dataclass(frozen=True)
class Image:
    """An encoded image inside the page."""

    data: bytes
    media_type: str
    caption: str
    kind: str = "image"

    @property
    def base64(self) -> str:
        """The image as text."""
        return base64.b64encode(self.data).decode()


Part = Text | Notes | Table | Charts | Image


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it."""

    title: str
    parts: Sequence[Part]


def render(title: str, sections: Sequence[Section]) -> str:
    """The page as one string: no script, nothing from elsewhere; sections without parts are left out."""
    return _template().render(title=title, sections=[section for section in sections if section.parts]) + "\n"


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mapkd_core", "evaluation/templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja")
