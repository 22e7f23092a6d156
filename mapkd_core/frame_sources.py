"""Opens frames by a name on the command line: nuScenes, Argoverse 2, the simulated benchmark, the user's own code."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mapkd_core.data.lidar import Sweeps
from mapkd_core.types import Frame

FORMS = (
    "simdrive-v1:SPLIT[:small|full][:DRIVES][:WEATHER][:own-body[/N]], nuscenes:DATAROOT:VERSION:SPLIT, "
    "argoverse2:FOLDER[:SECONDS], python:MODULE:NAME[:ARGUMENT] (code of your own), or a nuScenes folder"
)
_OWN_BODY = re.compile(r"own-body(?:/([1-9]\d{0,5}))?")


class Frames(Protocol):
    """Frames by index and in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Frame: ...

    def __iter__(self) -> Iterator[Frame]: ...


def open_frames(
    name: str,
    split: str | None = None,
    image_size: tuple[int, int] | None = None,
    lidar: bool = False,
    device: str = "cpu",
    sweeps: Sweeps | None = None,
) -> tuple[Frames, list[str]]:
    """The frames that `name` stands for, and in words what of them is missing on this machine.

    `simdrive-v1:SPLIT[:small|full][:DRIVES]` (where the name has no size, the one that fits images of `image_size`;
    further words give all drives one weather, such as `night`, and bodywork in the images of each by `own-body`, of one
    in three by `own-body/3`), `nuscenes:DATAROOT:VERSION:SPLIT`, `argoverse2:FOLDER[:SECONDS]` (one log or a folder of
    logs; at most a frame in so many seconds), `python:MODULE:NAME[:ARGUMENT]` (data/plugin.py), or a folder in
    nuScenes' format with exactly one version, of which `split` picks scenes. `sweeps` are those that a frame's LiDAR
    points gather where there is LiDAR; else three of real sensors and one of simulated ones. Raises ValueError for a
    name of another form, FileNotFoundError where there is no such folder.
    """
    kind, _, rest = name.partition(":")
    if sweeps is not None and not (lidar and sweeps.until):
        raise ValueError("sweeps of the LiDAR are chosen, but no LiDAR is read; ask for it and at least one sweep")
    turns = (sweeps or Sweeps(3)) if lidar else Sweeps(0)
    if kind == "simdrive-v1" and rest:
        return _simulated(name, rest.split(":"), image_size, lidar, device, sweeps or Sweeps(1))
    if kind == "nuscenes" and rest.count(":") == 2:
        folder, version, split = rest.split(":")
        return _nuscenes(Path(folder), version, split, turns)
    if kind == "argoverse2" and rest:
        return _argoverse2(name, rest, turns)
    if kind == "python" and rest.count(":"):
        if sweeps is not None:
            raise ValueError(f"sweeps of the LiDAR are chosen for {name}, whose code gathers its points itself")
        from mapkd_core.data.plugin import plugin_frames

        return plugin_frames(name), []
    if kind == "bag" and rest:
        raise ValueError(
            f"{name} is a bag, which is packed first: mapkd cache {name} FOLDER --map MAP; give cache:FOLDER then"
        )
    folder_path = Path(name).expanduser()
    if not folder_path.is_dir():
        raise FileNotFoundError(f"data {name!r} is neither a folder nor of the form {FORMS}")
    versions = sorted(p.name for p in folder_path.glob("v1.0-*") if p.is_dir())
    if not versions:
        raise ValueError(f"{name} holds no folder v1.0-..., as nuScenes' data root does{_nearby(folder_path)}")
    if len(versions) > 1:
        raise ValueError(f"{name} holds the versions {versions}; name one with nuscenes:{name}:VERSION:SPLIT")
    return _nuscenes(folder_path, versions[0], split, turns)


def _nearby(folder: Path) -> str:
    """What was probably meant by a folder that is no data root of nuScenes."""
    folder = folder.resolve()
    roots = [folder.parent] if folder.name.startswith("v1.0-") else sorted({f.parent for f in folder.glob("*/v1.0-*")})
    if roots:
        return f": name {roots[0]}"
    if any(path for deep in ("", "*/", "*/*/") for path in folder.glob(f"{deep}city_SE3_egovehicle.feather")):
        return f"; logs of Argoverse 2 are argoverse2:{folder}"
    cache = (folder / "index.json").is_file() and any(folder.glob("*.tar"))
    return f"; a training cache is cache:{folder}" if cache else f"; expected {FORMS}"


def with_maps(frames: Frames) -> Frames:
    """The frames that can be learnt from: those with a road map. Simulated drives have one everywhere."""
    from mapkd_core.data.argoverse2 import Argoverse2Source
    from mapkd_core.data.nuscenes import NuScenesSource
    from mapkd_core.data.plugin import PluginFrames

    return frames.mapped() if isinstance(frames, NuScenesSource | Argoverse2Source | PluginFrames) else frames


def with_images(frames: Frames) -> Frames:
    """The frames that can be predicted: those with images. Others hold labels and LiDAR alone."""
    from mapkd_core.data.argoverse2 import Argoverse2Source
    from mapkd_core.data.plugin import PluginFrames

    return frames.with_images() if isinstance(frames, Argoverse2Source | PluginFrames) else frames


def _argoverse2(name: str, rest: str, sweeps: Sweeps) -> tuple[Frames, list[str]]:
    from mapkd_core.data.argoverse2 import Argoverse2Source

    folder, _, step = rest.rpartition(":")
    try:
        every_s = float(step) if folder else 0.0
    except ValueError:
        folder, every_s = "", 0.0
    if not 0 <= every_s < 1e6:
        raise ValueError(f"{name!r} asks for a frame in {step} seconds; expected 0 or more")
    source = Argoverse2Source(folder or rest, every_s, lidar_sweeps=sweeps)
    parts_of = ((frame.views, frame.vector_map) for frame in source)
    blind, unmapped = (sum(not part for part in parts) for parts in zip(*parts_of, strict=True))
    missing = [f"images of {blind} of {len(source)} frames (sensors/cameras)"] if blind else []
    return source, missing + ([f"the map of {unmapped} frames (map/)"] if unmapped else [])


def _nuscenes(folder: Path, version: str, split: str | None, sweeps: Sweeps) -> tuple[Frames, list[str]]:
    from mapkd_core.data.nuscenes import NuScenesSource

    return NuScenesSource(folder, version, split=split or None, lidar_sweeps=sweeps), []


def _simulated(
    name: str, words: list[str], image_size: tuple[int, int] | None, lidar: bool, device: str, sweeps: Sweeps
) -> tuple[Frames, list[str]]:
    from mapkd_core.sim.simdrive import SIZES, simdrive, size_for
    from mapkd_core.sim.world.conditions import WEATHERS

    split, *options = words
    size, drives, weather, own_body_every = size_for(image_size), None, None, 0
    for word in options:
        if word in SIZES:
            size = word
        elif word.isdigit() and int(word) > 0:
            drives = int(word)
        elif word in WEATHERS:
            weather = word
        elif found := _OWN_BODY.fullmatch(word):
            own_body_every = int(found[1] or 1)
        else:
            raise ValueError(
                f"{word!r} in {name!r} is neither a size {tuple(SIZES)}, a number of drives, a weather {WEATHERS}, "
                "nor own-body or own-body/N"
            )
    source = simdrive(
        split,
        size,
        lidar=lidar,
        lidar_sweeps=sweeps,
        device=device,
        drives=drives,
        weather=weather,
        own_body_every=own_body_every,
    )
    return source, list(source.skipped)
