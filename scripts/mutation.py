"""Mutation testing: mutmut plants small faults, one at a time, and a test of that part should fail for each.

make mutation PART=distill               # or losses, metrics, training, vectorizer
make mutation PART=training SHARE=0.2    # a fifth of the faults, drawn at random; SEED=1 draws others

The tree is tested as it stands, in a copy below .cache/mutation. What survives is printed as a diff; a fault that no
test runs counts as surviving. Faults in messages of errors and logs are not planted. One process: an hour or more.
"""
from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = {
    "distill": ("mapkd_core/distill", "test/core/distill"),
    "losses": ("mapkd_core/losses.py", "test/core/test_losses.py\n    test/core/test_loss_formulas.py"),
    "metrics": ("mapkd_core/metrics", "test/core/metrics"),
    "training": ("mapkd_core/training", "test/core/training"),
    "vectorizer": ("mapkd_core/vectorizer", "test/core/vectorizer"),
}
"""part -> what is mutated, and the tests that must notice."""
CONFIG = """[mutmut]
source_paths = {source}
pytest_add_cli_args_test_selection =
    {tests}
also_copy =
    mapkd_core
    benchmarks
    config
    docs
    scripts
    test
do_not_mutate_patterns =
    ^\\s*raise
    ^\\s*assert
    ^\\s*LOG\\.
    ^\\s*f?"[^"]*"$
"""


def main() -> int:
    """Plants, runs, reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--share", type=float, default=1.0, help="share of the faults that is planted, 0..1")
    parser.add_argument("--seed", type=int, default=0, help="of the choice")
    args = parser.parse_args()
    folder = _copy(args.part)
    _mutmut(folder, "run", "none")  # makes the faults and finds each one's tests, then says that none has that name
    names = sorted(_results(folder))
    chosen = random.Random(args.seed).sample(names, round(args.share * len(names)))
    _mutmut(folder, "run", "--max-children", "1", *chosen)
    results = _results(folder)
    survivors = sorted(name for name in chosen if results[name] not in ("killed", "timeout"))
    for name in survivors:
        print(f"# {name}: {results[name]}")
        print("".join(f"{line}\n" for line in _mutmut(folder, "show", name).splitlines() if line[:1] in "+-@ "))
    killed = len(chosen) - len(survivors)
    print(f"{args.part}: {killed} of {len(chosen)} faults found ({100 * killed / max(len(chosen), 1):.1f} %)")
    return 0


def _copy(part: str) -> Path:
    """A fresh copy of the files that git knows or would take, with mutmut's config."""
    folder = ROOT / ".cache" / "mutation" / part
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    folder.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
        capture_output=True, text=True,
    ).stdout.split("\0")
    present = "\n".join(name for name in listed if name and (ROOT / name).is_file())
    subprocess.run(["cp", "--parents", "-t", str(folder), *present.splitlines()], cwd=ROOT, check=True)
    source, tests = PARTS[part]
    (folder / "setup.cfg").write_text(CONFIG.format(source=source, tests=tests))
    return folder


def _mutmut(folder: Path, *arguments: str) -> str:
    """The output of a command of mutmut; it runs in the copy, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
    code = "import sys; sys.argv[0] = 'mutmut'; from mutmut.__main__ import cli; cli()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    if "Failed to run clean test" in done.stdout:
        sys.exit(f"the tests fail before any fault is planted:\n{done.stdout[-3000:]}")
    return done.stdout


def _results(folder: Path) -> dict[str, str]:
    """name of a fault -> killed, survived, timeout, no tests, not checked, ..."""
    lines = _mutmut(folder, "results", "--all", "true").splitlines()
    return {name.strip(): state.strip() for name, _, state in (line.partition(": ") for line in lines) if state}


if __name__ == "__main__":
    sys.exit(main())
