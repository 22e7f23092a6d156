#!/usr/bin/env bash
# The tests of what handles arrays, on NumPy 1.26. The environment is sourced already (scripts/env.sh).
# .venv-numpy1 holds that NumPy and sees all other packages in .venv.
set -euo pipefail
scripts/side_venv.sh .venv-numpy1 requirements/numpy1.txt
python="$PWD/.venv-numpy1/bin/python"
"$python" -c 'import numpy, sys; print("NumPy", numpy.__version__); sys.exit(not numpy.__version__.startswith("1."))'
processes=$(nproc)
exec "$python" -m pytest -n $((processes < 4 ? processes : 4)) --dist loadfile \
    test/core/{bags,data,evaluation,map_files,metrics,runtime,vectorizer} test/core/test_*.py
