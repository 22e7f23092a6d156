#!/usr/bin/env bash
# Seen: 2026-11-29 with ros-rosidl-typesupport-fastrtps-c 3.6.2, ros-rosidl-generator-py 0.22.2 (PyPI), Python 3.11, Linux x86_64
# Expected: After `pip install` of Jazzy's rosidl_default_generators an interface package can be configured, as with Kilted's.
# Happens: rosidl_typesupport_fastrtps_c calls find_package(ament_cmake_ros REQUIRED) and rosidl_generator_py calls
#   find_package(python_cmake_module REQUIRED), but neither wheel's metadata asks pip for it, so CMake stops. Nor do the
#   generators hold back the build tools: without an upper bound of one's own pip takes Kilted's ament_cmake.
# Matters: Own messages, such as a vector map's, cannot be built on a machine that has Jazzy from PyPI alone.
# Do instead: Install ros-ament-cmake-ros==0.12.0 and ros-python-cmake-module==0.11.1 as well, ros-ament-cmake==2.5.4 by name.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    ros-rosidl-typesupport-fastrtps-c==3.6.2 ros-rosidl-generator-py==0.22.2
"$folder/venv/bin/python" - <<'END'
import re
import sys
from importlib.metadata import requires
from pathlib import Path

wrong = False
for wheel, package in (("ros-rosidl-typesupport-fastrtps-c", "ament_cmake_ros"), ("ros-rosidl-generator-py", "python_cmake_module")):
    asked = sorted(re.split(r"[~=<>! ;]", line)[0] for line in requires(wheel) or [])
    files = Path(sys.prefix, "share", wheel.removeprefix("ros-").replace("-", "_"), "cmake").glob("*.cmake")
    used = any(re.search(rf"find_package\({package} REQUIRED\)", path.read_text()) for path in files)
    declared = "ros-" + package.replace("_", "-") in asked
    print(f"{wheel}: CMake requires {package}: {used}; pip is told: {declared}")
    wrong |= not used or declared
if wrong:
    print("changed: both packages were required by CMake and named to pip by neither wheel")
sys.exit(wrong)
END
echo "as described"
