#!/usr/bin/env bash
# Seen: 2026-11-29 with pyarrow 26.0.1 (25.0.1 still works), nuscenes-devkit 1.2.0, numpy 1.26.4, Python 3.11, Linux x86_64
# Expected: pip leaves no two packages side by side that cannot be imported together, or says so.
# Happens: pyarrow needs NumPy 2 from 26 on, but names no NumPy among its requirements. The nuScenes devkit holds NumPy below 2; pip
#   installs both, `pip check` finds nothing wrong, and `import pyarrow` raises ImportError.
# Matters: Argoverse 2 and rerun are read and written through pyarrow; an environment with nuScenes loses both on the day
#   it is made anew, without a changed line of its own.
# Do instead: pip install "pyarrow<26" beside the nuScenes devkit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    nuscenes-devkit==1.2.0 pyarrow==26.0.1
echo "pip check: $("$folder/venv/bin/python" -m pip check --disable-pip-version-check 2>/dev/null || true)"
env -u PYTHONPATH "$folder/venv/bin/python" - <<'END'
import sys
from importlib.metadata import requires, version

print(f"numpy {version('numpy')}, requirements of pyarrow: {requires('pyarrow')}")
try:
    import pyarrow
except ImportError as error:
    print(f"import pyarrow: {error}")
    sys.exit(not version("numpy").startswith("1."))
print(f"changed: pyarrow {pyarrow.__version__} was imported")
sys.exit(1)
END
echo "as described"
