"""Opens frames by a name on the command line: a nuScenes folder, or the simulated benchmark."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mapkd_core.types import Frame

FORMS = "simdrive-v1:SPLIT[:small|full][:DRIVES], nuscenes:DATAROOT:VERSION:SPLIT, or a nuScenes folder"


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
) -> tuple[Frames, list[str]]:
    """The frames that `name` stands for, and in words what of them is missing on this machine.

    `simdrive-v1:SPLIT[:small|full][:DRIVES]` (where the name has no size, the one that fits images of `image_size`),
    `nuscenes:DATAROOT:VERSION:SPLIT`, or a folder in nuScenes' format with exactly one version, of which `split` picks
    scenes. Raises ValueError for a name of another form, FileNotFoundError for a folder that is not there.
    """
    kind, _, rest = name.partition(":")
    if kind == "simdrive-v1" and rest:
        return _simulated(name, rest.split(":"), image_size, lidar, device)
    if kind == "nuscenes" and rest.count(":") == 2:
        folder, version, split = rest.split(":")
        return _nuscenes(Path(folder), version, split, lidar)
    folder_path = Path(name).expanduser()
    if not folder_path.is_dir():
        raise FileNotFoundError(f"data {name!r} is neither a folder nor of the form {FORMS}")
    versions = sorted(p.name for p in folder_path.glob("v1.0-*") if p.is_dir())
    if len(versions) != 1:
        raise ValueError(f"{name} holds the versions {versions}; name one with nuscenes:{name}:VERSION:SPLIT")
    return _nuscenes(folder_path, versions[0], split, lidar)


def with_maps(frames: Frames) -> Frames:
    """The frames that can be learnt from: those with a road map. Simulated drives have one everywhere."""
    from mapkd_core.data.nuscenes import NuScenesSource

    return frames.mapped() if isinstance(frames, NuScenesSource) else frames


def _nuscenes(folder: Path, version: str, split: str | None, lidar: bool) -> tuple[Frames, list[str]]:
    from mapkd_core.data.nuscenes import NuScenesSource

    return NuScenesSource(folder, version, split=split or None, lidar_sweeps=3 if lidar else 0), []


def _simulated(
    name: str, words: list[str], image_size: tuple[int, int] | None, lidar: bool, device: str
) -> tuple[Frames, list[str]]:
    from mapkd_core.sim.simdrive import SIZES, simdrive, size_for

    split, *options = words
    size, drives = size_for(image_size), None
    for word in options:
        if word in SIZES:
            size = word
        elif word.isdigit() and int(word) > 0:
            drives = int(word)
        else:
            raise ValueError(f"{word!r} in {name!r} is neither a size {tuple(SIZES)} nor a number of drives")
    source = simdrive(split, size, lidar=lidar, device=device, drives=drives)
    return source, list(source.skipped)
