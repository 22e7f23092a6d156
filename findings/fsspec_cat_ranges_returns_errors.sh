#!/usr/bin/env bash
# Seen: 2026-11-29 with fsspec 2026.9.0, s3fs 2026.9.0 (the same with its S3), Python 3.11, Linux x86_64
# Expected: Reading pieces of files by cat_ranges raises what reading them one by one raises, where a file is missing.
# Happens: cat_file and cat raise FileNotFoundError; cat_ranges puts the exception into the list of results, in the place
#   of the bytes (its on_error is "return" by default, that of cat "raise").
# Matters: A loader that fetches records of shards in object storage by ranges carries exception objects on as data: it fails
#   later and elsewhere, as by a TypeError in a decoder, or, where pieces are only counted or filtered, not at all.
# Do instead: cat_ranges(paths, starts, ends, on_error="raise"), or look at the type of each piece.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check fsspec==2026.9.0
FOLDER=$folder "$folder/venv/bin/python" - <<'END'
import os
import sys
from collections.abc import Callable
from typing import Any

import fsspec

folder = os.environ["FOLDER"]
there, missing = f"{folder}/there.tar", f"{folder}/missing.tar"
with open(there, "wb") as file:
    file.write(b"0123456789")
files = fsspec.filesystem("file")


def outcome(read: Callable[[], Any]) -> str:
    try:
        found = read()
    except Exception as error:
        return f"raises {type(error).__name__}"
    pieces = found if isinstance(found, list) else [found]
    return "gives " + ", ".join(type(piece).__name__ for piece in pieces)


paths, starts, ends = [there, missing], [2, 2], [4, 4]
wrong = False
for name, read, expected in (
    ("cat_file", lambda: files.cat_file(missing, 2, 4), "raises FileNotFoundError"),
    ("cat_ranges", lambda: files.cat_ranges(paths, starts, ends), "gives bytes, FileNotFoundError"),
    ("cat_ranges, on_error='raise'", lambda: files.cat_ranges(paths, starts, ends, on_error="raise"), "raises FileNotFoundError"),
):
    found = outcome(read)
    print(f"{name}: {found}")
    wrong |= found != expected
sys.exit("not as described" if wrong else 0)
END
echo "as described"
