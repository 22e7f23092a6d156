#!/usr/bin/env bash
# colcon build, in one line of output unless it fails. The environment is sourced already (scripts/env.sh).
# ROS=jazzy builds beside the default, in .cache/jazzy.
set -euo pipefail
log=.cache/build.log
bases=()
what="colcon build"
if [ -n "${ROS:-}" ] && [ "$ROS" != kilted ]; then
    log=".cache/$ROS/build.log"
    bases=(--build-base ".cache/$ROS/build" --install-base ".cache/$ROS/install")
    what="colcon build ($ROS)"
    export COLCON_LOG_PATH=".cache/$ROS/log"
fi
mkdir -p "$(dirname "$log")"
began=$SECONDS
if ! colcon build --symlink-install ${bases[@]+"${bases[@]}"} >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "colcon build failed; the whole log is $log. After a change of tools, 'make clean' may help." >&2
    exit 1
fi
printf '  %-48s%4d s\n' "$what" $((SECONDS - began))
