"""How long six JPEGs take to become lines, by backend and precision: a part of `mapkd benchmark gpu`."""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.benchmark.gpu_cases import Case, Setting, Values
from mapkd_core.benchmark.machine import markdown_table, summary

if TYPE_CHECKING:
    from mapkd_core.benchmark.latency_contenders import Images

TOTAL_MS, NETWORK_AND_LINES_MS = 25.0, 8.0
"""Aims for the 95th percentile, of all stages and of the last two: a set of images comes every 83 ms at 12 Hz."""
WAYS = {
    "cuda": [
        ("torch", "fp32"), ("torch", "fp16"), ("torch", "bf16"), ("torchscript", "fp32"), ("torchscript", "fp16"),
        ("cudagraph", "fp32"), ("cudagraph", "fp16"), ("cudagraph", "bf16"), ("onnx", "fp32"), ("tensorrt", "fp32"),
        ("tensorrt", "fp16"), ("compile", "fp16"), ("compile", "bf16"), ("compile", "fp32"),
    ],
    "cpu": [("torch", "fp32"), ("torchscript", "fp32"), ("onnx", "fp32"), ("onnx", "int8")],
}
"""Device -> backend and precision; what takes longest to compile comes last."""


def cases(setting: Setting) -> Iterator[Case]:
    """Students on the device, and eight bits on its CPU beside them."""
    for weights in setting.of(("nano", "small", "base"), ("nano",)):
        for backend, precision in WAYS[setting.device]:
            name = f"{weights} {backend} {precision}"
            yield Case(name, partial(_measured, setting, weights, backend, precision, setting.device))
        if setting.device == "cuda":
            yield Case(f"{weights} onnx int8 (CPU)", partial(_measured, setting, weights, "onnx", "int8", "cpu"))


@cache
def _images() -> Images:
    from mapkd_core.benchmark.latency_contenders import example_images

    return example_images(None)


def _measured(setting: Setting, weights: str, backend: str, precision: str, device: str) -> Values:
    from mapkd_core.artifact import card_path
    from mapkd_core.benchmark.latency_contenders import student
    from mapkd_core.runtime import RuntimeOptions

    options = RuntimeOptions(device=device, backend=backend, precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        contender = student(card_path(weights), weights, options, _images(), True, Path(folder))
        for _ in range(setting.of(20, 1)):
            contender.run()
        rounds = [contender.run() for _ in range(setting.of(300, 3))]
    values: Values = {}
    for stage in rounds[0]:
        values[stage] = list(summary([times[stage] for times in rounds]))
    values["total"] = list(summary([sum(times.values()) for times in rounds]))
    values["network and lines"] = list(summary([times["network"] + times["vectorize"] for times in rounds]))
    return {**values, "rounds": len(rounds)}


def table(values: dict[str, Values]) -> str:
    """Median of each stage, then 95th percentiles with the aims."""
    stages = ("decode", "prepare", "network", "vectorize")
    heads = [
        "student", *(f"{stage} ms" for stage in stages), "total ms", "total p95", "network and lines p95",
        f"p95 < {TOTAL_MS:g} and < {NETWORK_AND_LINES_MS:g} ms",
    ]  # fmt: skip
    rows: list[list[object]] = []
    for name, found in values.items():
        total, last = found["total"][1], found["network and lines"][1]
        met = total < TOTAL_MS and last < NETWORK_AND_LINES_MS
        rows.append([
            name, *(f"{found[stage][0]:.2f}" for stage in stages), f"{found['total'][0]:.2f}", f"{total:.2f}",
            f"{last:.2f}", "yes" if met else "no",
        ])  # fmt: skip
    return f"Batch 1, six JPEGs; medians unless it says p95.\n\n{markdown_table(heads, rows)}\n"
