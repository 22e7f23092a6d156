#!/usr/bin/env bash
# side_venv.sh NAME REQUIREMENTS: an environment in folder NAME that holds these packages and sees all others in .venv.
# The environment is sourced already (scripts/env.sh). What is there from an earlier call is used again.
set -euo pipefail
folder="$PWD/$1"
python="$folder/bin/python"
stamp="$VIRTUAL_ENV $(python --version) $(sha256sum < "$2")"
if [ "$(cat "$folder/.mapkd_setup" 2>/dev/null)" != "$stamp" ]; then
    python -m venv --without-pip --clear "$folder"
    touch "$folder/COLCON_IGNORE"
    python -m pip --python "$python" install --quiet --no-deps -r "$2"
    packages='import sysconfig; print(sysconfig.get_path("purelib"))'
    python -c "$packages" > "$("$python" -c "$packages")/shared_with_venv.pth"  # behind its own packages
    echo "$stamp" > "$folder/.mapkd_setup"
fi
