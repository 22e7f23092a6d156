#!/usr/bin/env bash
# colcon build, in one line of output unless it fails. The environment is sourced already (scripts/env.sh).
set -euo pipefail
mkdir -p .cache
began=$SECONDS
if ! colcon build --symlink-install >.cache/build.log 2>&1; then
    tail -n 60 .cache/build.log >&2
    echo "colcon build failed; the whole log is .cache/build.log. After a change of tools, 'make clean' may help." >&2
    exit 1
fi
printf '  %-48s%4d s\n' "colcon build" $((SECONDS - began))
