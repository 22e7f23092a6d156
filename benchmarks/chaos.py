"""kill -9 at random moments, full disks, folders without permission and two at once, for every command that writes.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/chaos.py --out benchmarks/results

Each command runs on tiny data until it has been killed --kills times: at random moments, with its workers or without,
and just before a random one of its changes of file names and contents. It is started again and again, as a user would,
and in the end every file must be what a run that nobody disturbed writes: to the bit, and nothing besides.
"""
from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / part) for part in ("", "test/support", "benchmarks")]

import chaos_process  # noqa: E402
import chaos_recorder  # noqa: E402
from chaos_jobs import JOBS, Job, make_inputs  # noqa: E402

from mapkd_core.benchmark.machine import cores, cpu_name  # noqa: E402
from mapkd_core.files import write_atomic  # noqa: E402

IN_A_ROW = 4
"""Kills before a command is let finish."""
LIMITS = (0.6, 0.1)
"""Of the largest file that a command writes: where the disk is full."""


@dataclass
class Tally:
    """What happened to one command."""

    job: Job
    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    equal: int = 0
    faults: list[str] = field(default_factory=list)
    cells: dict[str, str] = field(default_factory=dict)

    def compare(self, folder: Path, wanted: Mapping[str, str], when: str) -> None:
        """Counts a folder that must be as if nothing had happened."""
        self.runs += 1
        found = dict(self.job.content(folder))
        differs = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        if differs:
            self.faults.append(f"{when}: {', '.join(differs[:4])} differ from an undisturbed run's ({folder})")
        else:
            self.equal += 1

    def ended_well(self, command: chaos_process.Command, code: int, when: str) -> bool:
        """Notes an ending that is no success, or a traceback."""
        if code or "Traceback" in command.output:
            self.faults.append(f"{when}: code {code}, {' / '.join(command.output.strip().splitlines()[-3:])[:300]}")
        return not code


class Chaos:
    """Disturbs one job after the other; prints every moment, so that it can be tried again."""

    def __init__(self, work: Path, seed: int, kills: int) -> None:
        self.work, self.kills, self.random = work, kills, random.Random(seed)
        self.inputs = make_inputs(work / "inputs")
        self.count = 0

    def fresh(self, job: Job) -> Path:
        self.count += 1
        folder = self.work / f"{job.name.replace(' ', '_').replace('-', '')}_{self.count}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        job.ready(folder, self.inputs)
        return folder

    def start(self, job: Job, folder: Path, **how: int | None) -> chaos_process.Command:
        return chaos_process.start(job.command(self.inputs), folder, folder / "chaos.log", **how)

    def disturb(self, job: Job) -> Tally:
        tally = Tally(job)
        folder = self.fresh(job)
        command = self.start(job, folder, kill_before=0)
        assert command.wait() == 0, command.output
        took_s = time.monotonic() - command.begun
        wanted = dict(job.content(folder))
        changes = len((folder / "chaos.changes").read_text().splitlines())
        self.new = folder
        print(f"{job.name}: {took_s:.1f} s, {changes} changes, {len(wanted)} files", flush=True)
        self.kill(job, tally, wanted, took_s, changes)
        largest = max(p.stat().st_size for p in folder.rglob("*") if p.is_file() and "chaos." not in p.name)
        tally.cells["full"] = self.full_disk(job, tally, wanted, largest)
        tally.cells["forbidden"] = self.forbidden(job, tally)
        tally.cells["two"] = self.two(job, tally, wanted)
        return tally

    def kill(self, job: Job, tally: Tally, wanted: Mapping[str, str], took_s: float, changes: int) -> None:
        folder, row = self._fresh_for_kills(job), 0
        while sum(tally.kills.values()) < self.kills or row:
            if row >= IN_A_ROW or sum(tally.kills.values()) >= self.kills:
                command = self.start(job, folder)
                if tally.ended_well(command, command.wait(), "after kills"):
                    tally.compare(folder, wanted, "after kills")
                folder, row = self._fresh_for_kills(job), 0
                continue
            kind = ("with its workers", "alone", "before a change")[sum(tally.kills.values()) % 3]
            if kind == "before a change":
                place = self.random.randint(1, changes)
                where = f"before change {place} of {changes}"
                command = self.start(job, folder, kill_before=place)
            else:
                moment_s = self.random.uniform(0, 1.05) * took_s
                where = f"{kind} after {moment_s:.2f} s"
                command = self.start(job, folder)
                while command.running() and time.monotonic() - command.begun < moment_s:
                    time.sleep(0.002)
                command.kill(group=kind == "with its workers")
            code = command.wait()
            print(f"  {where}: {'killed' if code == -9 else f'ended with {code}'}", flush=True)
            if code == -9:
                tally.kills[kind] += 1
                row += 1
                try:
                    tally.faults += [f"{where}: {fault}" for fault in job.after_kill(folder)]
                except Exception as error:
                    tally.faults.append(f"{where}: {type(error).__name__}: {error}")
            elif tally.ended_well(command, code, where):
                tally.compare(folder, wanted, where)
                folder, row = self._fresh_for_kills(job), 0
            else:
                folder, row = self._fresh_for_kills(job), 0

    def _fresh_for_kills(self, job: Job) -> Path:
        folder = self.fresh(job)
        if (folder / "chaos.old").exists():
            from chaos_jobs import bag_digest

            (folder / "chaos.new").write_text(bag_digest(self.new / "out"))
        return folder

    def full_disk(self, job: Job, tally: Tally, wanted: Mapping[str, str], largest: int) -> str:
        told = []
        for share in LIMITS:
            folder = self.fresh(job)
            before = dict(job.content(folder)) if (folder / "out").exists() else None
            words = job.command(self.inputs, full=True)
            limit = int(share * largest)
            command = chaos_process.start(words, folder, folder / "chaos.log", largest_file=limit)
            code = command.wait()
            if code != 2 or "Traceback" in command.output or "File too large" not in command.output:
                last = " / ".join(command.output.strip().splitlines()[-2:])[:300]
                tally.faults.append(f"full disk at {int(share * largest)} bytes: code {code}, {last}")
            elif before is not None and dict(job.content(folder)) != before:
                tally.faults.append("full disk: what was there before has changed")
            else:
                told.append(str(code))
            command = self.start(job, folder)
            if tally.ended_well(command, command.wait(), "after a full disk"):
                tally.compare(folder, wanted, "after a full disk")
        return f"{len(told)} of {len(LIMITS)}"

    def forbidden(self, job: Job, tally: Tally) -> str:
        folder = self.fresh(job)
        before = dict(job.content(folder))
        folder.chmod(0o555)
        log = self.work / "forbidden.log"
        log.unlink(missing_ok=True)
        command = chaos_process.start(job.command(self.inputs), folder, log, as_owner_only=True)
        code = command.wait()
        folder.chmod(0o755)
        good = code == 2 and "Traceback" not in command.output and "Permission denied" in command.output
        if not good:
            last = " / ".join(command.output.strip().splitlines()[-2:])[:300]
            tally.faults.append(f"folder without permission: code {code}, {last}")
        elif dict(job.content(folder)) != before:
            tally.faults.append("folder without permission: something has changed")
        return "yes" if good else "no"

    def two(self, job: Job, tally: Tally, wanted: Mapping[str, str]) -> str:
        folder = self.fresh(job)
        first = self.start(job, folder)
        second = chaos_process.start(job.command(self.inputs), folder, folder / "chaos.second.log")
        codes = sorted((first.wait(), second.wait()))
        output = first.output + second.output
        refused = "in use by process" in output or "exists already" in output
        if codes not in ([0, 0], [0, 2]) or "Traceback" in output or (codes == [0, 2] and not refused):
            tally.faults.append(f"two at once: codes {codes}, {' / '.join(output.strip().splitlines()[-3:])[:300]}")
            return "no"
        tally.compare(folder, wanted, "two at once")
        return "one refused" if codes == [0, 2] else "one after the other"


def row(tally: Tally) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in tally.kills.items())
    return (
        f"| `mapkd {tally.job.name}` | {sum(tally.kills.values())} ({kinds}) | {tally.equal} of {tally.runs} | "
        f"{tally.cells['full']} | {tally.cells['forbidden']} | {tally.cells['two']} | {len(tally.faults)} |"
    )


def report(done: Mapping[str, tuple[str, Sequence[str]]], kills: int, seed: int) -> str:
    """The results file: of each command its row and its faults."""
    faults = [fault for _, found in done.values() for fault in found]
    return "\n".join([
        "# Killed, refused and two at once: every command that writes",
        "",
        f"{date.today()}, {cpu_name()}, {cores()} cores, Python {platform.python_version()}, torch {version('torch')}. "
        f"Command: `make chaos` with --kills {kills} --seed {seed}.",
        "",
        "Killed with SIGKILL at random moments, together with its workers or alone, and just before a random change",
        "of a file. The same command again, until it ends. Equal: all files are those of an undisturbed run, to the",
        "bit (of training every tensor of the checkpoints, and the curves). Full disk: no file may grow beyond 60 %",
        "and 10 % of the largest; one line and code 2, the old files as they were, and the same command again ends",
        "well. No permission: one line and code 2. Two at once: one is refused by name, or finds nothing to do.",
        "",
        "| command | kills | equal | full disk | no permission | two at once | faults |",
        "|---|---|---|---|---|---|---|",
        *(line for line, _ in done.values()),
        "",
        *(["Faults:", "", *(f"- {fault}" for fault in faults), ""] if faults else []),
    ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=12, help="of each command (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="other moments (default: %(default)s)")
    parser.add_argument("--only", metavar="NAME", default="", help="commands whose name holds this, or recorder")
    parser.add_argument("--keep", type=Path, help="work in this folder, leave it, and go on there")
    parser.add_argument("--out", type=Path, help="folder for the results file")
    args = parser.parse_args()
    chaos_process.preload()
    work = args.keep or Path(tempfile.mkdtemp(prefix="mapkd_chaos_"))
    work.mkdir(parents=True, exist_ok=True)
    work.chmod(0o755)
    results = work / "results.json"
    done: dict[str, tuple[str, list[str]]] = json.loads(results.read_text()) if results.is_file() else {}

    def keep(name: str, line: str, faults: list[str]) -> None:
        done[name] = (line, faults)
        write_atomic(results, json.dumps(done, indent=1))
        print(line, *faults, sep="\n    ", flush=True)

    try:
        jobs = [job for job in JOBS if args.only in job.name]
        chaos = Chaos(work, args.seed, args.kills) if jobs else None
        for job in jobs:
            assert chaos is not None
            if job.name in done:
                continue
            tally = chaos.disturb(job)
            keep(job.name, row(tally), [f"{job.name}: {fault}" for fault in tally.faults])
        if args.only in "recorder" and "recorder" not in done and chaos_recorder.available():
            keep("recorder", *chaos_recorder.disturb(work, args.seed, args.kills))
    finally:
        if not args.keep:
            shutil.rmtree(work, ignore_errors=True)
    text = report(done, args.kills, args.seed)
    if args.out:
        write_atomic(args.out / f"chaos_{date.today()}.md", text)
    return 1 if any(found for _, found in done.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
