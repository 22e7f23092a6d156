"""The rig file: a vehicle's cameras, the topics they come on, and what their drivers do not tell.

    rig = load_rig("rig.yaml")
    rig.cameras[0].image                  # the topic

config/rig.example.yaml explains every key.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.cameras.calibration import CalibrationError, CameraModel, checked_distortion
from mapkd_core.cameras.rig import RECTIFIED, TOPIC, CameraRig, RigCamera, check_names
from mapkd_core.cameras.topics import RECEIVED_TRANSPORTS, info_beside
from mapkd_core.data.image_codec import decode
from mapkd_core.files import inside
from mapkd_core.geometry import transform
from mapkd_core.schema import LARGEST
from mapkd_core.suggestion import did_you_mean
from mapkd_core.yaml_file import read_yaml

_SHARED_KEYS = ("image", "camera_info", "image_transport", "rectified")
_CAMERA_KEYS = (*_SHARED_KEYS, "frame", "calibration", "base_from_camera", "mask")
MOST_PIXELS = 1 << 16
"""No image is wider or higher, nor does an outline lie further away."""
_AHEAD_FROM_OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""Columns: an optical frame's x right, y down, z ahead in a frame that is x ahead, y left, z up."""


def load_rig(path: str | Path) -> CameraRig:
    """The rig in a YAML file. Raises ValueError, in one line that names file, key, value and remedy."""
    place = Path(path).expanduser()
    try:
        values = read_yaml(place, "a rig file", "config/rig.example.yaml explains every key")
    except (OSError, ValueError) as error:
        raise ValueError(f"rig {error}") from error
    try:
        return _rig(values, place.parent)
    except ValueError as error:
        raise ValueError(f"rig {place}: {error}") from error


def _rig(values: Any, folder: Path) -> CameraRig:
    if not isinstance(values, Mapping):
        raise ValueError("expected `cameras:` with a name for each camera")
    _check_keys(values, (*_SHARED_KEYS, "cameras"), "")
    named = values.get("cameras")
    if isinstance(named, list):
        check_names(named)
        named = dict.fromkeys(named)
    if not isinstance(named, Mapping) or not named:
        raise ValueError(f"cameras is {named!r}; expected a name for each camera, with its keys below it")
    check_names(list(named))
    shared = {key: values[key] for key in _SHARED_KEYS if key in values}
    cameras = tuple(_camera(name, given, shared, folder) for name, given in named.items())
    topics: dict[str, str] = {}
    for camera in cameras:
        if camera.image in topics:
            raise ValueError(
                f"cameras {topics[camera.image]} and {camera.name} both read {camera.image}; "
                "expected a topic for each, or a pattern with {name}"
            )
        topics[camera.image] = camera.name
    return CameraRig(cameras)


def _camera(name: str, given: Any, shared: Mapping[str, Any], folder: Path) -> RigCamera:
    at = f"cameras.{name}"
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"{at} is {given!r}; expected keys such as `image:` below it, or nothing")
    _check_keys(given or {}, _CAMERA_KEYS, f"{at}.")
    values = {**shared, **(given or {})}
    image = _topic(values, "image", at, name)
    if not image:
        raise ValueError(f"{at} has no image topic; give it one, or a pattern `image: /camera/{{name}}/image_raw`")
    transport = values.get("image_transport", _transport_of(image))
    if transport not in RECEIVED_TRANSPORTS:
        raise ValueError(f"{at}.image_transport is {transport!r}; expected {' or '.join(RECEIVED_TRANSPORTS)}")
    rectified = str(values.get("rectified", "auto")).lower()
    if rectified not in RECTIFIED:
        raise ValueError(f"{at}.rectified is {values['rectified']!r}; expected {' or '.join(RECTIFIED)}")
    frame = values.get("frame", "")
    if not isinstance(frame, str) or any(letter.isspace() for letter in frame):
        raise ValueError(f"{at}.frame is {frame!r}; expected the name of the camera's optical frame")
    model = _model(values["calibration"], f"{at}.calibration") if "calibration" in values else None
    if model is not None and "rectified" in (given or {}):
        raise ValueError(
            f"{at} has rectified and calibration; the calibration alone tells: without D, images are undistorted"
        )
    camera_info = "" if model else _topic(values, "camera_info", at, name) or info_beside(image, transport)
    mounting = _mounting(values["base_from_camera"], f"{at}.base_from_camera") if "base_from_camera" in values else None
    mask = _mask(values["mask"], f"{at}.mask", folder) if "mask" in values else None
    camera = RigCamera(name, image, camera_info, transport, rectified, frame, model, mounting, mask)
    if model is not None:
        try:
            camera.visible(model)
        except CalibrationError as error:
            raise ValueError(f"{at}: {error}") from error
    return camera


def _transport_of(topic: str) -> str:
    last = topic.rsplit("/", 1)[-1]
    return last if last in RECEIVED_TRANSPORTS else "raw"


def _topic(values: Mapping[str, Any], key: str, at: str, name: str) -> str:
    topic = values.get(key, "")
    if not isinstance(topic, str):
        raise ValueError(f"{at}.{key} is {topic!r}; expected the name of a topic")
    filled = topic.replace("{name}", name)
    if filled and not TOPIC.fullmatch(filled):
        raise ValueError(f"{at}.{key} is {filled!r}; expected the name of a topic such as /front/image_raw/compressed")
    return filled


def _model(given: Any, at: str) -> CameraModel:
    if not isinstance(given, Mapping):
        raise ValueError(f"{at} is {given!r}; expected size, K and, where there is distortion, D and distortion_model")
    _check_keys(given, ("size", "K", "D", "distortion_model"), f"{at}.")
    size = _numbers(given.get("size"), (2,), f"{at}.size", "width and height in pixels")
    if (size < 1).any() or (size % 1).any():
        raise ValueError(f"{at}.size is {given['size']!r}; expected width and height in pixels")
    k = _numbers(given.get("K"), (4, 9), f"{at}.K", "fx, fy, cx, cy, or the nine of the matrix, row by row")
    matrix = np.array([[k[0], 0, k[2]], [0, k[1], k[3]], [0, 0, 1]]) if len(k) == 4 else k.reshape(3, 3)
    if matrix[0, 0] <= 0 or matrix[1, 1] <= 0 or matrix[2].tolist() != [0, 0, 1]:
        raise ValueError(f"{at}.K is {given['K']!r}; expected fx 0 cx 0 fy cy 0 0 1 with positive focal lengths")
    d = _numbers(given.get("D", []), None, f"{at}.D", "distortion coefficients")
    try:
        model, kept = checked_distortion(str(given.get("distortion_model", "plumb_bob")), d.tolist())
    except CalibrationError as error:
        raise ValueError(f"{at}: {error}") from error
    return CameraModel((int(size[0]), int(size[1])), matrix, model, kept)


def _mounting(given: Any, at: str) -> NDArray[np.float64]:
    ways = "xyz [m] and yaw_pitch_roll_deg, or xyz and quaternion_xyzw of the optical frame"
    if not isinstance(given, Mapping):
        raise ValueError(f"{at} is {given!r}; expected {ways}")
    _check_keys(given, ("xyz", "yaw_pitch_roll_deg", "quaternion_xyzw"), f"{at}.")
    if ("yaw_pitch_roll_deg" in given) == ("quaternion_xyzw" in given):
        raise ValueError(f"{at} has {', '.join(given)}; expected {ways}")
    xyz = _numbers(given.get("xyz"), (3,), f"{at}.xyz", "metres ahead, left and up in the vehicle's frame")
    if "quaternion_xyzw" in given:
        x, y, z, w = _numbers(given["quaternion_xyzw"], (4,), f"{at}.quaternion_xyzw", "x, y, z, w")
        try:
            return transform(xyz, (w, x, y, z))
        except ValueError as error:
            raise ValueError(f"{at}.{error}") from error
    meaning = "degrees left, down, and clockwise"
    angles = _numbers(given["yaw_pitch_roll_deg"], (3,), f"{at}.yaw_pitch_roll_deg", meaning)
    pose = np.eye(4)
    from scipy.spatial.transform import Rotation  # here, because it takes a third of a second

    turned = Rotation.from_euler("ZYX", angles, degrees=True)  # a body's: about x first, then y, then z (REP 103)
    pose[:3, :3] = turned.as_matrix() @ _AHEAD_FROM_OPTICAL
    pose[:3, 3] = xyz
    return pose


def _mask(given: Any, at: str, folder: Path) -> NDArray[np.bool_] | tuple[NDArray[np.int32], ...]:
    if isinstance(given, str):
        place = inside(folder, given, at)
        try:
            gray = decode(place.read_bytes()).max(2)
        except OSError as error:
            raise ValueError(f"{at}: {place} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{at}: {place}: {error}; expected a PNG, black where the own vehicle is seen") from error
        if not gray.any():
            raise ValueError(f"{at}: {place} is black all over; expected black only where the own vehicle is seen")
        return np.asarray(gray > 127, bool)
    outlines = given if isinstance(given, list) and given and isinstance(given[0], list) else None
    if outlines and outlines[0] and not isinstance(outlines[0][0], list):
        outlines = [outlines]
    if not outlines:
        raise ValueError(f"{at} is {given!r}; expected the path of a PNG, or outlines [[x, y], [x, y], [x, y], ...]")
    polygons = []
    for outline in outlines:
        if not isinstance(outline, list) or len(outline) < 3:
            raise ValueError(f"{at} has the outline {outline!r}; expected at least 3 points [x, y]")
        points = [_numbers(point, (2,), at, "points [x, y] in pixels") for point in outline]
        if np.abs(points).max() > MOST_PIXELS:
            raise ValueError(f"{at} has the outline {outline!r}; expected points [x, y] in pixels")
        polygons.append(np.rint(points).astype(np.int32))
    return tuple(polygons)


def _numbers(given: Any, lengths: tuple[int, ...] | None, at: str, meaning: str) -> NDArray[np.float64]:
    sound = isinstance(given, list) and all(isinstance(n, int | float) and not isinstance(n, bool) for n in given)
    if not sound or (lengths and len(given) not in lengths) or not (np.abs(given) < LARGEST).all():
        count = f"{' or '.join(map(str, lengths))} numbers: " if lengths else "numbers: "
        raise ValueError(f"{at} is {given!r}; expected {count}{meaning}")
    return np.asarray(given, np.float64)


def _check_keys(given: Mapping[Any, Any], known: Sequence[str], at: str) -> None:
    for key in given:
        if key not in known:
            hint = did_you_mean(str(key), known, "; ") or f"; there are: {', '.join(known)}"
            raise ValueError(f"unknown key {at}{key}{hint}")
