"""What `mapkd benchmark NAME` measures: one module a benchmark, each with its own options."""
from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "distill": ("mapkd_core.benchmark.distill", "teacher, coach, every distillation method, one table; resumable"),
}
"""name -> (module, one line for --help), as in cli.py."""
