"""Repairs the ROS 2 wheels of a virtual environment: their CMake files name Python headers of another machine.

Example: .venv/bin/python scripts/fix_wheel_paths.py
"""
from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

BUILD_MACHINE_PATH = re.compile(r'/opt/python/[^;"]*')


def repaired(text: str, include: str) -> str:
    """CMake text with the build machine's include lists replaced by `include` alone.

    NumPy's headers, listed beside Python's, are left out: the generators look them up by themselves.
    """

    def replace_list(match: re.Match[str]) -> str:
        paths = [path for path in match[1].split(";") if not BUILD_MACHINE_PATH.fullmatch(path)]
        return f'"{";".join([include, *paths])}"'

    return re.sub(r'"([^"\n]*/opt/python/[^"\n]*)"', replace_list, text)


def main() -> int:
    """Rewrites the export files of this interpreter's environment and says how many."""
    changed = 0
    for path in sorted(Path(sys.prefix, "share").glob("*/cmake/*_pyExport*.cmake")):
        text = path.read_text()
        if BUILD_MACHINE_PATH.search(text):
            path.write_text(repaired(text, sysconfig.get_path("include")))
            changed += 1
    print(f"repaired the header paths in {changed} CMake files under {sys.prefix}/share")
    return 0


if __name__ == "__main__":
    sys.exit(main())
