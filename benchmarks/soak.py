"""student_node as a process under six cameras at 12 Hz for an hour, while one thing after the other goes wrong.

    python benchmarks/soak.py --minutes 60 --out benchmarks/results

Every set of images must end as a map or in a counter, memory must not grow, and after each fault maps must come again.
Criteria: sets formed = maps + counted drops, but for two that may be under way; sets sent = formed + not formed for a
counted reason, but for 0.5 % (the first ones, and those that wait while stamps jump back); private memory at the end at
most 20 MB above that after the first round of faults; the first map of all cameras at most 5 s after each fault; exit
code 0.
"""
from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / part) for part in ("", "test/support", "benchmarks")]

import rclpy  # noqa: E402
from camera_bench import CameraBench  # noqa: E402
from soak_faults import EXCEPT, FAULTS, OF_IMAGES, Cameras, Fault  # noqa: E402

from mapkd_core.benchmark.machine import cores, cpu_name  # noqa: E402
from mapkd_core.benchmark.process_usage import read_usage  # noqa: E402
from mapkd_core.files import write_atomic  # noqa: E402
from mapkd_core.progress import Progress  # noqa: E402
from mapkd_ros.child_process import ChildProcess, private_domain  # noqa: E402

MOST_GROWTH_MB, MOST_RECOVERY_S, UNDER_WAY = 20.0, 5.0, 2
MOST_UNACCOUNTED = 0.005
"""Of the sets sent: the first before the node has found all cameras, and those that wait while stamps jump back."""


class Soak:
    """The bench, the node's process, and what was seen."""

    def __init__(self, hz: float, seed: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.bench = CameraBench(self.context)
        self.cameras = Cameras(self.bench, seed)
        program = ROOT / "mapkd_ros" / "node" / "student_node.py"
        often = ["--ros-args", "-p", "diagnostics_period:=0.5"]
        self.node = ChildProcess("student_node", [sys.executable, program, *often])
        self.period_s = 1 / hz
        self.next_s = time.monotonic()
        self.memory_mb: list[tuple[float, float]] = []
        self.recovery_s: dict[str, list[float]] = defaultdict(list)
        self.counted: dict[str, set[str]] = defaultdict(set)
        self.never: list[str] = []
        self.maps = 0

    def sets(self, seconds: float, until_all: bool = False) -> float:
        """Sends sets; with `until_all` no longer than to the next map of all cameras. Returns the seconds it took."""
        begun, begun_ns = time.monotonic(), time.time_ns()
        while time.monotonic() - begun < seconds:
            self.cameras.send(time.time_ns())
            self.next_s = max(self.next_s + self.period_s, time.monotonic() - self.period_s)
            while time.monotonic() < self.next_s:
                self.bench.executor.spin_once(timeout_sec=max(self.next_s - time.monotonic(), 0))
            found = [m for m in self.bench.maps if not m.missing_cameras]
            newest = max((m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in found), default=0)
            self.maps += len(self.bench.maps)
            self.bench.maps.clear()
            if until_all and begun_ns <= newest < time.time_ns() + 10**9:
                break
        return time.monotonic() - begun

    def counters(self) -> dict[str, int]:
        return {key: int(value) for key, value in self.bench.values().items() if value.isdigit()}

    def sample(self) -> None:
        self.memory_mb.append((time.monotonic(), read_usage(self.node.pid).private_mb))

    def fault(self, fault: Fault, lasts_s: float) -> None:
        before = self.counters()
        fault.begin(self.cameras)
        if "again and again" in fault.name:
            for _ in range(int(lasts_s)):
                self.sets(0.5)
                self.cameras.heal()
                self.sets(0.5)
                fault.begin(self.cameras)
        else:
            self.sets(lasts_s)
        self.cameras.heal()
        patience_s = 4 * MOST_RECOVERY_S
        took_s = self.sets(patience_s, until_all=True)
        if took_s >= patience_s:
            self.never.append(fault.name)
        self.recovery_s[fault.name].append(took_s)
        self.sets(2.0)
        now = self.counters()
        self.counted[fault.name] |= {key for key, value in now.items() if value > before.get(key, 0)}
        self.sample()

    def settle(self) -> dict[str, int]:
        """The counters once nothing is under way any more."""
        self.bench.wait(lambda: False, 6.0)
        return self.counters()


def balance(counters: dict[str, int]) -> tuple[int, int, int]:
    """(sets formed, maps, sets that were counted as dropped)."""
    dropped = {key.removeprefix("dropped: "): value for key, value in counters.items() if key.startswith("dropped: ")}
    of_sets = {k: v for k, v in dropped.items() if not k.startswith(OF_IMAGES) or k.startswith(EXCEPT)}
    return counters.get("sets formed", 0), counters.get("maps published", 0), sum(of_sets.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: %(default)g)")
    parser.add_argument("--hz", type=float, default=12.0, help="sets of images a second (default: %(default)g)")
    parser.add_argument("--lasts", type=float, default=5.0, metavar="S", help="of each fault (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="of what is random in faults (default: %(default)s)")
    parser.add_argument("--domain", type=int, default=97, help="ROS domain (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="folder for the results file")
    args = parser.parse_args()
    os.environ.update(private_domain(args.domain))
    soak = Soak(args.hz, args.seed)
    begun, rounds = time.monotonic(), 0
    try:
        bench = soak.bench
        assert bench.wait(lambda: all(p.get_subscription_count() for p in bench.images.values()), 180), soak.node.output
        soak.cameras.heal()
        soak.sets(60.0, until_all=True)
        first_s = 0.0
        with Progress("soak", round(60 * args.minutes), "s") as bar:  # at least one round
            while rounds == 0 or time.monotonic() - begun < 60 * args.minutes:
                for fault in FAULTS:
                    soak.fault(fault, args.lasts)
                    bar.update(round(time.monotonic() - begun) - bar.done)
                    if rounds and time.monotonic() - begun > 60 * args.minutes:
                        break
                rounds += 1
                if rounds == 1:
                    first_s = soak.memory_mb[-1][0]
        counters = soak.settle()
        alive = soak.node.returncode is None
    finally:
        code = soak.node.stop()
        soak.bench.close()
        rclpy.shutdown(context=soak.context)
    minutes = (time.monotonic() - begun) / 60
    formed, maps, dropped = balance(counters)
    not_formed = sum(value for key, value in counters.items() if key.startswith("set not formed: "))
    later = [(t, mb) for t, mb in soak.memory_mb if t >= first_s]
    start_mb, end_mb = later[0][1], statistics.median(mb for _, mb in later[-5:])
    slope = _slope_mb_an_hour(later)
    worst_s = max(max(values) for values in soak.recovery_s.values())
    verdicts = {
        f"sets formed {formed} = maps {maps} + dropped and counted {dropped}, {formed - maps - dropped} under way":
            0 <= formed - maps - dropped <= UNDER_WAY,
        f"private memory after the first round {start_mb:.1f} MB, at the end {end_mb:.1f} MB ({slope:+.1f} MB an hour)":
            end_mb - start_mb <= MOST_GROWTH_MB,
        f"slowest recovery {worst_s:.1f} s; never: {', '.join(soak.never) or 'none'}": worst_s <= MOST_RECOVERY_S,
        f"the node ran to the end, exit code {code}": alive and code == 0,
        f"sets sent {soak.cameras.sets}, formed {formed}, not formed for a counted reason {not_formed}: "
        f"{soak.cameras.sets - formed - not_formed} unaccounted":
            abs(soak.cameras.sets - formed - not_formed) <= MOST_UNACCOUNTED * soak.cameras.sets,
    }  # fmt: skip
    rows = [
        f"| {name} | {len(times)} | {statistics.median(times):.2f} | {max(times):.2f} | "
        f"{'; '.join(sorted(_words(soak.counted[name]))) or '-'} |"
        for name, times in soak.recovery_s.items()
    ]
    load = ", ".join(f"{value:.0f}" for value in os.getloadavg())
    text = "\n".join([
        "# Soak of student_node",
        "",
        f"{date.today()}, {cpu_name()}, {cores()} cores, Python {platform.python_version()}, torch {version('torch')}, "
        f"ROS 2 {os.environ.get('ROS_DISTRO') or 'from wheels'}. Command: `python benchmarks/soak.py "
        f"--minutes {args.minutes:g} --hz {args.hz:g} --lasts {args.lasts:g} --seed {args.seed}`; load of the machine "
        f"at the end (1, 5, 15 min): {load}.",
        "",
        f"{minutes:.1f} minutes, {soak.cameras.sets} sets of six 160x90 JPEGs over DDS at up to {args.hz:g} Hz,",
        f"{rounds} rounds of {len(FAULTS)} faults of {args.lasts:g} s each. Criteria stand in the command's `--help`.",
        "",
        *(f"- {'holds' if good else '**FAILS**'}: {what}" for what, good in verdicts.items()),
        "",
        "Recovery: from the end of a fault to the first map of all six cameras whose images were taken after it.",
        "",
        "| fault | times | recovery, median s | worst s | counted as |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "Counters at the end: " + "; ".join(f"{key} {value}" for key, value in sorted(counters.items())) + ".",
        "",
    ])  # fmt: skip
    print(text)
    if args.out:
        write_atomic(args.out / f"soak_{date.today()}.md", text)
    return 0 if all(verdicts.values()) else 1


def _words(counters: set[str]) -> list[str]:
    usual = ("maps published", "sets formed", "dropped: overtaken", "age when published")
    return [key for key in counters if not key.startswith(usual)]


def _slope_mb_an_hour(samples: list[tuple[float, float]]) -> float:
    import numpy as np

    times, values = np.array(samples).T
    return float(np.polyfit((times - times[0]) / 3600, values, 1)[0]) if len(times) > 2 else 0.0


if __name__ == "__main__":
    sys.exit(main())
