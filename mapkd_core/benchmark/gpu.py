"""Everything that only a GPU can show, in one call of at most 25 minutes: is it right there, and how fast is it.

examples:
  mapkd benchmark gpu --out runs/gpu_day
  mapkd benchmark gpu --out runs/gpu_day --minutes 9 --parts same latency
  mapkd benchmark gpu --out runs/gpu_day_tiny --device cpu --tiny

parts, each with a share of the time:
  same      students, networks, distillation methods, training steps and simulator: CUDA beside the CPU
  latency   six JPEGs to lines: PyTorch in four ways, ONNX Runtime, TensorRT; fp32, fp16, bf16
  sim       simulated frames a second on the device, by how many are rendered at once
  stream    training samples a second straight from the simulator, and what limits them
  training  a student of full size in mixed precision on such samples; its weights are exported

The same command goes on where it was interrupted, or where --minutes were over: results are kept case by case in
--out/parts, and what has none yet is measured. --out holds gpu_day.md and the trained weights. What a case needs and
this machine lacks stands in the table with the command that brings it. --device cpu --tiny shows that all of it runs.
"""
from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path
from types import ModuleType

from mapkd_core.benchmark.gpu_cases import Record, Setting, run_part
from mapkd_core.progress import Progress, say

PARTS: dict[str, tuple[str, float, str]] = {
    "same": ("mapkd_core.benchmark.gpu_same", 5.0, "Is it the same as on the CPU?"),
    "latency": ("mapkd_core.benchmark.gpu_latency", 7.0, "Six JPEGs to lines"),
    "sim": ("mapkd_core.benchmark.gpu_sim", 2.0, "Simulated frames"),
    "stream": ("mapkd_core.benchmark.gpu_stream", 3.0, "Training from the simulator"),
    "training": ("mapkd_core.benchmark.gpu_training", 7.0, "A whole training"),
}
"""name -> (module with `cases` and `table`, share of the time, heading)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results, new or begun")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cuda; cpu for a rehearsal")
    parser.add_argument("--tiny", action="store_true", help="small sizes and counts: whether all runs, in minutes")
    parser.add_argument("--minutes", type=float, default=25.0, help="at most so long (%(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="only these (all)")


def run(args: argparse.Namespace) -> int:
    """Measures part by part, writing the results file after each."""
    from mapkd_core.files import FolderLock, write_atomic
    from mapkd_core.runtime.face import pick_device

    if args.minutes <= 0:
        raise ValueError(f"--minutes {args.minutes:g}; expected more than 0")
    pick_device(args.device)
    ends = time.monotonic() + 60 * args.minutes
    endings: dict[str, str] = {}
    with FolderLock(args.out), Progress("benchmark gpu", len(args.parts), "part") as bar:
        for place, part in enumerate(args.parts):
            bar.note(part)
            module, share, _ = PARTS[part]
            shares = sum(PARTS[name][1] for name in args.parts[place:])
            # What a part leaves over goes to those behind it.
            box_s = max(ends - time.monotonic(), 0.0) * share / shares
            setting = Setting(args.device, args.tiny, args.out, box_s)
            endings[part] = run_part(module, part, setting)
            write_atomic(args.out / "gpu_day.md", report(args, endings))
            say(f"{part}: {endings[part]} ({counted(args.out, part)})")
            bar.update()
    say(f"{args.out / 'gpu_day.md'}")
    missing = sorted({
        entry["missing"] for part in args.parts for entry in Record(args.out / "parts", part).results().values()
        if "missing" in entry
    })  # fmt: skip
    for remedy in missing:
        say(f"some cases need more: {remedy}")
    return 0 if all(ending == "done" for ending in endings.values()) else 1


def counted(folder: Path, part: str) -> str:
    """How many cases of a part have values, and how many have not."""
    record = Record(folder / "parts", part)
    measured, all_ = len(record.values()), len(record.results())
    return f"{measured} cases measured" + (f", {all_ - measured} without a result" if all_ > measured else "")


def report(args: argparse.Namespace, endings: dict[str, str]) -> str:
    """The results file: a table for each part that has begun, and what has no result with the reason."""
    from mapkd_core.benchmark.machine import command_line, describe

    packages = ("torch", "triton", "numpy", "numba", "onnxruntime", "onnxruntime-gpu", "tensorrt", "lightning-fabric")
    lines = [
        f"# GPU day{' (tiny)' if args.tiny else ''}", "", describe(args.device, packages=packages), "",
        f"`{command_line()}`",
    ]
    if args.tiny:
        lines += ["", "Sizes and counts are tiny: the figures say that all of it runs, not how fast it is."]
    for part, (module, _, heading) in PARTS.items():
        record = Record(args.out / "parts", part)
        if not record.results():
            continue
        lines += ["", f"## {heading}", "", table_of(importlib.import_module(module), record)]
        if endings.get(part, "done") != "done":
            lines += ["", f"Not finished: {endings[part]}. The same command goes on."]
    return "\n".join(lines) + "\n"


def table_of(module: ModuleType, record: Record) -> str:
    """The part's own table, and a line for every case without a result."""
    lines = [module.table(record.values())] if record.values() else []
    for case, entry in record.results().items():
        for kind in ("error", "missing", "cut", "ended"):
            if kind in entry:
                lines.append(f"- {case}: {'needs: ' if kind == 'missing' else ''}{entry[kind]}")
    return "\n".join(lines)
