"""What a map builder may be told."""
from __future__ import annotations

from dataclasses import dataclass, fields

from mapkd_core.schema import Misfit, Schema, flag, integer, number, record

STEP_M = 0.5
"""Distance between the samples of a line in the map."""


@dataclass(frozen=True)
class MappingOptions:
    """How sightings become a map. Raises ValueError for a value out of its range."""

    across_m: float = 1.2
    """A sighting belongs to a line of the map that is no farther away, measured across it."""
    far_m: float = 12.0
    """At this distance from the vehicle a sighting weighs half of one beside it."""
    against: float = 0.5
    """Weight of not seeing a line that should be seen, beside that of seeing it with score 1."""
    least_share: float = 0.45
    """A line is in the map where at least this share of the weighted sightings is for it."""
    least_sightings: int = 5
    """A line is in the map where so many sets show it."""
    least_length_m: float = 5.0
    """Shorter lines are left out."""
    join_m: float = 6.0
    """Two ends that look at each other are joined over at most this gap."""
    align: bool = True
    """Whether sets are shifted and turned to fit the map where the vehicle comes by again, or its pose jumps."""
    align_m: float = 1.5
    """A set is shifted at most so far from where the set before was put: less than half a lane, so that no lane is
    taken for its neighbor. At most twice so far where the vehicle comes to an earlier pass, and no other shift fits
    as well. What would need more is refused and counted."""
    align_deg: float = 3.0
    """The same for its turn."""

    def __post_init__(self) -> None:
        try:
            _SCHEMA({entry.name: getattr(self, entry.name) for entry in fields(self)})
        except Misfit as misfit:
            raise ValueError(f"mapping option {misfit.text()}") from None


_SCHEMAS: dict[str, Schema] = {
    "across_m": number(0.1, 5), "far_m": number(1, 1000), "against": number(0, 10), "least_share": number(0, 1),
    "least_sightings": integer(1), "least_length_m": number(0, 1000), "join_m": number(0, 50), "align": flag,
    "align_m": number(0, 20), "align_deg": number(0, 45),
}  # fmt: skip
_SCHEMA = record(_SCHEMAS)
