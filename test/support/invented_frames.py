"""A small invented drive for tests that need frames but no dataset."""
import cv2
import numpy as np
import shapely

from mapkd_core.data.images import JpegBytes
from mapkd_core.geometry import transform, transform_from_yaw
from mapkd_core.types import CAMERAS, CameraView, Frame
from mapkd_core.vector_map import MapLine, VectorMap

TOWN = VectorMap(
    name="town",
    lines=tuple(MapLine(np.array([[-300, y], [300, y + 5.0]])) for y in (-3.0, 0.5, 4.0)),
    crossings=tuple(shapely.box(x, -7, x + 3, 8) for x in range(-200, 200, 40)),
    road_segments=(shapely.box(-300, -8, 300, 12) - shapely.box(10, 2, 14, 3),),
    sd_roads_m=(np.array([[-300, 2.03], [300, 3.11]]),),
)


def image(seed: int, size: tuple[int, int] = (320, 180)) -> JpegBytes:
    """A smooth random image: JPEG keeps it well."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 8, 3), np.uint8)
    done, data = cv2.imencode(".jpg", cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
    assert done
    return JpegBytes(data.tobytes())


def view(name: str, seed: int) -> CameraView:
    intrinsics = np.array([[250, 0, 160.0], [0, 250, 90.0], [0, 0, 1]])
    mounting = transform((1, 0.1 * seed, 1.5), (1, 2, 3, seed))
    return CameraView(name, seed, (320, 180), intrinsics, mounting, image(seed))


def frame(number: int, vector_map: VectorMap | None = TOWN, lidar: bool = True) -> Frame:
    points = np.random.default_rng(number).uniform(-50, 50, (50 + number, 5)).astype(np.float32)
    return Frame(
        token=f"token-{number}",
        scene="scene-invented",
        stamp_ns=number * 500_000_000,
        views=tuple(view(name, number * 10 + k) for k, name in enumerate(CAMERAS)),
        map_from_base=transform_from_yaw(3.0 * number, 0.2, 0.01 * number),
        vector_map=None if vector_map is None else lambda: vector_map,
        lidar=(lambda: points) if lidar else None,
        conditions=("day",),
    )


class Drive:
    """Frames by index; counts how often each is read, and fails at one if told to."""

    def __init__(self, count: int, fails_at: int = -1):
        self.count, self.fails_at, self.read = count, fails_at, []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Frame:
        if index == self.fails_at:
            raise ValueError(f"frame {index} is damaged")
        self.read.append(index)
        return frame(index)
