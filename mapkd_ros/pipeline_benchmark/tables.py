"""The pipeline benchmark's figures as Markdown tables."""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mapkd_core.benchmark.machine import PACKAGES, Summary, describe, markdown_table
from mapkd_core.benchmark.process_usage import Usage, cpu_percent, mb_per_minute
from mapkd_ros.pipeline_benchmark.statistics import RunFigures

READING = """\
Sender, student_node and listener are three processes on this machine that meet over DDS; all times are of its one
monotonic clock. A round is one image of each of six cameras, sent one after the other as in the drive. Latency runs
from the moment before an image is handed to DDS, so its own transport counts, until the listener's callback has the
VectorMap: `front` from the front camera's image, whose stamp the map carries; `complete` from the last image of the
set. CPU is the share of one core."""

MOST_REASONS, MOST_SAMPLES = 4, 11


@dataclass(frozen=True)
class Line:
    """One transport at one rate."""

    transport: str
    rate: str
    figures: RunFigures
    samples: Mapping[str, Sequence[Usage]]
    """Process -> what it used."""
    span_ns: tuple[int, int]
    """Monotonic begin and end of the measured part."""
    machine: Sequence[Usage] = ()
    """What all processes together used."""


def markdown(lines: Sequence[Line], command: str, parameters: Sequence[str] = ()) -> str:
    """The whole results file."""
    rmw = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp (default)")
    distribution = os.environ.get("ROS_DISTRO", "not named")
    head = [
        "# The node from image to map",
        "",
        describe(packages=[*PACKAGES, "ros-rclpy"]),
        "",
        f"ROS distribution {distribution}, {rmw}; node parameters: {', '.join(parameters) or 'the defaults'}",
        "",
        f"`{command}`",
        "",
        READING,
    ]
    parts = ["\n".join(head)]
    for title, table in (
        ("Latency [ms]", latency_table),
        ("Sets without a map", drop_table),
        ("Where the time goes in the node [ms, medians]", stage_table),
        ("Processor [% of one core]", cpu_table),
        ("Memory of the node [MB]", memory_table),
    ):
        parts.append(f"## {title}\n\n{_rows(lines, table)}")
    return "\n\n".join(parts) + "\n"


def latency_table(line: Line) -> dict[str, object]:
    """Rates and latencies."""
    figures = line.figures
    return {
        "sent": figures.sent,
        "sent Hz": figures.sent_hz,
        "mapped": figures.mapped,
        "mapped Hz": figures.mapped_hz,
        "front: median / p95 / max": _three(figures.from_anchor),
        "complete: median / p95 / max": _three(figures.from_complete),
        "markers, from front": _three(figures.markers_from_anchor),
    }


def drop_table(line: Line) -> dict[str, object]:
    """What became of the sets that gave no map, as the node counts it."""
    figures = line.figures
    ordered = sorted(figures.drops.items(), key=lambda item: -item[1])
    reasons = [f"{count} {reason}" for reason, count in ordered[:MOST_REASONS]]
    if len(ordered) > MOST_REASONS:
        others = sum(count for _, count in ordered[MOST_REASONS:])
        reasons.append(f"{others} for {len(ordered) - MOST_REASONS} other reasons")
    return {
        "without a map": figures.sent - figures.mapped,
        "reasons": "; ".join(reasons) or "-",
        "sender behind [s]": figures.behind_s,
        "sendings put off by DDS": figures.put_off,
    }


def stage_table(line: Line) -> dict[str, object]:
    """The node's own stages."""
    stages: dict[str, object] = {f"{name}": ms for name, ms in line.figures.stage_ms.items()}
    elsewhere = line.figures.elsewhere_ms
    return {**stages, "transport and rest": "-" if elsewhere is None else elsewhere}


def cpu_table(line: Line) -> dict[str, object]:
    """Each process's share of a core, and what programs that have nothing to do with this one took."""
    found = {name: cpu_percent(samples, *line.span_ns) for name, samples in line.samples.items()}
    everything = cpu_percent(line.machine, *line.span_ns)
    known = [percent for percent in found.values() if percent is not None]
    found["other programs"] = None if everything is None else max(0.0, everything - sum(known))
    return {name: "-" if percent is None else f"{percent:.0f}" for name, percent in found.items()}


def memory_table(line: Line) -> dict[str, object]:
    """The node's memory when the benchmark began, when measuring began and at its end, and the trend between."""
    samples, (begin_ns, end_ns) = line.samples["node"], line.span_ns
    inside = [usage for usage in samples if begin_ns <= usage.monotonic_ns <= end_ns]
    if not inside:
        return {"resident": "-"}
    slope = mb_per_minute(samples, begin_ns, end_ns)
    return {
        "minutes": (end_ns - begin_ns) / 60e9,
        "resident at start": samples[0].rss_mb,
        "after warm-up": inside[0].rss_mb,
        "at the end": inside[-1].rss_mb,
        "private, first to last": " ".join(f"{usage.private_mb:.0f}" for usage in evenly(inside, MOST_SAMPLES)),
        "slope of private [MB/min]": "-" if slope is None else f"{slope:+.2f}",
        "threads": inside[-1].threads,
    }


def evenly(samples: Sequence[Usage], most: int) -> list[Usage]:
    """At most so many of the samples, at even distances, the first and the last among them."""
    if len(samples) <= most:
        return list(samples)
    return [samples[round(place * (len(samples) - 1) / (most - 1))] for place in range(most)]


def _three(times: Summary | None) -> str:
    return "-" if times is None else f"{times.median:.0f} / {times.p95:.0f} / {times.max:.0f}"


def _rows(lines: Sequence[Line], table: Callable[[Line], dict[str, object]]) -> str:
    found = [{"transport": line.transport, "rate": line.rate, **table(line)} for line in lines]
    heads = list(dict.fromkeys(head for row in found for head in row))
    return markdown_table(heads, [[row.get(head, "-") for head in heads] for row in found])
