"""Which pip extra brings a package that only some jobs need."""
from __future__ import annotations

EXTRAS = {
    "nuscenes": "nuscenes",
    "pyquaternion": "nuscenes",
    "shapefile": "nuscenes",
    "rosbags": "bag",
    "mcap": "bag",
    "lightning": "train",
    "lightning_fabric": "train",
    "tensorboard": "train",
    "transformers": "train",
    "webdataset": "train",
    "matplotlib": "train",
    "sklearn": "train",
    "onnx": "deploy",
    "onnxruntime": "deploy",
    "onnxscript": "deploy",
}
"""Top-level module -> extra of this project's pyproject.toml."""
