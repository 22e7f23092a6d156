"""The topics of a camera: how node, player, recorder, bags and launch name and type them, here and nowhere else."""
from __future__ import annotations

IMAGE_TRANSPORTS = ("compressed", "raw")
"""How images are sent and recorded, by image_transport's words: as the file's own bytes, or as decoded pixels."""
RECEIVED_TRANSPORTS = (*IMAGE_TRANSPORTS, "ffmpeg")
"""What the node takes: also ffmpeg_image_transport's packets of H.264 or HEVC."""
FORMER_TRANSPORTS = {"jpeg": "compressed"}
"""Words of an older version -> today's."""

COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
IMAGE = "sensor_msgs/msg/Image"
FFMPEG_PACKET = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

_FOLDER = "camera"


def optical_frame(camera: str) -> str:
    """Name of a camera's optical frame: `CAM_FRONT` -> `cam_front`."""
    return camera.lower()


def image_topic(camera: str, image_transport: str) -> str:
    """Topic of a camera's images, without a namespace: `camera/cam_front/image_raw/compressed`."""
    raw = f"{_FOLDER}/{optical_frame(camera)}/image_raw"
    return raw if image_transport == "raw" else f"{raw}/{image_transport}"


def info_topic(camera: str) -> str:
    """Topic of a camera's calibration, without a namespace: `camera/cam_front/camera_info`."""
    return f"{_FOLDER}/{optical_frame(camera)}/camera_info"


def image_type(image_transport: str) -> str:
    """Message type of the images of a transport, one of RECEIVED_TRANSPORTS."""
    return {"raw": IMAGE, "ffmpeg": FFMPEG_PACKET}.get(image_transport, COMPRESSED_IMAGE)


def camera_of(topic: str) -> str:
    """The camera whose topic this is, in whatever namespace; empty for a topic of anything else."""
    _, folder, rest = f"/{topic}".rpartition(f"/{_FOLDER}/")
    return rest.split("/")[0].upper() if folder else ""


def info_beside(image: str, transport: str) -> str:
    """Where image_transport's cameras publish their calibration: camera_info beside the raw images."""
    folder, slash, _ = image.removesuffix(f"/{transport}").rpartition("/")
    return f"{folder}{slash}camera_info"
