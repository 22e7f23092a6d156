"""What frames are by their content, so that another data set at the same path is noticed."""
from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mapkd_core.data.cache import CachedSamples
from mapkd_core.data.images import JpegFile
from mapkd_core.data.nuscenes import NuScenesSource
from mapkd_core.data.plugin import PluginFrames
from mapkd_core.files import code_fingerprint, fingerprint
from mapkd_core.frame_sources import Frames
from mapkd_core.sim.simdrive import SimSource

_PIECE = 1024
_PACKAGE = Path(__file__).parents[1]


def vectorizer_version() -> str:
    """A fingerprint of the code that turns class maps into lines: other code, other lines."""
    return code_fingerprint(_PACKAGE / "vectorizer")


def cache_fingerprint(cached: CachedSamples) -> str:
    """That of a cache's index and shards, whatever its place."""
    folder = Path(cached.index.location)
    return fingerprint(*(folder / name for name in ("index.json", *cached.index.files)))


def frames_fingerprint(source: Frames) -> str:
    """Of a nuScenes folder: poses, calibration, maps, and images and LiDAR by name, size and a piece of their content;
    of drives: what makes them.

    Code of the user's own may tell it; other sources are told apart by their number of frames alone.
    """
    if isinstance(source, PluginFrames) and source.fingerprint is not None:
        return fingerprint(source.fingerprint)
    if isinstance(source, NuScenesSource):
        maps = [path for part in ("maps/expansion", "osm") for path in sorted((source.dataroot / part).glob("*.*"))]
        return fingerprint(*_facts(source), *maps)
    if isinstance(source, SimSource):
        drives = (f"{d.name} {d.size} {d.frames} {d.keyframe_s} {d.lidar} {d.area_m} {d.conditions} {d.own_body or ''}"
                  for d in source.drives)  # fmt: skip
        return fingerprint(*drives, code_fingerprint(_PACKAGE / "sim"))
    return fingerprint(str(len(source)))


def _facts(source: NuScenesSource) -> Iterator[str | bytes]:
    for frame in source:
        yield f"{frame.token} {frame.scene} {frame.stamp_ns} {frame.conditions}"
        yield np.asarray(frame.map_from_base, np.float64).tobytes()
        for view in frame.views:
            path = view.image.path if isinstance(view.image, JpegFile) else None
            yield f"{view.name} {view.stamp_ns} {path.name if path is not None else ''}"
            yield _sketch(path) if path is not None and path.is_file() else b""
            pose = view.base_from_camera if view.map_from_base is None else view.map_from_base
            yield np.concatenate([view.intrinsics.ravel(), view.base_from_camera.ravel(), pose.ravel()]).tobytes()
        for sweep in frame.lidar.args[0] if isinstance(frame.lidar, partial) else ():
            yield _sketch(sweep.path) if sweep.path.is_file() else b""


def _sketch(path: Path) -> bytes:
    """A file's size and a piece from its middle: tells images apart without reading a data set through."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(size // 2)
        return f"{size} ".encode() + file.read(_PIECE)
