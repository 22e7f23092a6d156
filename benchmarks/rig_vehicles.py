"""Simulated vehicles of many kinds for benchmarks/rigs.py: how many cameras, which lenses, what their drivers send.

Legend: F frames, H W pixels.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import transform
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.render.own_body import OwnBody, Part

OPTICAL = transform((0, 0, 0), (0.5, -0.5, 0.5, -0.5))
"""Optical frame (x right, y down, z ahead) in one that is x ahead, y left, z up."""
SIZE = (512, 288)
DISTORTION = {
    "plumb_bob": (-0.28, 0.07, 0.0005, -0.0004, 0.0),
    "rational_polynomial": (0.35, 0.02, 0.0003, -0.0002, 0.001, 0.72, 0.11, 0.004),
    "equidistant": (0.03, -0.008, 0.002, -0.0005),
}


@dataclass(frozen=True)
class Camera:
    """One camera: where it sits, its lens, and how its driver sends images and calibration."""

    name: str
    yaw_deg: float
    xyz_m: tuple[float, float, float] = (0.8, 0.0, 1.6)
    focal: float = 0.8
    """As a share of the image's width."""
    size: tuple[int, int] = SIZE
    lens: str = ""
    """Key of DISTORTION, or empty for none."""
    rectified: bool = False
    """Sends rectified images beside the raw images' camera_info."""
    encoding: str = "jpeg"
    """jpeg, png, a raw encoding, `bayer_rggb8 jpeg`, libx264 or libx265."""
    silent: bool = False

    @property
    def transport(self) -> str:
        """The image_transport that it is sent by."""
        if self.encoding.startswith("lib"):
            return "ffmpeg"
        return "compressed" if self.encoding.endswith(("jpeg", "png")) else "raw"

    @property
    def topic(self) -> str:
        """Of its images."""
        base = f"/sensing/camera/{self.name}/image_{'rect' if self.rectified else 'raw'}"
        return base if self.transport == "raw" else f"{base}/{self.transport}"

    @property
    def k(self) -> NDArray[np.float64]:
        """(3, 3)."""
        width, height = self.size
        f = self.focal * width
        return np.array([[f, 0, width / 2 - 0.5], [0, f, height / 2 - 0.5], [0, 0, 1]])

    @property
    def p(self) -> NDArray[np.float64]:
        """(3, 3) of its rectified images, a little wider than the raw ones."""
        k = self.k.copy()
        k[:2, :2] *= 0.9
        return k

    @property
    def r(self) -> NDArray[np.float64]:
        """(3, 3) `rectified_from_camera`: two degrees about the vertical."""
        a = np.radians(2.0)
        return np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])

    @property
    def base_from_camera(self) -> NDArray[np.float64]:
        """(4, 4) of the optical frame, as on TF."""
        half = np.radians(self.yaw_deg) / 2
        return transform(self.xyz_m, (np.cos(half), 0, 0, np.sin(half))) @ OPTICAL

    def images(self, drive: SimDrive) -> Iterator[NDArray[np.uint8]]:
        """(H, W, 3) of each frame of the drive, all cameras at the frame's own moment."""
        k, mounting = self.k, self.base_from_camera
        if self.rectified:
            turned = np.eye(4)
            turned[:3, :3] = self.r.T
            k, mounting = self.p, mounting @ turned
        elif self.lens:
            yield from self._through_lens(drive)
            return
        for index in range(len(drive)):
            yield pinhole(drive, index, k, self.size, mounting)

    def _through_lens(self, drive: SimDrive) -> Iterator[NDArray[np.uint8]]:
        """Bends a larger pinhole image as the lens would."""
        width, height = self.size
        d = np.array(DISTORTION[self.lens])
        library = cv2.fisheye if self.lens == "equidistant" else cv2
        cells = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64).reshape(-1, 1, 2)
        rays = library.undistortPoints(cells, self.k, d).reshape(height, width, 2)
        reach = np.abs(rays).max((0, 1)) * 1.02
        wide = 2 * width, 2 * height
        k = np.array([[wide[0] / 2 / reach[0], 0, wide[0] / 2], [0, wide[1] / 2 / reach[1], wide[1] / 2], [0, 0, 1]])
        table = (rays * (k[0, 0], k[1, 1]) + k[:2, 2]).astype(np.float32)
        for index in range(len(drive)):
            image = pinhole(drive, index, k, wide, self.base_from_camera)
            yield np.asarray(cv2.remap(image, table[..., 0], table[..., 1], cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True)
class Vehicle:
    """A rig of the table."""

    name: str
    cameras: tuple[Camera, ...]
    latched: bool = False
    """camera_info comes once, transient local."""
    note: str = ""
    own_body: OwnBody | None = None
    masked: bool = False
    """The rig file has masks of the own body."""

    def mask(self, camera: Camera) -> NDArray[np.uint8]:
        """(H, W), black where the camera sees the own body."""
        assert self.own_body is not None
        visible = self.own_body.visible(camera.k[None], camera.base_from_camera[None], camera.size)[0]
        return np.where(visible, 255, 0).astype(np.uint8)


def pinhole(
    drive: SimDrive, index: int, k: NDArray[np.float64], size: tuple[int, int], mounting: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """(H, W, 3) of one frame."""
    time_s = drive.time_s(index)
    pose = drive.motion.pose(time_s)
    return drive.renderer.images(k[None], size, (pose @ mounting)[None], [time_s], map_from_base=pose[None])[0]


def around(count: int, focal: float, **settings: object) -> tuple[Camera, ...]:
    """Cameras spread evenly, the first ahead."""
    cameras = []
    for place in range(count):
        yaw = (360.0 * place / count + 180) % 360 - 180
        at = 0.8 * np.cos(np.radians(yaw)) + 0.8, 0.5 * np.sin(np.radians(yaw)), 1.6
        cameras.append(Camera(f"cam{place}", yaw, at, focal, **settings))  # type: ignore[arg-type]
    return tuple(cameras)


def with_each(cameras: Sequence[Camera], **changes: object) -> tuple[Camera, ...]:
    """The same cameras with something else."""
    return tuple(replace(camera, **changes) for camera in cameras)  # type: ignore[arg-type]


SIX = around(6, 0.78)
FOUR = tuple(
    replace(camera, name=name) for camera, name in zip(around(4, 0.47), ("front", "left", "rear", "right"), strict=True)
)
MIXED = tuple(
    replace(camera, size=size)
    for camera, size in zip(SIX, [(960, 540), SIZE, (320, 180), (640, 480), SIZE, (400, 300)], strict=True)
)
BODY = OwnBody((Part((2.7, 0.0, 0.85), (1.1, 0.9, 0.35)), Part((-0.9, 0.0, 1.0), (0.5, 0.85, 0.35))))
"""An off-roader's bonnet, and the lid over its spare wheel."""
RAW = ("rgb8", "bgra8", "mono8", "rgb16", "bayer_rggb8", "bayer_gbrg8", "yuv422", "yuv422_yuy2", "nv12", "nv21")
COMPRESSED = ("png", "bayer_rggb8 jpeg", "libx264", "libx265")
VEHICLES = (
    Vehicle("six", SIX, note="the rig that the others are compared with"),
    Vehicle("one", around(1, 0.47)),
    Vehicle("four", FOUR),
    Vehicle("five of six", (*SIX[:3], replace(SIX[3], silent=True), *SIX[4:]), note="the camera behind never sends"),
    Vehicle("eight", around(8, 0.9)),
    Vehicle("mixed sizes", MIXED, note="960x540 to 320x180, two of them 4:3"),
    Vehicle("latched", SIX, latched=True, note="camera_info once, transient local"),
    Vehicle("plumb_bob", with_each(SIX, lens="plumb_bob")),
    Vehicle("rational_polynomial", with_each(SIX, lens="rational_polynomial")),
    Vehicle("fisheye", with_each(FOUR, lens="equidistant", focal=0.42), note="four cameras, equidistant"),
    Vehicle("rectified", with_each(SIX, lens="plumb_bob", rectified=True), note="image_rect, raw camera_info"),
    Vehicle("own body", SIX, note="the cameras see bonnet and boot lid", own_body=BODY),
    Vehicle("own body, masked", SIX, note="and the rig file has masks of them", own_body=BODY, masked=True),
    *(Vehicle(name, with_each(SIX, encoding=name)) for name in (*RAW, *COMPRESSED)),
)
