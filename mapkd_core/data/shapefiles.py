"""Lines of an ESRI shapefile with their attributes, by pyshp, once the numbers in its files fit their lengths.

Sources: ESRI Shapefile Technical Description (1998); dBASE III's header.
"""
from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.schema import FileFault, read_bytes

_REMEDY = "its .dbf and .shx must lie beside it, whole: fetch them again"
_LINE_TYPES = (3, 13, 23)
"""PolyLine, PolyLineZ, PolyLineM."""
_ERRORS = (
    struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, EOFError, OSError,
    MemoryError,
)  # fmt: skip
"""What pyshp lets through for damaged files, beside its own exception."""


def shapefile_lines(path: Path) -> Iterator[tuple[NDArray[np.float64], dict[str, Any]]]:
    """(N, 2) of every part of every line in the file's coordinates, and the line's attributes; other shapes are none.

    Raises FileFault for files that are damaged, do not belong together, or name a projection; ModuleNotFoundError
    without pyshp.
    """
    import shapefile

    projection = path.with_suffix(".prj")
    if projection.is_file() and read_bytes(projection, "a projection")[:6].upper() == b"PROJCS":
        raise FileFault(
            f"SD map {path}: {projection.name} names a projection; expected WGS84 degrees: export it again in EPSG:4326"
        )
    _check_shapes(path)
    corrupt = getattr(shapefile, "PossiblyCorruptFileHeader", UserWarning)  # pyshp before 3 does not look
    try:
        with warnings.catch_warnings(), shapefile.Reader(str(path)) as reader:
            warnings.simplefilter("error", corrupt)
            for item in reader.iterShapeRecords():
                if item.record is None or item.shape.shapeType not in _LINE_TYPES:  # a deleted one, or a point
                    continue
                points = np.array(item.shape.points, np.float64).reshape(-1, 2)
                for part in np.split(points, list(item.shape.parts)[1:]):
                    yield part, item.record.as_dict()
    except (shapefile.ShapefileException, corrupt, *_ERRORS) as error:
        raise FileFault(f"SD map {path} cannot be read ({type(error).__name__}: {error}); {_REMEDY}") from error


def _check_shapes(path: Path) -> None:
    """Raises FileFault unless the records of .shp, .shx and .dbf fill their files, and are as many.

    pyshp follows the lengths that a record names, and would read one without length for ever.
    """
    shapes = _count_shapes(path)
    table, index = path.with_suffix(".dbf"), path.with_suffix(".shx")
    rows = _count_rows(table) if table.is_file() else shapes  # pyshp names what lacks
    if rows != shapes:
        raise FileFault(f"SD map {path} has {shapes} shapes, {table.name} {rows} rows; {_REMEDY}")
    if index.is_file():
        data = read_bytes(index, "the index of a shapefile")
        if len(data) != 100 + 8 * shapes or int.from_bytes(data[24:28], "big") * 2 != len(data):
            raise FileFault(f"SD map {path} has {shapes} shapes, {index.name} {len(data)} bytes; {_REMEDY}")
        for place, (offset, _) in enumerate(struct.iter_unpack(">2i", data[100:])):
            if not 100 <= 2 * offset < path.stat().st_size:
                raise FileFault(f"SD map {path}: {index.name} says that shape {place} begins at {offset}; {_REMEDY}")


def _count_shapes(path: Path) -> int:
    data = read_bytes(path, "a shapefile")
    if len(data) < 100 or data[:4] != b"\x00\x00\x27\x0a" or int.from_bytes(data[24:28], "big") * 2 != len(data):
        raise FileFault(f"SD map {path} cannot be read (no header that fits its {len(data)} bytes); {_REMEDY}")
    at, count = 100, 0
    while at + 8 <= len(data):
        words = int.from_bytes(data[at + 4 : at + 8], "big", signed=True)
        content = data[at + 8 : at + 8 + 2 * max(words, 0)]
        if words < 2 or len(content) < 2 * words or not _fits(content):
            raise FileFault(f"SD map {path} cannot be read (shape {count} has no length that fits it); {_REMEDY}")
        at, count = at + 8 + 2 * words, count + 1
    if at != len(data):
        raise FileFault(f"SD map {path} cannot be read ({len(data) - at} bytes behind the last shape); {_REMEDY}")
    return count


def _fits(content: bytes) -> bool:
    """Whether the parts and points of a line fit into its record."""
    if int.from_bytes(content[:4], "little") not in _LINE_TYPES:
        return True
    parts, points = struct.unpack_from("<2i", content, 36) if len(content) >= 44 else (-1, -1)
    if parts < 1 or points < 0 or 44 + 4 * parts + 16 * points > len(content):
        return False
    starts = struct.unpack_from(f"<{parts}i", content, 44)
    return starts[0] == 0 and all(a < b for a, b in zip(starts, (*starts[1:], points), strict=True))


def _count_rows(path: Path) -> int:
    data = read_bytes(path, "the table of a shapefile")
    if len(data) < 33:
        raise FileFault(f"{path} has no header; {_REMEDY}")
    rows, header, row = struct.unpack_from("<LHH", data, 4)
    columns = range(32, min(header, len(data)) - 32, 32)
    width = 1 + sum(data[at + 16] for at in columns)
    if header > len(data) or width > row or header + rows * row > len(data):
        raise FileFault(
            f"SD map {path}: it says that it holds {rows} rows of {row} bytes behind a header of {header}; its "
            f"{len(columns)} columns need {width} bytes, and it has {len(data)} in all; {_REMEDY}"
        )
    return int(rows)
