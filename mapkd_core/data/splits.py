"""Which scenes belong to which split: the official lists, geographically disjoint lists, or your own."""
from __future__ import annotations

from pathlib import Path

from mapkd_core.schema import FileFault, list_of, mapping, read_json, text

SPLITS_DIR = Path(__file__).with_name("splits")


def shipped_splits() -> list[str]:
    """Names of the scene lists that come with the project (`splits/*.txt`)."""
    return sorted(path.stem for path in SPLITS_DIR.glob("*.txt"))


def read_scene_list(path: Path) -> list[str]:
    """Scene names of a text file, one a line; `#` starts a comment. Raises ValueError if there are none."""
    lines = (line.split("#")[0].strip() for line in _text(path).splitlines())
    scenes = [line for line in lines if line]
    if not scenes:
        raise ValueError(f"{path} names no scene; expected one name a line, such as scene-0061")
    return scenes


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FileFault(f"{path} is no text in UTF-8; expected one scene a line, such as scene-0061") from error


def scenes_of_split(split: str, version_dir: Path) -> list[str]:
    """Scene names of a split, whether or not the dataset at hand holds them all.

    `split` is an official one (train, val, test, mini_train, mini_val: the devkit's lists), one shipped with
    the project (`shipped_splits()`), one that the dataset itself brings (`<version_dir>/splits.json`, the
    devkit's custom splits), or the path of a text file. Raises ValueError that lists the choices.
    """
    if Path(split).suffix == ".txt":
        if not Path(split).is_file():
            raise FileNotFoundError(f"there is no scene list {split}")
        return read_scene_list(Path(split))
    if split in shipped_splits():
        return read_scene_list(SPLITS_DIR / f"{split}.txt")
    own = version_dir / "splits.json"
    custom = read_json(own, "lists of scenes by split", mapping(list_of(text())), "mend it") if own.is_file() else {}
    if split in custom:
        return list(custom[split])
    from mapkd_core.data.nuscenes_splits import official_splits

    official = official_splits()
    if split not in official:
        choices = [*official, *shipped_splits(), *custom, "or the path of a .txt file with one scene a line"]
        raise ValueError(f"no split {split!r} for {version_dir}; there are: {', '.join(choices)}")
    return list(official[split])
