#!/usr/bin/env bash
# Seen: 2026-11-30 with pyshp 3.1.6, Python 3.11, Linux x86_64
# Expected: field("width", "F") and field("width", "N"), without a number of decimals, take 3.57 as 3.57, or say that they cannot.
# Happens: The default is no decimals for both, and what is behind the point is cut off, not rounded: 3.57 becomes 3, -0.99 becomes 0. No warning is
#   raised, though a text that is too long for its field has one. With decimal=2 the same value is 3.57.
# Matters: Widths, heights and scores of lanes lose up to a metre each, in a file that opens everywhere.
# Do instead: field(name, "N", size=20, decimal=6) for every number with a fraction, and read one record back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check pyshp==3.1.6
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import sys
import warnings

import shapefile

GIVEN = (3.57, -0.99, 99.9)
path = f"{sys.argv[1]}/lanes"
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    with shapefile.Writer(path) as writer:
        writer.field("float", "F")
        writer.field("number", "N")
        writer.field("decimals", "N", decimal=2)
        for value in GIVEN:
            writer.line([[[0, 0], [1, 0]]])
            writer.record(value, value, value)
with shapefile.Reader(path) as reader:
    found = [list(record) for record in reader.records()]
print("given", GIVEN, "found", found, "warnings", len(told))
as_seen = found == [[int(value), int(value), value] for value in GIVEN] and not told
if not as_seen:
    print("changed: decimals were cut off in silence")
sys.exit(not as_seen)
END
echo "as described"
