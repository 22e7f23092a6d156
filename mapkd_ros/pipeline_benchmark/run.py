"""Measures the real node: sender, student_node and listener are processes of their own that meet over DDS.

Started by `mapkd benchmark pipeline`, where the options are explained; the core itself knows no ROS.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mapkd_core.benchmark.pipeline_options import configure
from mapkd_core.benchmark.process_usage import UsageSampler
from mapkd_core.files import write_atomic
from mapkd_ros import large_data
from mapkd_ros.child_process import ChildProcess, node_executable, private_domain
from mapkd_ros.pipeline_benchmark import tables as pipeline_tables
from mapkd_ros.pipeline_benchmark.fast_dds_files import remove_left_over, shared_files
from mapkd_ros.pipeline_benchmark.statistics import RunFigures, run_figures, span_ns

START_S = 180.0
END_S = 60.0


@dataclass(frozen=True)
class Case:
    """One line of the tables."""

    transport: str
    """compressed, raw with default settings, or raw with config/fastdds_large_data.xml."""
    rate_hz: float
    """0: as fast as the sender can."""
    warm_up_s: float
    seconds: float

    @property
    def rate(self) -> str:
        """In words."""
        return f"{self.rate_hz:g} Hz" if self.rate_hz else "flat out"


def cases(args: argparse.Namespace) -> Iterator[Case]:
    """Every transport at every rate. Raises ValueError for a rate or duration that makes no sense."""
    seconds = 60 * args.minutes if args.minutes is not None else args.seconds
    if seconds <= 0 or args.warm_up < 0:
        raise ValueError(f"{seconds:g} s after {args.warm_up:g} s of warm-up cannot be measured; expected more than 0")
    for transport in args.image_transports:
        for text in args.rates:
            try:
                rate_hz = 0.0 if text == "max" else float(text)
            except ValueError:
                rate_hz = -1.0
            if not 0 <= rate_hz <= 1000 or (text != "max" and rate_hz == 0):
                raise ValueError(f"--rates {text}: expected rounds a second, such as 10, or max")
            yield Case(transport, rate_hz, args.warm_up, seconds)


def measure(case: Case, args: argparse.Namespace, domain: int) -> pipeline_tables.Line:
    """Runs the three processes once and ends them; raises RuntimeError, with a log's tail, if one fails."""
    environment = private_domain(domain)
    if case.transport == "raw-large":
        environment |= large_data.environment(_share(), os.environ.get("ROS_DISTRO", ""))
    files: set[Path] = set()
    try:
        with contextlib.ExitStack() as stack:
            return _measure(case, args, environment, files, stack)
    finally:
        remove_left_over(files)


def _measure(
    case: Case, args: argparse.Namespace, environment: dict[str, str], files: set[Path], stack: contextlib.ExitStack
) -> pipeline_tables.Line:
    """`files` gets the shared memory that the processes hold when they are ended, in case they have to be killed."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mapkd_pipeline_")))
    sent_log, heard_log = folder / "sent.json", folder / "heard.json"

    def start(name: str, *words: object) -> ChildProcess:
        process = stack.enter_context(ChildProcess(name, [str(word) for word in words], environment))
        stack.callback(lambda: files.update(shared_files(process.pid) if process.returncode is None else ()))
        return process

    image_transport = case.transport.removesuffix("-large")
    parameters = [f"image_transport:={image_transport}", *args.parameters]
    chosen = [word for parameter in parameters for word in ("-p", parameter)]
    node = start("student_node", node_executable("student_node"), "--ros-args", *chosen)
    node.wait_for("waiting for", START_S)
    listener = start("listener", sys.executable, "-m", "mapkd_ros.pipeline_benchmark.listener", "--log", heard_log)
    listener.wait_for("listening", START_S)
    sender = start(
        "sender", sys.executable, "-m", "mapkd_ros.pipeline_benchmark.sender", "--dataroot", args.dataroot.resolve(),
        "--version", args.version, "--image-transport", image_transport,
        "--rate", case.rate_hz, "--warm-up", case.warm_up_s, "--seconds", case.seconds, "--log", sent_log,
    )  # fmt: skip
    pids = {"sender": sender.pid, "node": node.pid, "listener": listener.pid}
    sampler = stack.enter_context(UsageSampler(pids))
    sender.wait_for("sending", START_S)
    code = sender.wait(case.warm_up_s + case.seconds + 2 / (case.rate_hz or 2) + END_S)
    for process, ended in ((sender, code), (listener, listener.stop())):
        if ended:
            raise RuntimeError(f"{process.name} ended with exit code {ended}. Its last words:\n{process.tail()}")
    if node.returncode is not None:
        raise RuntimeError(f"student_node ended early, with code {node.returncode}. Its words:\n{node.tail()}")
    files.update(shared_files(node.pid))
    if node.stop():  # what was measured stands
        print("  student_node did not end in time on this busy machine and was killed", file=sys.stderr)
    sent, heard = json.loads(sent_log.read_text()), json.loads(heard_log.read_text())
    figures = run_figures(sent, heard)
    return pipeline_tables.Line(case.transport, case.rate, figures, sampler.samples, span_ns(sent), sampler.machine)


def _share() -> Path:
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory("mapkd_ros"))


def main(argv: Sequence[str] | None = None) -> int:
    """Measures every case and prints the tables; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    configure(parser)
    args = parser.parse_args(argv)
    domain = random.randint(1, 100)  # its own: other ROS programs neither disturb the benchmark nor hear it
    lines: list[pipeline_tables.Line] = []
    code = 0
    try:
        if args.dataroot is None:
            raise ValueError("--dataroot is missing; start this as: mapkd benchmark pipeline")
        for case in list(cases(args)):
            lines.append(measure(case, args, domain))
            print(f"  {case.transport} {case.rate}: {_brief(lines[-1].figures)}", flush=True)
    except (RuntimeError, ValueError, FileNotFoundError) as error:
        print(f"pipeline benchmark: {error}", file=sys.stderr)
        code = 2
    if lines:  # also of a run that broke off later
        command = " ".join(["mapkd benchmark pipeline", *(sys.argv[1:] if argv is None else argv)])
        text = pipeline_tables.markdown(lines, command, args.parameters)
        print(f"\n{text}")
        if args.out:
            try:
                write_atomic(args.out, text)
            except OSError as error:  # what was measured stands above
                print(f"pipeline benchmark: {error}", file=sys.stderr)
                code = 2
    return code


def _brief(figures: RunFigures) -> str:
    latency = figures.from_anchor
    late = f", {latency.median:.0f} ms median, {latency.p95:.0f} ms p95" if latency else ""
    return f"{figures.mapped} maps of {figures.sent} sets{late}"


if __name__ == "__main__":
    sys.exit(main())
