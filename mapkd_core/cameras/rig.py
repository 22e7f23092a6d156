"""A vehicle's cameras: the topics they come on, and what completes or overrides what their drivers say."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.calibration import CalibrationError, CameraModel, is_rectified_topic, undistorted_mask
from mapkd_core.cameras.topics import image_topic, info_topic

RECTIFIED = ("auto", "true", "false")
FRONT = "CAM_FRONT"
TOPIC = re.compile(r"(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
"""Names of topics that ROS 2 takes: absolute, relative, or below the node's own name."""


@dataclass(frozen=True, eq=False)
class RigCamera:
    """One camera: where its images come from, and what overrides or completes what its driver says."""

    name: str
    image: str
    """Topic of its images."""
    camera_info: str
    """Topic of its calibration; empty where `model` holds it."""
    image_transport: str = "compressed"
    """One of RECEIVED_TRANSPORTS."""
    rectified: str = "auto"
    """One of RECTIFIED; auto goes by the image topic's name."""
    frame: str = ""
    """Frame of its optics, in place of the images' own."""
    model: CameraModel | None = None
    base_from_camera: NDArray[np.float64] | None = None
    """(4, 4) of the optical frame, in place of transforms."""
    mask: NDArray[np.bool_] | tuple[NDArray[np.int32], ...] | None = None
    """(H, W), False where the camera sees its own vehicle, or outlines (P, 2) of that in pixels."""

    def is_rectified(self, topic: str) -> bool:
        """True for images whose lens distortion was undone before they were sent; `topic` is theirs, as remapped."""
        return is_rectified_topic(topic) if self.rectified == "auto" else self.rectified == "true"

    def visible(self, model: CameraModel) -> NDArray[np.bool_] | None:
        """(H, W) of the undistorted image, False where the camera sees its own vehicle; None where it does not.

        Raises CalibrationError for a mask that cannot be of images of the model's size.
        """
        if self.mask is None:
            return None
        width, height = model.size
        if isinstance(self.mask, tuple):
            for outline in self.mask:
                low, high = outline.min(0), outline.max(0)
                if (high < 0).any() or (low >= (width, height)).any():
                    raise CalibrationError(
                        f"the mask's outline {outline.tolist()} lies outside of images of {width}x{height}; "
                        "expected pixels of an image as the camera sends it"
                    )
            drawn = np.ones((height, width), np.uint8)
            cv2.fillPoly(drawn, self.mask, 0)
        else:
            if self.mask.shape[1] * height != self.mask.shape[0] * width:
                raise CalibrationError(
                    f"the mask has {self.mask.shape[1]}x{self.mask.shape[0]} pixels, images have {width}x{height}; "
                    "draw it on an image as the camera sends it"
                )
            drawn = cv2.resize(self.mask.astype(np.uint8), model.size, interpolation=cv2.INTER_NEAREST)
        seen = np.asarray(drawn, bool)
        return undistorted_mask(seen, model, {}) if model.distortion_model else seen


@dataclass(frozen=True, eq=False)
class CameraRig:
    """A vehicle's cameras, in the order of the file."""

    cameras: tuple[RigCamera, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(camera.name for camera in self.cameras)


def regular_rig(names: Sequence[str], transport: str = "compressed", rectified: str = "auto") -> CameraRig:
    """Cameras without a file: NAME comes on camera/name/image_raw (with its transport) and camera/name/camera_info.

    Raises ValueError for names that make no rig.
    """
    check_names(names)
    cameras = []
    for name in names:
        image = image_topic(name, transport)
        if not TOPIC.fullmatch(image):
            raise ValueError(
                f"camera {name!r} would be read from {image}, which is no name of a ROS topic; expected a name of "
                "letters, digits and _, or a rig file that gives the topics of each camera"
            )
        cameras.append(RigCamera(name, image, info_topic(name), transport, rectified))
    return CameraRig(tuple(cameras))


def check_names(names: Sequence[object]) -> None:
    """Raises ValueError for names of cameras that are no words, or are there twice."""
    for name in names:
        if not isinstance(name, str) or not name or any(letter.isspace() for letter in name):
            raise ValueError(f"camera name {name!r}; expected a word (in quotes where YAML reads it otherwise)")
    twice = [name for name in names if list(names).count(name) > 1]
    if twice:
        raise ValueError(f"a camera is named twice: {twice[0]}")


def anchor_of(given: str, rig: CameraRig) -> str:
    """The camera whose stamp maps get: the one that is given, else CAM_FRONT, else the first. Raises ValueError."""
    if given and given not in rig.names:
        raise ValueError(f"anchor is {given!r}; expected one of the cameras {', '.join(rig.names)}")
    return given or (FRONT if FRONT in rig.names else rig.names[0])
