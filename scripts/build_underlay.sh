#!/bin/sh
# Builds the message packages that have no wheel into the active virtual environment, where the other ROS 2 wheels' lie:
# tf2_msgs, and for its tests ffmpeg_image_transport_msgs.
set -eu
cd "$(dirname "$0")/.."
for folder in test/underlay/*/; do
    name=$(basename "$folder")
    rm -rf ".cache/$name"
    cmake -S "test/underlay/$name" -B ".cache/$name" -DCMAKE_INSTALL_PREFIX="$VIRTUAL_ENV" -DCMAKE_BUILD_TYPE=Release
    cmake --build ".cache/$name" --parallel 2
    cmake --install ".cache/$name"
done
