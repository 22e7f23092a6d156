#!/usr/bin/env bash
# ROS 2 Jazzy from PyPI: the wheels that generate messages use CMake packages which their metadata does not name.
#
# `pip install` of Jazzy's rosidl_default_generators succeeds, and then no interface package can be configured:
# rosidl_typesupport_fastrtps_c 3.6.2 calls find_package(ament_cmake_ros REQUIRED) and rosidl_generator_py 0.22.2 calls
# find_package(python_cmake_module REQUIRED), but neither asks pip for it. With Kilted's wheels the same works. Nor do the
# generators hold back the build tools: without an upper bound of one's own pip takes Kilted's ament_cmake.
# Remedy: install ros-ament-cmake-ros==0.12.0 and ros-python-cmake-module==0.11.1 as well, ros-ament-cmake==2.5.4 by name.
# Seen with these versions on Linux x86_64, Python 3.11. Fails if the packages have begun to ask for what they use.
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
sys.exit(wrong)
END
echo "as described"
