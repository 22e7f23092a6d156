"""Maps of others are read and never written over: what the drive adds is saved beside them."""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from mapkd_core.map_formats.formats import MapName
from mapkd_core.schema import FileFault

BUILT = "built"
"""Stands in the name of a map that is saved beside the one of others."""
_STREETMAP_HEAD = b'{"format":"mapkd-street-map-'
_OWN_RULES = ("crosswalk",)
"""Subtypes of regulatory elements that our own writer makes."""


def own_place(name: MapName) -> MapName:
    """Where a map may be saved: at `name`, or beside it as NAME.built.EXT where the file there is none of ours.

    A Lanelet2 map gets a folder, NAME.built/NAME.osm: `map_projector_info.yaml` holds for all maps of its folder.
    Nothing that is there under such a name is written over either: NAME.built-2 follows, and so on.
    """
    if is_own(name):
        return name
    if name.format == "lanelet2":
        folders = (path.with_suffix("") for path in _beside(name.file, BUILT, ".osm"))
        return replace(name, path=_free(folder / name.file.name for folder in folders))
    return replace(name, path=free_beside(name.file, BUILT))


def is_own(name: MapName) -> bool:
    """Whether nothing of others would be lost by writing there: no file, an empty one, a device, or one of ours.

    A file says by its head, `MetaInfo`, collection's member or `userData` that we have written it; a Lanelet2 map to
    which somebody has added rules is no longer ours. One that cannot be read is not ours. A map expansion of nuScenes
    is never written over (`free_place`), and counts as ours here, as do formats that are never written.
    """
    file = name.file
    if name.format in ("nuscenes", "argoverse2") or not file.is_file() or file.stat().st_size == 0:
        return True
    try:
        if name.format == "streetmap":
            with file.open("rb") as stream:
                return stream.read(len(_STREETMAP_HEAD)) == _STREETMAP_HEAD
        if name.format == "geojson":
            content = json.loads(file.read_bytes())
            return isinstance(content, dict) and isinstance(content.get("mapkd"), dict)
        return _lanelet2_is_own(file) if name.format == "lanelet2" else _opendrive_is_own(file)
    except (FileFault, ValueError, RecursionError, OSError):
        return False


def _lanelet2_is_own(file: Path) -> bool:
    from mapkd_core.map_formats.osm_file import read_osm

    found = read_osm(file)
    rules = [one.tags for one in found.relations.values() if one.tags.get("type") == "regulatory_element"]
    return found.meta.get("generator") == "mapkd" and all(tags.get("subtype") in _OWN_RULES for tags in rules)


def _opendrive_is_own(file: Path) -> bool:
    from mapkd_core.map_formats.opendrive_write import MAP
    from mapkd_core.map_formats.xml_files import read_xml

    return any(data.get("code") == MAP for data in read_xml(file, "OpenDRIVE", "an OpenDRIVE map").iter("userData"))


def free_beside(file: Path, word: str, suffix: str = "") -> Path:
    """The first of NAME.word.EXT, NAME.word-2.EXT, ... that is not there; `suffix` is EXT with its dot, if another."""
    return _free(_beside(file, word, suffix))


def left_beside(file: Path, word: str, suffix: str = "") -> list[Path]:
    """Those that are there, without a gap."""
    found = []
    for path in _beside(file, word, suffix):
        if not path.exists():
            break
        found.append(path)
    return found


def _free(paths: Iterable[Path]) -> Path:
    return next(path for path in paths if not path.exists() and not path.is_symlink())


def _beside(file: Path, word: str, suffix: str) -> Iterator[Path]:
    for number in count(1):
        tail = word if number == 1 else f"{word}-{number}"
        yield file.with_name(f"{file.stem}.{tail}{suffix or file.suffix}")
