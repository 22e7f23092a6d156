"""What `mapkd benchmark NAME` measures: one module a benchmark, each with its own options."""
from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "cluster": ("mapkd_core.benchmark.cluster", "frames a second and worker here and by Ray; what an engine costs"),
    "distill": ("mapkd_core.benchmark.distill", "teacher, coach, every distillation method, one table; resumable"),
    "evaluate": ("mapkd_core.benchmark.evaluate", "scoring: IoU and every AP, HDMapNet's evaluator beside ours"),
    "gpu": ("mapkd_core.benchmark.gpu", "what only a GPU can show: CUDA equals CPU, latency, streaming, a training"),
    "gpu_distill": ("mapkd_core.benchmark.gpu_distill", "full-size students alone and taught, side by side, on a GPU"),
    "latency": ("mapkd_core.benchmark.latency", "images to lines by stage; students beside the papers' networks"),
    "mapping": ("mapkd_core.benchmark.mapping", "street maps of simulated drives: quality beside single maps, cost"),
    "pipeline": ("mapkd_core.commands.benchmark_pipeline", "the node over DDS: latency, drops, memory (needs ROS 2)"),
    "robustness": ("mapkd_core.benchmark.robustness", "what wrong calibration, dead cameras and night cost"),
    "sim": ("mapkd_core.benchmark.sim", "the simulator: frames a second by part and process, an old build beside it"),
    "streets": ("mapkd_core.benchmark.streets", "real streets: against moved maps and image masks, beside simulation"),
    "training": ("mapkd_core.benchmark.training", "a config's training step by part, samples a second, memory"),
    "vectorize": ("mapkd_core.benchmark.vectorize", "semantic maps to lines: time, scores, HDMapNet's beside it"),
}
"""name -> (module, one line for --help), as in main.py."""
