"""Settings under which raw images arrive: Fast DDS with enough shared memory, for launch file and benchmark."""
from __future__ import annotations

from pathlib import Path

PROFILE = Path("config", "fastdds_large_data.xml")
"""Below the package's share folder."""


def environment(share: Path, distribution: str = "") -> dict[str, str]:
    """Variables for every process that sends or receives raw images; `share` is the package's share folder.

    `distribution` is ROS_DISTRO. Only one of Fast DDS's two variables is set: Humble's and Jazzy's knows the old one
    alone, newer ones read both, and complain of a profile that comes twice.
    """
    name = "FASTRTPS_DEFAULT_PROFILES_FILE" if distribution in ("humble", "jazzy") else "FASTDDS_DEFAULT_PROFILES_FILE"
    return {
        name: str(share / PROFILE),
        # Without these, each raw image is mapped in and out of memory anew.
        "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    }
