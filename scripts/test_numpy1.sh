#!/usr/bin/env bash
# The tests of what handles arrays, on NumPy 1.26. The environment is sourced already (scripts/env.sh).
# .venv-numpy1 holds that NumPy and sees all other packages in .venv.
set -euo pipefail
folder="$PWD/.venv-numpy1"
python="$folder/bin/python"
stamp="$VIRTUAL_ENV $(python --version) $(sha256sum < requirements/numpy1.txt)"
if [ "$(cat "$folder/.mapkd_setup" 2>/dev/null)" != "$stamp" ]; then
    python -m venv --without-pip --clear "$folder"
    touch "$folder/COLCON_IGNORE"
    python -m pip --python "$python" install --quiet --no-deps -r requirements/numpy1.txt
    packages='import sysconfig; print(sysconfig.get_path("purelib"))'
    python -c "$packages" > "$("$python" -c "$packages")/shared_with_venv.pth"  # behind its own packages
    echo "$stamp" > "$folder/.mapkd_setup"
fi
"$python" -c 'import numpy, sys; print("NumPy", numpy.__version__); sys.exit(not numpy.__version__.startswith("1."))'
processes=$(nproc)
exec "$python" -m pytest -n $((processes < 4 ? processes : 4)) --dist loadfile \
    test/core/{bags,data,evaluation,metrics,runtime,vectorizer} test/core/test_*.py
