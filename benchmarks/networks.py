"""Forward time of the student beside the papers' networks, on the same machine, in one interleaved run.

    python benchmarks/networks.py --out benchmarks/networks_cpu.md
    python benchmarks/networks.py --device cuda --networks student:nano student:small hdmapnet

Six pictures of 352x128, the 60x30 m grid at 0.15 m (200x400), batch 1, random weights, inference mode. The papers'
networks are this project's own builds with the published layers and widths. Rounds are interleaved, so that a slow
moment of the machine meets all of them; medians and 95th percentiles are over rounds. The floor is the FLOPs of a
network's convolutions and matrix products at the rate that a 2048x2048 float32 matrix product reaches here.
"""
from __future__ import annotations

import argparse
import platform
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from mapkd_core.export import example_calibration
from mapkd_core.grid import GRID_60X30
from mapkd_core.model.build import build_model
from mapkd_core.model.student import Student
from mapkd_core.runtime import fold_batch_norms
from mapkd_core.types import Batch

NETWORKS = ("student:nano", "student:small", "student:base", "hdmapnet")
SIZE = (352, 128)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help="model names, student:VARIANT for ours")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, help="results file to write")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    runs = {name: prepared(name, args.device) for name in args.networks}
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for call, _, _ in runs.values():
            call()
        for _ in range(args.rounds):
            for name, (call, _, _) in runs.items():
                times[name].append(timed(call, args.device))
        peak = matmul_rate(args.device)
    text = report(runs, times, peak, args)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")
    return 0


def prepared(name: str, device: str):
    """A network's forward as a call, its parameters in millions, and its GFLOP."""
    model_name, _, variant = name.partition(":")
    model = build_model(model_name, GRID_60X30, {"variant": variant} if variant else {}).eval()
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    fold_batch_norms(model)
    model = model.to(device, memory_format=torch.channels_last)
    student = model if isinstance(model, Student) else build_model("student", GRID_60X30)
    intrinsics, poses = (m.to(device) for m in example_calibration(student, 6))
    images = torch.randn(1, 6, 3, SIZE[1], SIZE[0], device=device)
    if isinstance(model, Student):
        lookup = model.lookup(intrinsics, poses)
        call = lambda: model.infer(images, lookup)  # noqa: E731
    else:
        batch = Batch(images, intrinsics, poses)
        if model.config.lidar:
            batch.lidar = (torch.rand(1, 81920, 5, device=device) - 0.5) * 30
            batch.lidar_mask = torch.ones(1, 81920, device=device)
        if model.config.sd_prior:
            batch.sd_map = torch.ones(1, 1, *GRID_60X30.shape, device=device)
        call = lambda: model(batch)  # noqa: E731
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        call()
    return call, parameters, counter.get_total_flops() / 1e9


def timed(call, device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def matmul_rate(device: str) -> float:
    """GFLOP/s of a large float32 matrix product: what this machine can do at best."""
    a = torch.randn(2048, 2048, device=device)
    best = min(timed(lambda: a @ a, device) for _ in range(8))
    return 2 * 2048**3 / 1e9 / (best / 1e3)


def report(runs, times, peak: float, args: argparse.Namespace) -> str:
    machine = torch.cuda.get_device_name() if args.device == "cuda" else f"{cpu_name()}, {args.threads} threads"
    slowest = float(np.median(times["hdmapnet"])) if "hdmapnet" in times else float("nan")
    lines = [
        "# Forward time of the networks",
        "",
        f"{date.today()}, {machine}, torch {torch.__version__}, Python {platform.python_version()}",
        "",
        f"`python {' '.join(sys.argv)}`",
        "",
        f"Batch 1, six pictures {SIZE[0]}x{SIZE[1]}, grid 200x400, {args.rounds} interleaved rounds; "
        f"float32 matrix product {peak:.0f} GFLOP/s.",
        "",
        "| network | parameters M | GFLOP | floor ms | median ms | p95 ms | HDMapNet / this |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (_, parameters, gflop) in runs.items():
        median, p95 = np.median(times[name]), np.percentile(times[name], 95)
        lines.append(
            f"| {name} | {parameters:.2f} | {gflop:.1f} | {1e3 * gflop / peak:.1f} | {median:.1f} | {p95:.1f} "
            f"| {slowest / median:.1f} |"
        )
    return "\n".join(lines)


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())


if __name__ == "__main__":
    sys.exit(main())
