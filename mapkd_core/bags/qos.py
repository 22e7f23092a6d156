"""Quality of service of a topic, as rosbag2 notes it in bags: what `ros2 bag play` and the player publish with."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from mapkd_core.yaml_file import parse_yaml

_RELIABLE, _BEST_EFFORT = (1, "reliable"), (2, "best_effort")
_LATCHED, _VOLATILE = (1, "transient_local"), (2, "volatile")
FOREVER = (9223372036, 854775807)
"""Seconds and nanoseconds with which rosbag2 writes an unlimited duration."""


@dataclass(frozen=True)
class Profile:
    """What one publisher offered."""

    depth: int = 10
    reliable: bool = True
    latched: bool = False
    """Durability is transient local: kept for subscribers that come later."""


SENSOR, TF, LATCHED = Profile(5), Profile(100), Profile(1, latched=True)


def profile_by_name(topic: str) -> Profile:
    """What publishers of a topic of this name usually offer; static transforms are useless where they are not kept."""
    name = topic.rsplit("/", 1)[-1]
    return LATCHED if name == "tf_static" else TF if name == "tf" else SENSOR


def as_text(profiles: Iterable[Profile]) -> str:
    """The YAML that stands in a bag; with numbers, which every release from Foxy on parses."""
    entries = [
        {
            "history": 1,  # keep last
            "depth": profile.depth,
            "reliability": (_RELIABLE if profile.reliable else _BEST_EFFORT)[0],
            "durability": (_LATCHED if profile.latched else _VOLATILE)[0],
            "deadline": dict(zip(("sec", "nsec"), FOREVER, strict=True)),
            "lifespan": dict(zip(("sec", "nsec"), FOREVER, strict=True)),
            "liveliness": 1,  # automatic
            "liveliness_lease_duration": dict(zip(("sec", "nsec"), FOREVER, strict=True)),
            "avoid_ros_namespace_conventions": False,
        }
        for profile in profiles
    ]
    return yaml.safe_dump(entries, sort_keys=False).strip() if entries else ""


def parsed(value: Any) -> tuple[Profile, ...]:
    """The profiles in a bag: text with numbers, or since Jazzy a list with words. Raises ValueError for another."""
    if isinstance(value, str):
        value = parse_yaml(value, "offered_qos_profiles", "a list of profiles", "it is left out")
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ValueError(f"offered_qos_profiles is {str(value)[:40]!r}; expected a list of profiles")
    return tuple(_profile(entry) for entry in value)


def _profile(entry: dict) -> Profile:
    """What a profile says; a policy that is unknown or left to the system counts as ROS's default."""
    depth = entry.get("depth")
    words = {key: str(entry.get(key)).lower() for key in ("reliability", "durability")}
    return Profile(
        depth if isinstance(depth, int) and 0 < depth < 1 << 31 else 10,
        words["reliability"] not in map(str, _BEST_EFFORT),
        words["durability"] in map(str, _LATCHED),
    )
