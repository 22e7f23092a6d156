#!/bin/sh
# Builds tf2_msgs into the active virtual environment, where the other ROS 2 wheels' messages lie.
set -eu
cd "$(dirname "$0")/.."
rm -rf .cache/tf2_msgs
cmake -S test/underlay/tf2_msgs -B .cache/tf2_msgs -DCMAKE_INSTALL_PREFIX="$VIRTUAL_ENV" -DCMAKE_BUILD_TYPE=Release
cmake --build .cache/tf2_msgs --parallel 2
cmake --install .cache/tf2_msgs
