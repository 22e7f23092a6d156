"""Damaged files for every reader: each is read, or refused by an error of ours in one line; nothing else may happen.

    python benchmarks/fuzz.py --out benchmarks/results

20,000 files for each cheap reader and 1,000 for each costly one; --share takes a part of them, --seed others, --only
one reader. Memory is limited, so that a reader which believes a damaged number fails here. `make test` tries a part.
"""
from __future__ import annotations

import argparse
import logging
import platform
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / part) for part in ("", "test/support")]

from damaged_reader import Reader, Tried  # noqa: E402
from damaged_readers import READERS  # noqa: E402

from mapkd_core.benchmark.machine import cores, cpu_name  # noqa: E402
from mapkd_core.files import write_atomic  # noqa: E402

CHEAP, COSTLY = 20_000, 1_000
_MEMORY = 16 << 30


def fuzz(reader: Reader, folder: Path, count: int, seed_number: int) -> tuple[Counter[str], float, float]:
    """Outcomes of `count` damaged inputs, the seconds that they took, and the slowest."""
    tried, outcomes, slowest = Tried(reader, folder), Counter[str](), 0.0

    @seed(seed_number)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(tried.damages())
    def one(damage: Any) -> None:
        nonlocal slowest
        before = time.perf_counter()
        outcomes[tried.outcome(*damage)[:300]] += 1
        slowest = max(slowest, time.perf_counter() - before)

    began = time.perf_counter()
    one()
    return outcomes, time.perf_counter() - began, slowest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="part of the full numbers (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="other damage (default: %(default)s)")
    parser.add_argument("--only", metavar="NAME", help="readers whose name holds this")
    parser.add_argument("--out", type=Path, help="folder for the results file")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    warnings.simplefilter("ignore")
    logging.disable()
    rows, other = [], 0
    for reader in READERS:
        if args.only and args.only not in reader.name:
            continue
        count = max(int((COSTLY if reader.costly else CHEAP) * args.share), 1)
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            outcomes, seconds, slowest = fuzz(reader, Path(folder) / "files", count, args.seed)
        strange = {what: n for what, n in outcomes.items() if what not in ("read", "refused")}
        other += sum(strange.values())
        total = sum(outcomes.values())
        rows.append(
            f"| {reader.name} | {total} | {outcomes['read']} | {outcomes['refused']} | {sum(strange.values())} | "
            f"{1e3 * seconds / total:.1f} | {slowest:.2f} |"
        )
        print(rows[-1], flush=True)
        for what, n in sorted(strange.items(), key=lambda pair: -pair[1])[:20]:
            print(f"    {n} x {what}", flush=True)
    text = "\n".join([
        "# Damaged inputs of every reader",
        "",
        f"{date.today()}, {cpu_name()}, {cores()} cores, Python {platform.python_version()}, NumPy {version('numpy')}, "
        f"torch {version('torch')}, hypothesis {version('hypothesis')}. Command: `python benchmarks/fuzz.py"
        f"{f' --share {args.share:g}' if args.share != 1 else ''} --seed {args.seed}`.",
        "",
        "An input is a set of sound files of which one is damaged (test/support/damage.py): bytes changed, cut off,",
        "left out, repeated, zeroed or put in; in JSON and YAML also values of another kind, missing and doubled keys,",
        "values in one another's places. It is read where the damage leaves a legal file.",
        "",
        "| reader | inputs | read | refused by name, one line | other outcomes | ms an input | slowest, s |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
    ])
    if args.out:
        write_atomic(args.out / f"fuzz_{date.today()}.md", text)
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
