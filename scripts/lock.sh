#!/bin/sh
# Rewrites requirements/constraints.txt: one exact version of everything, for Python 3.10 to 3.12 on Linux (x86_64: the ROS 2 wheels exist only there).
# Needs uv (https://docs.astral.sh/uv); versions already there are kept, `scripts/lock.sh --upgrade` takes the newest.
set -eu
cd "$(dirname "$0")/../requirements"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/pyproject.toml" <<'END'
[project]
name = "lock"
version = "0"
requires-python = ">=3.10,<3.13"
[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.13'"]
END
cat core.txt nuscenes.txt ros-wheels.txt dev.txt docs.txt | grep -v '^-c' > "$folder/wanted.in"
if [ -f constraints.txt ]; then cp constraints.txt "$folder/locked.txt"; fi
(cd "$folder" && uv pip compile --universal --python-version 3.10 --no-annotate --no-header --quiet "$@" wanted.in -o locked.txt)
# torch pins its own CUDA packages; a build without CUDA must not be made to bring them
{
    echo "# Exact versions for Python 3.10 to 3.12 on Linux, written by scripts/lock.sh."
    grep -v -E '^(#|nvidia-|cuda-|triton)' "$folder/locked.txt" |
        sed -e "s/python_full_version < '3.13' and //" -e "s/ and platform_machine == 'x86_64' and sys_platform == 'linux'//" \
            -e "s/ ; platform_machine == 'x86_64' and sys_platform == 'linux'//"
} > constraints.txt
