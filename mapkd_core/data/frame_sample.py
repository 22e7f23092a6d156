"""A frame read and cut to what a network needs: images at its size, and the map, LiDAR and SD roads around it."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.images import resize
from mapkd_core.data.labels import LocalMap, grid_range, local_map, uncut_elements
from mapkd_core.data.polylines import Range
from mapkd_core.data.sample import Sample
from mapkd_core.geometry import flattened
from mapkd_core.grid import BevGrid
from mapkd_core.types import IMAGE_SIZE, CameraView, Frame


@dataclass(frozen=True)
class SampleOptions:
    """What is taken from a frame."""

    grid: BevGrid = field(default_factory=BevGrid)
    image_size: tuple[int, int] = IMAGE_SIZE
    """Width and height of the network's images."""
    lidar: bool = False
    sd_map: bool = False
    labels: bool = True
    lidar_pose: bool = False
    """Where the LiDAR sits, without its points; frames that do not know it go without."""
    margin_m: float = 12.0
    """How far labels and SD roads reach beyond the grid, so that a turned grid finds its lines too."""

    def reach(self) -> Range:
        """The range of labels and SD roads."""
        return grid_range(self.grid).shrunk(-self.margin_m)


def sample_from_frame(frame: Frame, options: SampleOptions) -> Sample:
    """Reads and resizes a frame's images, reads its LiDAR and cuts its map, as far as `options` ask for them.

    Raises ValueError if a part asked for is not there, or a pose, calibration or point is not finite.
    """
    images = network_images(frame, options.image_size)
    local = map_around(frame, options.reach()) if options.labels or options.sd_map else None
    return assemble(frame, images, local, frame_lidar(frame) if options.lidar else None, options)


def assemble(
    frame: Frame,
    images: list[tuple[NDArray[np.uint8], NDArray[np.float64]]],
    local: LocalMap | None,
    lidar: NDArray[np.float32] | None,
    options: SampleOptions,
) -> Sample:
    """The sample of parts already read: network images with their intrinsics, the local map, and points."""
    if options.sd_map and (local is None or local.sd_roads is None):
        raise ValueError(
            f"frame {frame.token} of {frame.scene} has no SD roads; put an OpenStreetMap extract named after the "
            "location beside the data (docs/reference/data.md), or do not ask for an SD map"
        )
    labels = local if options.labels else None
    sample = Sample(
        token=frame.token,
        images=np.stack([pixels for pixels, _ in images]),
        intrinsics=np.stack([intrinsics for _, intrinsics in images]),
        base_from_camera=np.stack([view.base_from_camera for view in frame.views]),
        elements=tuple(uncut_elements(labels)) if labels is not None else (),
        outlines_m=labels.crossings if labels is not None else (),
        crossings_apart=labels.crossings_apart if labels is not None else False,
        labelled=labels is not None,
        lidar=lidar,
        sd_lines_m=local.sd_roads if options.sd_map and local is not None else None,
        base_from_lidar=frame.base_from_lidar if options.lidar_pose else None,
        conditions=frame.conditions,
        scene=frame.scene,
        stamp_ns=frame.stamp_ns,
        map_from_base=None if frame.map_from_base is None else flattened(frame.map_from_base),
        cameras=tuple(view.name for view in frame.views),
    )
    for name in ("intrinsics", "base_from_camera", "lidar", "base_from_lidar"):
        values = getattr(sample, name)
        if values is not None and not np.isfinite(values).all():
            raise ValueError(f"{name} of frame {frame.token} of {frame.scene} holds values that are not finite")
    return sample


def network_images(frame: Frame, size: tuple[int, int]) -> list[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """The images of all views at `size` (w, h), each with its intrinsics. Raises ValueError if the frame has none."""
    if not frame.views:
        raise ValueError(
            f"frame {frame.token} of {frame.scene} has no images; labels and LiDAR can be had of it, training and "
            "prediction need the images of its log"
        )
    return [network_image(view, size) for view in frame.views]


def network_image(view: CameraView, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A view's image at `size` (w, h) and the intrinsics that hold for it.

    Raises ValueError if the stored image is not of the size its calibration is for.
    """
    pixels = view.image.rgb(min_size=size)
    height, width = pixels.shape[:2]
    # The decoder may have halved the image up to three times, rounding up.
    if not any((-(-view.size[0] // r), -(-view.size[1] // r)) == (width, height) for r in (1, 2, 4, 8)):
        raise ValueError(
            f"the image of {view.name} is {width}x{height} (or that times 2, 4 or 8), but its calibration is for "
            f"{view.size[0]}x{view.size[1]}; they must belong together"
        )
    return resize(pixels, view.intrinsics, size, of_size=view.size)


def map_around(frame: Frame, window: Range) -> LocalMap:
    """The map around a frame. Raises ValueError if the frame has no map or no finite pose."""
    if frame.vector_map is None or frame.map_from_base is None:
        lacks = "pose" if frame.map_from_base is None else "road map"
        raise ValueError(
            f"frame {frame.token} of {frame.scene} has no {lacks}, so its labels and SD roads are unknown; "
            "leave such frames out (NuScenesSource.mapped()), or ask for neither"
        )
    if not np.isfinite(frame.map_from_base).all():
        raise ValueError(f"the pose of frame {frame.token} of {frame.scene} holds values that are not finite")
    return local_map(frame.vector_map(), frame.map_from_base, window)


def frame_lidar(frame: Frame) -> NDArray[np.float32]:
    """The frame's points (P, 5). Raises ValueError if it has none."""
    if frame.lidar is None:
        raise ValueError(f"frame {frame.token} of {frame.scene} has no LiDAR; leave it out, or do not ask for LiDAR")
    return frame.lidar()
