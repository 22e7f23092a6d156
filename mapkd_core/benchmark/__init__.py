"""What `mapkd benchmark NAME` measures: one module a benchmark, each with its own options."""
from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "distill": ("mapkd_core.benchmark.distill", "teacher, coach, every distillation method, one table; resumable"),
    "pipeline": ("mapkd_core.benchmark.pipeline", "the node over DDS: latency, drops, processor, memory (needs ROS 2)"),
    "vectorize": ("mapkd_core.benchmark.vectorize", "semantic maps to lines: time, scores, HDMapNet's beside it"),
}
"""name -> (module, one line for --help), as in cli.py."""
