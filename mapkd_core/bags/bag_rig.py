"""Which topics of a bag are a vehicle's cameras: guessed from names and types where no rig file says it."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

from mapkd_core.bags.reader import BagTopic
from mapkd_core.cameras.rig import CameraRig, RigCamera
from mapkd_core.cameras.topics import CAMERA_INFO, RECEIVED_TRANSPORTS, camera_of, image_type, info_beside
from mapkd_core.schema import FileFault
from mapkd_core.types import CAMERAS

_TRANSPORTS = {image_type(transport): transport for transport in RECEIVED_TRANSPORTS}
"""Message type of images -> transport, best first."""
_NO_COLORS = ("depth", "infra", "thermal", "disparity", "semantic", "mask")
"""Words in names of topics whose images show no colours."""


def guessed_rig(topics: Sequence[BagTopic], note: Callable[[str], object]) -> CameraRig:
    """The cameras of a bag: image topics with a camera_info beside them, as image_transport's drivers publish them.

    Of several image topics of one camera the compressed one is taken, then one that is not rectified. `note` is told
    of what is left out. Raises FileFault for a bag without cameras, which names the image topics that it has.
    """
    held = [topic for topic in topics if topic.count and topic.encoding == "cdr"]
    infos = {topic.name for topic in held if topic.msg_type == CAMERA_INFO}
    images = [topic for topic in held if topic.msg_type in _TRANSPORTS]
    of_camera: dict[str, list[BagTopic]] = {}
    for topic in images:
        info = info_beside(topic.name, _TRANSPORTS[topic.msg_type])
        if info in infos and not _colorless(topic.name):
            of_camera.setdefault(info, []).append(topic)
    if not of_camera:
        found = ", ".join(topic.name for topic in images) or "none"
        raise FileFault(
            f"no camera found: expected image topics with a camera_info beside each; image topics here: {found}. "
            "Give a rig file that names them: --rig FILE (see config/rig.example.yaml)"
        )
    chosen = {info: min(group, key=_preference) for info, group in of_camera.items()}
    left = [topic.name for topic in images if topic not in chosen.values()]
    if left:
        note(f"images of {', '.join(left)} are not used; a rig file (--rig) can choose others")
    names = _names(list(chosen))
    cameras = [
        RigCamera(names[info], topic.name, info, _TRANSPORTS[topic.msg_type]) for info, topic in chosen.items()
    ]
    return CameraRig(tuple(sorted(cameras, key=lambda camera: (_place(camera.name), camera.name))))


def _colorless(name: str) -> bool:
    return any(word in part for part in name.lower().split("/") for word in _NO_COLORS)


def _preference(topic: BagTopic) -> tuple[int, bool, str]:
    return list(_TRANSPORTS).index(topic.msg_type), "rect" in topic.name, topic.name


def _names(infos: Sequence[str]) -> dict[str, str]:
    """A name for each camera: nuScenes' where all have one, else what tells the topics apart."""
    regular = {info: camera_of(info) for info in infos}
    if set(regular.values()) <= set(CAMERAS) and len(set(regular.values())) == len(infos):
        return regular
    parts = {info: info.strip("/").split("/")[:-1] for info in infos}
    if len(infos) == 1:
        return {info: (words or ["camera"])[-1] for info, words in parts.items()}
    before = _shared(list(parts.values()))
    after = _shared([words[before:][::-1] for words in parts.values()])
    short = {info: "_".join(words[before : len(words) - after]) for info, words in parts.items()}
    if all(short.values()) and len(set(short.values())) == len(infos):
        return short
    return {info: "_".join(words) or "camera" for info, words in parts.items()}


def _shared(lists: list[list[str]]) -> int:
    """How many first words all have in common."""
    return len(list(takewhile(lambda words: len(set(words)) == 1, zip(*lists, strict=False))))


def _place(name: str) -> int:
    return CAMERAS.index(name) if name in CAMERAS else len(CAMERAS)
