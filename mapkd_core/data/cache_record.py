"""One frame as a few small files, ready to be packed into a tar shard, and back.

`json` holds names, calibration, pose and counts, `lines.npy` the vertices of the local map (float32, metres),
`lidar.npz` the points (float16, compressed), and `cam_front.jpg` and so on the images at network size.
"""
from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.archive import ArchiveFault, unpacked
from mapkd_core.data.frame_sample import SampleOptions, assemble, frame_lidar, map_around, network_image, network_images
from mapkd_core.data.images import JpegBytes
from mapkd_core.data.labels import LocalMap
from mapkd_core.data.polylines import Range
from mapkd_core.data.sample import Sample
from mapkd_core.schema import (
    FileFault,
    anything,
    fit,
    flag,
    integer,
    list_of,
    numbers,
    optional,
    parse_json,
    record,
    shown,
    text,
)  # fmt: skip
from mapkd_core.types import CLASSES, IMAGE_SIZE, CameraView, Frame

FORMAT = "mapkd-cache-1"

_LAYERS = ("dividers", "crossings", "boundaries", "sd_roads")


@dataclass(frozen=True)
class CacheOptions:
    """What a cache keeps of every frame."""

    image_size: tuple[int, int] = IMAGE_SIZE
    """Width and height; training may ask for this or less."""
    reach_m: tuple[float, float] = (132.0, 42.0)
    """Half length and half width of the map kept around the vehicle: a 240 m x 60 m grid and 12 m more."""
    lidar: bool = False
    labels: bool = True
    quality: int = 90
    """JPEG quality of the images."""

    def window(self) -> Range:
        """The range of the map that is kept."""
        (x, y) = self.reach_m
        return Range((-x, x), (-y, y))


@dataclass(frozen=True, eq=False)
class CachedFrame:
    """A frame as the cache has it: small images, and the map around it instead of the whole map."""

    frame: Frame
    local_map: LocalMap | None
    parts: Mapping[str, bytes] = field(repr=False)

    def sample(self, options: SampleOptions) -> Sample:
        """What training reads. Raises ValueError if `options` ask for what the cache does not hold."""
        asked, size = options.image_size, self.frame.views[0].size
        if asked[0] > size[0] or asked[1] > size[1]:
            raise ValueError(
                f"images of {asked[0]}x{asked[1]} are asked for, the cache holds {size[0]}x{size[1]}; write it again "
                f"with --size {asked[0]}x{asked[1]}"
            )
        images = [network_image(view, asked) for view in self.frame.views]
        if options.labels and self.local_map is None:
            raise ValueError("labels are asked for, but the cache was written without; write it again with labels")
        return assemble(
            self.frame, images, self.local_map, frame_lidar(self.frame) if options.lidar else None, options
        )


def encode(frame: Frame, options: CacheOptions) -> dict[str, bytes]:
    """The frame's parts by file name ending. Raises ValueError if a part asked for is missing or not finite."""
    images = network_images(frame, options.image_size)
    local = map_around(frame, options.window()) if options.labels else None
    points = frame_lidar(frame) if options.lidar else None
    checks = SampleOptions(image_size=options.image_size, lidar=options.lidar, labels=options.labels)
    assemble(frame, images, local, points, checks)
    parts = {}
    facts: dict[str, Any] = {
        "format": FORMAT,
        "token": frame.token,
        "scene": frame.scene,
        "stamp_ns": frame.stamp_ns,
        "conditions": list(frame.conditions),
        "image_size": list(options.image_size),
        "map_from_base": None if frame.map_from_base is None else frame.map_from_base.tolist(),
        "views": [
            {
                "name": view.name,
                "stamp_ns": view.stamp_ns,
                "intrinsics": intrinsics.tolist(),
                "base_from_camera": view.base_from_camera.tolist(),
            }
            for view, (_, intrinsics) in zip(frame.views, images, strict=True)
        ],
    }
    if local is not None:
        layers = {name: getattr(local, name) for name in _LAYERS}
        facts["known"] = list(local.known)
        if local.crossings_apart:
            facts["crossings_apart"] = True
        facts["lines"] = {name: None if v is None else [len(line) for line in v] for name, v in layers.items()}
        vertices = [line for lines in layers.values() for line in lines or ()]
        parts["lines.npy"] = _npy(np.concatenate(vertices) if vertices else np.zeros((0, 2)))
    if points is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, points=points.astype(np.float16))
        parts["lidar.npz"] = buffer.getvalue()
    for view, (pixels, _) in zip(frame.views, images, strict=True):
        done, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, options.quality]
        )
        assert done
        parts[_jpeg_name(view.name)] = jpeg.tobytes()
    return {"json": json.dumps(facts, separators=(",", ":")).encode(), **parts}


_MATRIX = numbers(4, 4)
_FACTS = record(
    {
        "token": text(), "scene": text(), "stamp_ns": integer(), "conditions": list_of(text()),
        "image_size": list_of(integer(1, 8192), 2), "map_from_base": optional(_MATRIX),
        "views": list_of(
            record({"name": text(), "stamp_ns": integer(), "intrinsics": numbers(3, 3), "base_from_camera": _MATRIX}), 1
        ),
    },
    {
        "known": list_of(text(*CLASSES)),
        "crossings_apart": flag,
        "lines": record(dict.fromkeys(_LAYERS, optional(list_of(integer(0, 10**7))))),
    },
)  # fmt: skip
_REMEDY = "write the cache again"
_MOST_LIDAR_BYTES = 1 << 28
# NumPy gives a header of any form to Python's parser.
_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|=>]\w\d)', 'fortran_order': False, 'shape': \((\d{1,9}), (\d)\), \} *\n",
    re.DOTALL,
)


def decode(parts: Mapping[str, bytes], where: str = "a cache record") -> CachedFrame:
    """The inverse of `encode`; images and points are unpacked when asked for.

    Raises FileFault, which begins with `where`, if the record is of another format or damaged.
    """
    if "json" not in parts:
        raise FileFault(f"{where}: the record has no json; {_REMEDY}")
    facts = parse_json(parts["json"], where, "a record of a cache", record({}, {"format": anything}), _REMEDY)
    if facts.get("format") != FORMAT:
        raise FileFault(f"{where}: a record of format {shown(facts.get('format'))}; this version reads {FORMAT!r}")
    fit(facts, _FACTS, where, "a record of a cache", _REMEDY)
    width, height = facts["image_size"]
    absent = [view["name"] for view in facts["views"] if _jpeg_name(view["name"]) not in parts]
    if absent:
        raise FileFault(f"{where}: the record has no image of {', '.join(absent)}; {_REMEDY}")
    views = tuple(
        CameraView(
            name=view["name"],
            stamp_ns=view["stamp_ns"],
            size=(width, height),
            intrinsics=np.array(view["intrinsics"], np.float64),
            base_from_camera=np.array(view["base_from_camera"], np.float64),
            image=JpegBytes(parts[_jpeg_name(view["name"])]),
        )
        for view in facts["views"]
    )
    frame = Frame(
        token=facts["token"],
        scene=facts["scene"],
        stamp_ns=facts["stamp_ns"],
        views=views,
        map_from_base=None if facts["map_from_base"] is None else np.array(facts["map_from_base"], np.float64),
        lidar=partial(_points, parts["lidar.npz"], where) if "lidar.npz" in parts else None,
        conditions=tuple(facts["conditions"]),
    )
    return CachedFrame(frame, _local_map(facts, parts, where) if "lines" in facts else None, parts)


def _local_map(facts: dict[str, Any], parts: Mapping[str, bytes], where: str) -> LocalMap:
    vertices = _array(parts.get("lines.npy", b""), np.float32, 2, f"{where}: lines.npy").astype(np.float64)
    counts = facts["lines"]
    ends = np.cumsum([n for name in _LAYERS for n in counts[name] or ()])
    if (int(ends[-1]) if len(ends) else 0) != len(vertices) or not np.isfinite(vertices).all():
        raise FileFault(f"{where}: {len(vertices)} vertices, of which not all are finite or counted; {_REMEDY}")
    lines: Iterator[NDArray[np.float64]] = iter(np.split(vertices, ends[:-1]) if len(ends) else [])
    layers = {name: None if counts[name] is None else tuple(next(lines) for _ in counts[name]) for name in _LAYERS}
    rest = {"known": tuple(facts.get("known", CLASSES)), "crossings_apart": facts.get("crossings_apart", False)}
    return LocalMap(**layers, **rest)  # type: ignore[arg-type]


def _points(packed: bytes, where: str) -> NDArray[np.float32]:
    try:
        data = unpacked(io.BytesIO(packed), "points.npy", _MOST_LIDAR_BYTES)
    except ArchiveFault as error:
        raise FileFault(f"{where}: lidar.npz is damaged ({error}); {_REMEDY}") from error
    return _array(data, np.float16, 5, f"{where}: lidar.npz").astype(np.float32)


def _array(data: bytes, dtype: type, columns: int, what: str) -> NDArray:
    """(N, columns) of an .npy file, whose header must fit its length: NumPy takes the memory that a header asks for."""
    header = _NPY_HEADER.match(data)
    kind = np.dtype(dtype)
    if header is None:
        raise FileFault(f"{what} is damaged (it has another header than ours); {_REMEDY}")
    found, rows, cols, size = header[1].decode(), int(header[2]), int(header[3]), len(data) - header.end()
    if found != kind.str or cols != columns or rows * columns * kind.itemsize != size:
        raise FileFault(
            f"{what} is damaged ({found} ({rows}, {cols}) in {size} bytes; expected {kind} (N, {columns})); {_REMEDY}"
        )
    return np.frombuffer(data, kind, offset=header.end()).reshape(rows, columns)


def _npy(array: NDArray[np.floating]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array.astype(np.float32), allow_pickle=False)
    return buffer.getvalue()


def _jpeg_name(camera: str) -> str:
    return f"{camera.lower()}.jpg"
