"""A drive as a video that browsers play. Needs PyAV."""
from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mapkd_core.files import replacing
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.moment import TILE_WIDTH, Moment, drawn
from mapkd_core.map_files.overlay_video import OverlayVideo


def write_video(
    moments: Iterable[Moment], path: Path, grid: BevGrid, title: str = "", camera_width: int = TILE_WIDTH,
    truth: bool = False,
) -> int:
    """Writes an MP4 of the moments as `map_files.moment.drawn` draws them, in the drive's time; returns how many.

    A file that is there is replaced at the end; after KeyboardInterrupt, which is raised again, by what came until
    then. Moments without cameras are passed over; without any other nothing is written. Raises OSError,
    ModuleNotFoundError without PyAV, ValueError where that has no encoder that browsers play.
    """
    count, first_ns, scene = 0, 0, ""
    interrupted: KeyboardInterrupt | None = None
    with suppress(_NothingError), replacing(path) as place:
        with OverlayVideo(place) as film:
            try:
                for moment in moments:
                    if not moment.cameras:
                        continue
                    if not count or moment.scene != scene:
                        first_ns, scene = moment.stamp_ns, moment.scene
                    words = (title, scene, f"{(moment.stamp_ns - first_ns) / 1e9:.2f} s")
                    image = drawn(moment, grid, ", ".join(word for word in words if word), camera_width, truth)
                    film.add(image, moment.stamp_ns)
                    count += 1
            except KeyboardInterrupt as error:
                interrupted = error
        if not count:
            raise interrupted or _NothingError
    if interrupted is not None:
        raise interrupted
    return count


class _NothingError(Exception):
    """No moment came: the file is not to take its place."""
