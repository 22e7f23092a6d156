"""What the processor computes in hardware, from its flags."""
from __future__ import annotations

from pathlib import Path

BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Flags (x86, ARM) that mean bf16 arithmetic."""
INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
"""Flags (x86, ARM) that mean products of eight-bit numbers, summed in 32 bits."""


def has_any(flags: set[str], cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """True if the processor has one of the flags; False where the system does not tell. (psutil knows no flags.)"""
    if not cpuinfo.exists():
        return False
    lines = (line for line in cpuinfo.read_text().splitlines() if line.lower().startswith(("flags", "features")))
    return bool(flags & set(next(lines, "").split()))
