"""Opens the moments of a drive by a name on the command line: a bag, a data set, a training cache, the simulator.

    with open_moments("simdrive-v1:val:small", predictor) as drive:
        for moment in drive:
            print(moment.name, len(moment.predicted.elements))
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mapkd_core.data.labels import elements_of, map_elements
from mapkd_core.frame_sources import FORMS, open_frames
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.moment import Moment, cameras_of_frame
from mapkd_core.predictor import CameraError, MapPredictor
from mapkd_core.types import Frame, MapElement
from mapkd_core.viewing.moments import MomentOptions, Moments, at_most, grid_of

SOURCES = f"a bag (its folder, an .mcap or .db3 file, or bag:PATH), cache:FOLDER, {FORMS}"
_BAG_FILES = ("*.mcap", "*.db3", "*.mcap.zstd", "*.db3.zstd")


def open_moments(
    name: str, predictor: MapPredictor | None, options: MomentOptions | None = None,
    note: Callable[[str], object] = print,
) -> Moments:
    """The moments of SOURCES, predicted by `predictor`; without one, the images with the true map alone.

    `note` is told what was found and what is missing. Raises ValueError or FileNotFoundError for what is no source,
    or lacks what `options` ask for.
    """
    options = options or MomentOptions()
    path = Path(name.removeprefix("bag:")).expanduser()
    if name.startswith("bag:") or is_bag(path):
        if options.scenes or options.lidar:
            raise ValueError(f"scenes and LiDAR are those of data sets; {path} is a bag, of which images are read")
        from mapkd_core.viewing.bag_moments import bag_moments  # needs the extra `bag`

        return bag_moments(path, predictor, options, note)
    if options.rig is not None or options.road_map is not None:
        raise ValueError(f"a rig and a map of its own belong to a bag; {name} is none (bag:PATH)")
    grid = grid_of(predictor)
    if name.startswith("cache:"):
        frames = _cached(name.removeprefix("cache:"), grid, options)
    else:
        size = None if predictor is None else predictor.card.input_size
        source, missing = open_frames(name, image_size=size, lidar=options.lidar)
        for line in missing:
            note(f"left out: {line}")
        order = [i for i in range(len(source)) if not options.scenes or source[i].scene in options.scenes]
        frames = _Frames(lambda index: _with_truth(source[index], grid), order)
    if not len(frames.order):
        wanted = f" of scene {', '.join(options.scenes)}" if options.scenes else ""
        raise ValueError(f"{name} holds no frame{wanted}; nothing is to be seen")

    def walk(faults: Counter[str]) -> Iterator[Moment]:
        for frame, truth in _thinned(map(frames.read, frames.order), options):
            moment = _of_frame(frame, truth, predictor, options.lidar, faults)
            if moment is not None:
                yield moment

    return Moments(at_most(len(frames.order), options), walk)


def is_bag(path: Path) -> bool:
    """Whether a path is a rosbag2: one of its files, or a folder of them."""
    if path.is_file():
        return any(path.match(pattern) for pattern in _BAG_FILES)
    return path.is_dir() and any(next(path.glob(pattern), None) is not None for pattern in _BAG_FILES)


Truth = list[MapElement] | None


@dataclass(frozen=True, eq=False)
class _Frames:
    """Frames with their true map, and the order in which they are seen."""

    read: Callable[[int], tuple[Frame, Truth]]
    order: list[int]


def _cached(folder: str, grid: BevGrid, options: MomentOptions) -> _Frames:
    """The frames of a cache, whose shards are shuffled."""
    from mapkd_core.data.cache import CachedSamples
    from mapkd_core.data.frame_sample import SampleOptions

    cached = CachedSamples(folder, SampleOptions(grid, labels=False, margin_m=0.0))
    if cached.index.plan.get("labels", True):
        cached.index.check_reach(SampleOptions(grid, labels=True, margin_m=0.0))
    if options.lidar and not cached.index.plan.get("lidar"):
        raise ValueError(f"the cache in {folder} was written without LiDAR; write it again with it, or leave it out")

    def read(index: int) -> tuple[Frame, Truth]:
        held = cached.frame(index)
        return held.frame, None if held.local_map is None else elements_of(held.local_map, grid, "polygon")

    heads = [cached.frame(index).frame for index in range(len(cached))]
    places = sorted((head.scene, head.stamp_ns, index) for index, head in enumerate(heads))
    return _Frames(read, [index for scene, _, index in places if not options.scenes or scene in options.scenes])


def _with_truth(frame: Frame, grid: BevGrid) -> tuple[Frame, Truth]:
    if frame.vector_map is None or frame.map_from_base is None:
        return frame, None
    return frame, map_elements(frame.vector_map(), frame.map_from_base, grid, "polygon")


def _thinned(
    frames: Iterable[tuple[Frame, Truth]], options: MomentOptions
) -> Iterator[tuple[Frame, Truth]]:
    """At most `limit` frames, in each scene at least `every_s` apart."""

    def apart() -> Iterator[tuple[Frame, Truth]]:
        last: tuple[str, int] | None = None
        for frame, truth in frames:
            if last is None or last[0] != frame.scene or frame.stamp_ns - last[1] >= options.every_s * 1e9:
                last = frame.scene, frame.stamp_ns
                yield frame, truth

    return islice(apart(), options.limit)


def _of_frame(
    frame: Frame, truth: Truth, predictor: MapPredictor | None, lidar: bool, faults: Counter[str]
) -> Moment | None:
    """A frame's moment; None for one whose images cannot be used, which is counted."""
    try:
        predicted = predictor.predict_frame(frame) if predictor is not None and frame.views else None
    except CameraError as error:
        faults[f"{frame.views[error.camera].name}: {error.reason}"] += 1
        return None
    points = frame.lidar() if lidar and frame.lidar is not None else None
    return Moment(
        frame.token, frame.scene, frame.stamp_ns, cameras_of_frame(frame), predicted, truth, frame.map_from_base, points
    )
