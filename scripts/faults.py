"""Named faults, planted one at a time: a quick test of that part of the code should fail for each.

python scripts/faults.py test/faults/*.txt                   # or: make faults FAULTS=test/faults/distill.txt
python scripts/faults.py test/faults/distill.txt --only mfd  # those whose line has this in it

A file of faults has lines `path: old => new`: below mapkd_core, in the file of that path, the text `old`, which stands
there once, becomes `new`; `\\n` is the end of a line, `#` begins a remark. First the quick tests of the part run once,
and the lines that each of them executes are noted (kept in .cache/faults until a file changes). Then for every fault a
fork of this process, in which the libraries are loaded, imports the package with the one file changed and runs the
tests that execute what was changed, the shortest first, until one fails. One core, a few seconds a fault. The exit
status is 1 if a fault was left.
"""
from __future__ import annotations

import argparse
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # ROS brings some, which take a second
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from faults_forked import forked, import_libraries, run_changed  # noqa: E402
from faults_lines import Lines, chosen_tests, lines_by_test  # noqa: E402

TESTS = {
    "mapkd_core/distill": ("test/core/distill",),
    "mapkd_core/losses.py": ("test/core/test_losses.py", "test/core/test_loss_formulas.py", "test/core/distill"),
    "mapkd_core/loss_config.py": ("test/core/test_losses.py", "test/core/test_loss_formulas.py"),
    "mapkd_core/vector_loss": ("test/core/vector_loss", "test/core/training/test_vector_training.py"),
    "mapkd_core/metrics": ("test/core/metrics", "test/core/training/test_street_collage.py"),
    "mapkd_core/training": ("test/core/training", "test/core/distill/test_objective.py"),
    "mapkd_core/vectorizer": ("test/core/vectorizer",),
    "mapkd_core/artifact.py": ("test/core/test_artifact.py",),
    "mapkd_core/data/augment.py": ("test/core/data/test_augment.py",),
    "mapkd_core/evaluation": ("test/core/evaluation",),
    "mapkd_core/export/parity.py": ("test/core/export/test_parity.py",),
    "mapkd_core/vector_elements.py": ("test/core/test_vector_elements.py",),
    "mapkd_core/mapping": ("test/core/mapping",),
    "mapkd_core/cameras": ("test/core/cameras",),
    "mapkd_core/map_formats": ("test/core/map_formats",),
    "mapkd_core/messages": ("test/core/messages",),
    "mapkd_core/data": ("test/core/data",),
    "mapkd_core/model": ("test/core/model",),
    "mapkd_core/runtime": ("test/core/runtime",),
    "mapkd_core/export": ("test/core/export",),
    "mapkd_core/bags": ("test/core/bags",),
    "mapkd_core/published": ("test/core/published",),
    "mapkd_core/geometry.py": ("test/core/test_geometry.py",),
    "mapkd_core/grid.py": ("test/core/test_grid.py",),
}
"""Sources and the tests that must notice: a fault that only others notice counts as left."""


@dataclass(frozen=True)
class Fault:
    """One change of one file."""

    path: str
    """From the repository's root."""
    old: str
    new: str

    def text(self) -> tuple[str, int, int]:
        """The changed file, and where in the old one the change begins and ends.

        Raises ValueError for text that stands there not once, SyntaxError for what is no Python.
        """
        source = (ROOT / self.path).read_text()
        if source.count(self.old) != 1:
            raise ValueError(f"stands there {source.count(self.old)} times, expected once; mend the list")
        at = source.index(self.old)
        changed = source.replace(self.old, self.new)
        compile(changed, self.path, "exec")
        return changed, at, at + len(self.old)

    def __str__(self) -> str:
        one_line = (part.replace("\n", "\\n") for part in (self.old, self.new))
        return f"{self.path.removeprefix('mapkd_core/')}: " + " => ".join(one_line)


def read_faults(path: Path) -> list[Fault]:
    """The faults of a file; raises ValueError for a line of another form."""
    faults = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        place, _, change = line.partition(": ")
        old, arrow, new = change.partition(" => ")
        if not arrow or not (ROOT / "mapkd_core" / place).is_file():
            raise ValueError(f"{path}:{number}: {line!r}; expected 'path below mapkd_core: old => new'")
        faults.append(Fault(f"mapkd_core/{place}", *(part.replace("\\n", "\n") for part in (old, new))))
    return faults


def part_of(path: str) -> str:
    """The key of TESTS that a source belongs to; raises ValueError for a file beyond them."""
    for part in TESTS:
        if path == part or path.startswith(f"{part}/"):
            return part
    raise ValueError(f"{path}: faults are planted in {', '.join(TESTS)}")


def main() -> int:
    """Plants, runs, reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="of faults")
    parser.add_argument("--only", default="", help="faults whose line has this in it")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for the tests of one fault")
    parser.add_argument("--slowest", type=float, default=5.0, help="seconds: tests that took longer are left out")
    args = parser.parse_args()
    try:
        faults = [f for path in args.files for f in read_faults(path) if args.only in str(f)]
        parts = {part_of(fault.path) for fault in faults}
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the fork ends, too
    import_libraries()
    known: dict[str, Lines] = {part: lines_by_test(ROOT, part, TESTS[part], forked) for part in sorted(parts)}
    counts = dict.fromkeys(("found", "left", "not finished", "not planted"), 0)
    for fault in faults:
        try:
            changed, begin, end = fault.text()
        except (ValueError, SyntaxError) as error:
            state, what = "not planted", str(error)
        else:
            lines = known[part_of(fault.path)]
            chosen = chosen_tests((ROOT / fault.path).read_text(), fault.path, begin, end, lines, args.slowest)
            state, test = run_changed(ROOT, fault.path, changed, chosen, args.limit) if chosen else ("left", "")
            what = test or f"{len(chosen)} tests"
        counts[state] += 1
        print(f"{state}: {fault}   [{what}]", flush=True)
    print(", ".join(f"{count} {state}" for state, count in counts.items()))
    return int(counts["left"] > 0)


if __name__ == "__main__":
    sys.exit(main())
