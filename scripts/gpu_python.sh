# Sourced by the GPU scripts from the project's root: `python`, an interpreter that has what they need; ends with the
# names of the packages that are missing. A GPU machine often brings its own Python, with a PyTorch that fits its driver.
if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ]; then PYTHON="$PWD/.venv/bin/python"; fi
python="$(command -v "${PYTHON:-python3}")" || { echo "no Python ${PYTHON:-python3}; name one: PYTHON=/path/to/python3" >&2; exit 2; }
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
"$python" - <<'END' || exit 2
import importlib.util, sys

NEEDED = {
    "torch": "torch", "numpy": "numpy", "scipy": "scipy", "shapely": "shapely", "cv2": "opencv-python-headless",
    "yaml": "pyyaml", "tqdm": "tqdm", "psutil": "psutil", "jsonargparse": "jsonargparse[signatures]",
    "simplejpeg": "simplejpeg", "PIL": "pillow", "safetensors": "safetensors", "numba": "numba",
    "lightning_fabric": "lightning-fabric", "tensorboard": "tensorboard", "transformers": "transformers",
    "webdataset": "webdataset", "jinja2": "jinja2",
}
HELPS = {"onnxruntime": "onnxruntime-gpu", "onnx": "onnx", "onnxscript": "onnxscript", "tensorrt": "tensorrt"}
missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
if missing:
    sys.exit(f"{sys.executable} lacks: {' '.join(missing)}\n  {sys.executable} -m pip install {' '.join(missing)}")
without = [package for module, package in HELPS.items() if importlib.util.find_spec(module) is None]
if without:
    print(f"without {' '.join(without)} the rows that need them stay empty", file=sys.stderr)
END
