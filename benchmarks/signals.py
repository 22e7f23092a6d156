"""Signals at random moments of a program's first half second, on a busy machine: how does each program end?

    python benchmarks/signals.py --out benchmarks/results

A command should end with the shell's code and one line or none, a node with 0. What arrives before the first line of
this project has run belongs to the interpreter, and is counted apart.
"""
from __future__ import annotations

import argparse
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mapkd_core.benchmark.machine import cores, cpu_name  # noqa: E402
from mapkd_core.files import write_atomic  # noqa: E402


def programs(folder: Path) -> dict[str, list[str]]:
    """Name -> command that would go on for seconds."""
    export = ["sim", "export", "--out", str(folder / "drive"), "--frames", "40", "--no-lidar"]
    script = folder / "mapkd"  # as pip writes it for this checkout's entry point
    script.write_text("import sys\nfrom mapkd_core.__main__ import main\nsys.exit(main())\n")
    found = {
        "mapkd sim export": [sys.executable, str(script), *export],
        "python -m mapkd_core sim export": [sys.executable, "-m", "mapkd_core", *export],
    }
    nodes = {"student_node": "node", "nuscenes_player": "player", "recorder": "recorder", "map_builder": "map_builder"}
    for name, path in nodes.items():
        wanted = {"recorder": ["-p", f"output:={folder}/out.mcap", "-p", "overwrite:=true"],
                  "nuscenes_player": ["-p", f"dataroot:={folder}"]}.get(name, [])  # fmt: skip
        found[name] = [sys.executable, str(ROOT / "mapkd_ros" / path / f"{name}.py"), "--ros-args", *wanted]
    return found


def kind(name: str, number: int, code: int, output: str) -> str:
    """What an ending is: as it should be, a traceback of ours, the interpreter's own end, or something else."""
    if "Traceback" in output or "Exception ignored" in output or "Error in sys.excepthook" in output:
        last = output.strip().splitlines()[-1] if output.strip() else ""
        ours = any(f"{ROOT}/{part}" in output for part in ("mapkd_core", "mapkd_ros"))
        return f"traceback: {last[:60]}" if ours else "traceback of the interpreter"
    if output.strip() == "KeyboardInterrupt":  # a traceback without a line of Python: the interpreter was not up yet
        return "traceback of the interpreter"
    if code == -number:
        return "the interpreter died of the signal"
    good = (0,) if "mapkd" not in name else (128 + number,)
    lines = output.strip().splitlines()
    if code in good and (name in ("student_node", "map_builder") or len(lines) <= 3):
        return "as it should"
    if code == 2 and "no " in output:  # the program had ended by itself
        return "as it should"
    return f"code {code}: {lines[-1][:60] if lines else ''}"


def once(command: Sequence[str], number: int, after_s: float) -> tuple[int, str]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        time.sleep(after_s)
        process.send_signal(number)
        try:
            output, _ = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            return 999, "goes on after the signal\n" + process.communicate()[0]
    return process.returncode, output


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="signals of each kind, for each (default: %(default)s)")
    parser.add_argument("--within", type=float, default=0.5, metavar="S", help="of its start (default: %(default)s)")
    parser.add_argument("--busy", type=int, default=cores(), help="processes beside it (default: one for each core)")
    parser.add_argument("--only", metavar="NAME", default="", help="programs whose name holds this")
    parser.add_argument("--seed", type=int, default=0, help="other moments (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="folder for the results file")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with it ignored
    random_s = random.Random(args.seed)
    rows, bad = [], 0
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(args.busy)]
    try:
        with tempfile.TemporaryDirectory() as name:
            for program, command in programs(Path(name)).items():
                if args.only not in program:
                    continue
                for number in (signal.SIGINT, signal.SIGTERM):
                    moments = [random_s.uniform(0, args.within) for _ in range(args.count)]
                    ends = Counter[str]()
                    for after in moments:
                        code, output = once(command, number, after)
                        end = kind(program, number, code, output)
                        ends[end] += 1
                        if end.startswith(("traceback:", "code")):
                            print(f"after {after:.3f} s: {output}", file=sys.stderr)
                    good, interpreter = ends.pop("as it should", 0), ends.pop("traceback of the interpreter", 0)
                    died = ends.pop("the interpreter died of the signal", 0)
                    bad += sum(ends.values())
                    others = "; ".join(f"{n} x {what}" for what, n in ends.items()) or "0"
                    rows.append(f"| {program} | {number.name} | {good} | {died} | {interpreter} | {others} |")
                    print(rows[-1], flush=True)
    finally:
        for process in busy:
            process.kill()
    load = ", ".join(f"{value:.0f}" for value in os.getloadavg())
    text = "\n".join([
        "# Signals at the start of a program",
        "",
        f"{date.today()}, {cpu_name()}, {cores()} cores, Python {platform.python_version()}. Command: "
        f"`python benchmarks/signals.py --count {args.count} --within {args.within:g} --busy {args.busy} "
        f"--seed {args.seed}`; load of the machine at the end (1, 5, 15 min): {load}.",
        "",
        f"{args.count} signals of each kind at random moments of the first {args.within:g} s, beside {args.busy} busy "
        "processes. As it should: a command",
        "ends with 130 or 143 and one line or none, a node with 0. The interpreter's own start is before the first",
        "line of this project: SIGTERM then ends it (a shell says 143), SIGINT may print Python's own traceback.",
        "",
        "| program | signal | as it should | died of it before our first line | interpreter's traceback | other |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ])  # fmt: skip
    if args.out:
        write_atomic(args.out / f"signals_{date.today()}.md", text)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
