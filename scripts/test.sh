#!/usr/bin/env bash
# colcon test with pytest's own output, then colcon test-result. The environment is sourced already (scripts/env.sh).
set -euo pipefail
mkdir -p .cache
status=0
# one process a core, at most four; the tests of a file stay together
processes=$(nproc)
export PYTEST_ADDOPTS="${PYTEST_ADDOPTS:-} -n $((processes < 4 ? processes : 4)) --dist loadfile"
# Of what ctest says around pytest only failures matter; it puts the number of the test before each line of pytest.
colcon test --event-handlers console_direct+ console_cohesion- --return-code-on-test-failure 2>&1 |
    tee .cache/test.log |
    sed -u -n -E -e '/^[0-9]+: -- run_test.py: invoking/,/^[0-9]+: -- run_test.py: return code/{//d;s/^[0-9]+: //p}' \
        -e '/^[0-9]+\/[0-9]+ Test .*(Failed|Timeout|Not Run)/p' || status=$?
colcon test-result || status=$?
if [ "$status" -ne 0 ]; then  # last, where one looks first: which tests, each on one line
    sed -n -E 's/^[0-9]+: ((FAILED|ERROR) .{0,240}).*/\1/p' .cache/test.log >&2
    echo "tests failed; the whole log is .cache/test.log" >&2
fi
exit "$status"
