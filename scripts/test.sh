#!/usr/bin/env bash
# colcon test with pytest's own output, then colcon test-result. The environment is sourced already (scripts/env.sh).
# ROS=jazzy runs what differs with the distribution, the ROS tests alone, on the build in .cache/jazzy.
set -euo pipefail
log=.cache/test.log
build=build
bases=()
status=0
# one process a core, at most four; the tests of a file stay together
processes=$(nproc)
export PYTEST_ADDOPTS="${PYTEST_ADDOPTS:-} -n $((processes < 4 ? processes : 4)) --dist loadfile"
export ROS_PYTHON_CHECK_FIELDS=1  # a message's fields refuse values of another type, as they do not by default
if [ -n "${ROS:-}" ] && [ "$ROS" != kilted ]; then
    log=".cache/$ROS/test.log"
    build=".cache/$ROS/build"
    bases=(--build-base "$build" --install-base ".cache/$ROS/install")
    export COLCON_LOG_PATH=".cache/$ROS/log"
    PYTEST_ADDOPTS="$PYTEST_ADDOPTS --ignore=test/core --ignore-glob=*/test/test_*.py"
fi
mkdir -p "$(dirname "$log")"
# Of what ctest says around pytest only failures matter; it puts the number of the test before each line of pytest.
colcon test ${bases[@]+"${bases[@]}"} --event-handlers console_direct+ console_cohesion- --return-code-on-test-failure 2>&1 |
    tee "$log" |
    sed -u -n -E -e '/^[0-9]+: -- run_test.py: invoking/,/^[0-9]+: -- run_test.py: return code/{//d;s/^[0-9]+: //p}' \
        -e '/^[0-9]+\/[0-9]+ Test .*(Failed|Timeout|Not Run)/p' || status=$?
colcon test-result --test-result-base "$build" || status=$?
if [ "$status" -ne 0 ]; then  # last, where one looks first: which tests, each on one line
    sed -n -E 's/^[0-9]+: ((FAILED|ERROR) .{0,240}).*/\1/p' "$log" >&2
    echo "tests failed; the whole log is $log" >&2
fi
exit "$status"
