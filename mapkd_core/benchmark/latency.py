"""Time from images to lines by stage, of our students beside the papers' networks, in one interleaved run.

examples:
  mapkd benchmark latency --out latency.md
  mapkd benchmark latency --weights student.json --backends torch torchscript onnx --networks --threads 1
  mapkd benchmark latency --networks student:nano hdmapnet --peer ../HDMapNet
  mapkd benchmark latency --networks student:nano --backends torch torchscript --busy 0.5
  mapkd benchmark latency --networks hdmapnet --weights nano --backends torch onnx openvino --precisions fp32 int8
  mapkd benchmark latency --networks --weights nano --precisions int8 --against ../mapkd_before

Students (random weights, or the artifact of --weights) are timed from six JPEGs on: decode (with resize), prepare
(normalise, copy to the device), network, and for an artifact vectorize; the other networks in their forward alone, as
they take their inputs ready-made. Rounds are interleaved, so that a slow moment of the machine meets all of them. The
floors are what no software on this machine can be faster than: FLOPs of convolutions and matrix products at the rate of
a large float32 matrix product, and weights, images and output once through the memory. --busy lets another process
keep one core busy for that share of the time, as a player or a driver would. OMP_WAIT_POLICY=ACTIVE in front shows
what threads that spin while they wait cost then; by default they sleep.

Several backends and precisions give every combination that this machine serves; the others are listed with the
reason. Random weights have no eight bits, and other networks run in float32.

--against names the checkout of another build: the artifacts of --weights are run by it and by this build, each in a
process of its own, in turn within the same rounds. Their processor time holds on a busy machine too.

--peer names a checkout of HDMapNet's or P-MapNet's public code to run beside ours, in the same process on the same
inputs; it needs `pip install --no-deps efficientnet_pytorch`, P-MapNet's also `timm torchvision`.
"""
from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mapkd_core.benchmark.latency_builds import BuildProcess, against_table
from mapkd_core.benchmark.machine import (
    command_line,
    cores,
    describe,
    markdown_table,
    matmul_gflops,
    memory_gbs,
    peak_memory_mb,
    summary,
)
from mapkd_core.benchmark.worker_of_build import HERE, check_checkout
from mapkd_core.files import write_atomic
from mapkd_core.output_file import output_file
from mapkd_core.runtime import BACKENDS, PRECISIONS, RuntimeOptions, wait_without_spinning

if TYPE_CHECKING:
    from mapkd_core.benchmark.latency_contenders import Contender, Images

NETWORKS = ("student:nano", "student:small", "student:base", "hdmapnet")
STAGES = ("decode", "prepare", "network", "vectorize")
_BUSY = """
import sys, time
share = float(sys.argv[1])
while True:
    end = time.perf_counter() + 0.02 * share
    while time.perf_counter() < end:
        pass
    time.sleep(0.02 * (1 - share))
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--networks", nargs="*", default=list(NETWORKS), metavar="NAME",
        help="student:VARIANT, or a model of docs/how-to/train.md with random weights (default: %(default)s)",
    )
    parser.add_argument("--weights", type=Path, action="append", default=[], metavar="CARD", help="artifact to time")
    parser.add_argument("--backends", nargs="+", default=["auto"], choices=BACKENDS, help="of the students (auto)")
    parser.add_argument("--precisions", nargs="+", default=["fp32"], choices=PRECISIONS, help="of the students (fp32)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=cores(), help="CPU threads of the networks (%(default)s)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--data", metavar="NAME", help="data whose first frame is taken; simulated else")
    parser.add_argument("--busy", type=float, default=0.0, metavar="SHARE", help="0..1 of a core taken by a neighbour")
    parser.add_argument(
        "--peer", type=Path, action="append", default=[], metavar="DIR",
        help="checkout of HDMapNet or P-MapNet to run beside ours; may be given again",
    )
    parser.add_argument("--against", type=Path, metavar="DIR", help="checkout of a build to run beside this one")
    parser.add_argument("--out", type=output_file, metavar="FILE", help="results file to write")


def run(args: argparse.Namespace) -> int:
    """Builds, warms up, times in rounds, prints the tables."""
    if args.rounds < 1 or not 0 <= args.busy < 1:
        raise ValueError(f"--rounds {args.rounds} --busy {args.busy}; expected at least 1, and a share of 0 to below 1")
    wait_without_spinning()
    import torch

    from mapkd_core.benchmark.latency_contenders import entropy_decoding_ms, example_images, interleaved, warm_up

    if args.against and not args.weights:
        raise ValueError(f"--against {args.against} runs artifacts; name them with --weights")
    other = check_checkout(args.against) if args.against else None
    torch.set_num_threads(args.threads)
    given = example_images(args.data)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
        contenders, left_out = _contenders(args, given, Path(folder))
        if not contenders:
            raise ValueError("; ".join(left_out) or "nothing to time; name --networks, --weights or --peer")
        builds = _builds(args, other, contenders, given, processes) if other else []
        warm_up([*contenders, *builds])
        with _neighbour(args.busy):
            times = interleaved([*contenders, *builds], args.rounds)
        peak, bandwidth = matmul_gflops(args.threads, args.device), memory_gbs(args.device)
    text = _report(args, given, contenders, times, (peak, bandwidth, entropy_decoding_ms(given)))
    if builds:
        text += f"\n\n## Against {args.against}\n\n" + against_table(_by_build(builds, times[len(contenders) :]))
    if left_out:
        text += "\n\nLeft out:\n" + "\n".join(f"- {line}" for line in left_out)
    print(text)
    if args.out:
        write_atomic(args.out, text + "\n")
    return 0


def _contenders(args: argparse.Namespace, given: Images, folder: Path) -> tuple[list[Contender], list[str]]:
    """What is timed, and what is left out with the reason."""
    from mapkd_core.benchmark import latency_contenders as build

    found, left_out = [], []
    students = [(path, path.stem, True, args.precisions) for path in args.weights]
    for name in args.networks:
        kind, _, variant = name.partition(":")
        if kind == "student":
            precisions = [p for p in args.precisions if p != "int8"] or ["fp32"]
            students.append((build.random_student(variant or "small", folder), name, False, precisions))
    for path, shown, lines, precisions in students:
        for backend in args.backends:
            for precision in precisions:
                try:
                    options = RuntimeOptions(
                        device=args.device, backend=backend, precision=precision, threads=args.threads
                    )
                    found.append(build.student(path, shown, options, given, lines, folder))
                except (ValueError, ModuleNotFoundError) as error:
                    if len(args.backends) * len(precisions) == 1:
                        raise
                    left_out.append(f"{shown}, {backend} {precision}: {' '.join(str(error).split())}")
    found += [build.network(name, args.device) for name in args.networks if not name.startswith("student")]
    for checkout in args.peer:
        found += build.public_code(checkout, args.device)
    return found, left_out


def _builds(
    args: argparse.Namespace, other: Path, contenders: list[Contender], given: Images, processes: ExitStack
) -> list[BuildTimes]:
    """Both builds for every artifact and engine that is timed here, this build first."""
    from mapkd_core.artifact import card_path

    places = {path.stem: card_path(path) for path in args.weights}
    found = []
    for c in contenders:
        if c.name in places:
            options = RuntimeOptions(
                device=args.device, backend=c.backend, precision=c.precision, threads=args.threads
            )
            for folder in (HERE, other):
                process = processes.enter_context(BuildProcess(folder, places[c.name], options, given))
                found.append(BuildTimes(f"{c.name}, {c.backend} {c.precision}", str(folder), process.run))
    return found


class BuildTimes(NamedTuple):
    """An artifact as one build runs it."""

    name: str
    build: str
    run: Callable[[], dict[str, float]]


def _by_build(builds: list[BuildTimes], times: list[list[dict[str, float]]]) -> dict[str, dict[str, list]]:
    found: dict[str, dict[str, list]] = {}
    for build, own in zip(builds, times, strict=True):
        found.setdefault(build.name, {})[build.build] = own
    return found


@contextmanager
def _neighbour(share: float) -> Iterator[None]:
    """A process that keeps one core busy for `share` of the time."""
    if share == 0:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", _BUSY, str(share)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _report(
    args: argparse.Namespace,
    given: Images,
    contenders: list[Contender],
    times: list[list[dict[str, float]]],
    limits: tuple[float, float, float],
) -> str:
    peak, bandwidth, jpeg_ms = limits
    slowest = {c.name: summary([t["network"] for t in own]).median for c, own in zip(contenders, times, strict=False)}
    heads = ["network", "backend", "parameters M", "GFLOP", "floor ms", "median ms", "p95", "max"]
    rivals = [name for name in slowest if name == "hdmapnet" or name.endswith("(public code)")]
    heads += [f"{name} / this" for name in rivals]
    forwards, stages = [], []
    for c, own in zip(contenders, times, strict=False):  # other builds stand behind them
        line = summary([t["network"] for t in own])
        floor = max(1e3 * c.gflop / peak, c.megabytes / bandwidth)
        forwards.append(
            [c.name, f"{c.backend} {c.precision}", f"{c.parameters_m:.2f}", c.gflop, floor, *line]
            + [slowest[name] / line.median for name in rivals]
        )
        for stage in STAGES:
            if "decode" in own[0] and stage in own[0]:
                stages.append([c.name, f"{c.backend} {c.precision}", stage, *summary([t[stage] for t in own])])
        if "decode" in own[0]:
            totals = summary([sum(t.values()) for t in own])
            stages.append([c.name, f"{c.backend} {c.precision}", "total", *totals])
    busy = f", a neighbour on one core {100 * args.busy:.0f} % of the time" if args.busy else ""
    text = [
        "# Latency", "", describe(args.device, args.threads), "", f"`{command_line()}`", "",
        f"Batch 1, six images 352x128 of {given.origin}; {args.rounds} interleaved rounds{busy}. Float32 matrix "
        f"product {peak:.0f} GFLOP/s, memory {bandwidth:.1f} GB/s, entropy decoding of the six JPEGs {jpeg_ms:.1f} ms "
        f"of one core (the floor of decode); peak memory of the process {peak_memory_mb():.0f} MB.",
        "", "## Forward", "", markdown_table(heads, forwards),
    ]
    if stages:
        columns = ("network", "backend", "stage", "median ms", "p95", "max")
        text += ["", "## From JPEG", "", markdown_table(columns, stages)]
    return "\n".join(text)
