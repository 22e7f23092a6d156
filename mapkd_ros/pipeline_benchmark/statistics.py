"""From the logs of sender and listener to the figures of one run of the pipeline benchmark. Pure Python."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mapkd_core.benchmark.machine import Summary, summary

ANCHOR = "CAM_FRONT"
UNEXPLAINED = "no reason given"
LOST = "front image lost before the node"
_COUNTED = ("dropped: ", "set not formed: ")


@dataclass(frozen=True)
class RunFigures:
    """What was measured of one transport at one rate; latencies in ms, None where no map came."""

    sent: int
    """Rounds of six images."""
    sent_hz: float
    mapped: int
    mapped_hz: float
    from_anchor: Summary | None
    """From handing the front image to DDS until the listener has the map."""
    from_complete: Summary | None
    """From handing the last image of the set to DDS until the listener has the map."""
    markers_from_anchor: Summary | None
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    """Stage as the node measures it -> median."""
    elsewhere_ms: float | None = None
    """Median of what is left of `from_complete`: transport, waiting for the processor."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """Reason -> rounds for which no map came."""
    behind_s: float = 0.0
    """By how much the sender could not keep its rate."""
    put_off: int = 0
    """How often DDS did not take a message at once, because subscribers had not yet taken the ones before."""


def run_figures(sent: Mapping[str, Any], heard: Mapping[str, Any]) -> RunFigures:
    """Figures of the measured part of a run from the two logs. Raises ValueError for a log that shows no sending."""
    rounds = sent["rounds"][sent["measured_from"] :]
    if not rounds:
        raise ValueError("the sender sent no round in the time that was to be measured; give more --seconds")
    cameras = sent["cameras"]
    anchor = cameras.index(ANCHOR)
    sent_ns = {(cameras[i], stamp): before for entry in rounds for i, (stamp, before, _) in enumerate(entry)}
    anchors = {entry[anchor][0]: entry[anchor][1] for entry in rounds}
    begin_ns, end_ns = span_ns(sent)
    maps = {m["stamp_ns"]: m for m in heard["maps"] if m["stamp_ns"] in anchors}
    whole, complete, rest = [], [], []
    for stamp, found in maps.items():
        whole.append((found["arrived_ns"] - anchors[stamp]) / 1e6)
        # Where two rounds mix, one of the images may be of the warm-up.
        images = zip(found["cameras"], found["source_stamps_ns"], strict=True)
        last_ns = max(sent_ns[image] for image in images if image in sent_ns)
        complete.append((found["arrived_ns"] - last_ns) / 1e6)
        rest.append(complete[-1] - sum(found["stage_ms"].values()))
    shown = [(arrived - anchors[stamp]) / 1e6 for stamp, arrived in heard["markers"] if stamp in anchors]
    seconds = (end_ns - begin_ns) / 1e9
    return RunFigures(
        sent=len(rounds),
        sent_hz=len(rounds) / seconds,
        mapped=len(maps),
        mapped_hz=len(maps) / seconds,
        from_anchor=summary(whole) if whole else None,
        from_complete=summary(complete) if complete else None,
        markers_from_anchor=summary(shown) if shown else None,
        stage_ms=_stage_medians(list(maps.values())),
        elsewhere_ms=summary(rest).median if rest else None,
        drops=drops(heard["diagnostics"], begin_ns, len(rounds), len(maps)),
        behind_s=sent["behind_ns"] / 1e9,
        put_off=sent["put_off"],
    )


def span_ns(sent: Mapping[str, Any]) -> tuple[int, int]:
    """Monotonic begin and end of the measured part: the first image, and one period after the last round's first."""
    rounds = sent["rounds"][sent["measured_from"] :]
    begins = [min(before for _, before, _ in entry) for entry in rounds]
    period = (begins[-1] - begins[0]) / (len(begins) - 1) if len(begins) > 1 else 1e9 / (sent["rate_hz"] or 1.0)
    return begins[0], begins[-1] + round(period)


def _stage_medians(maps: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    stages = list(maps[-1]["stage_ms"]) if maps else []
    return {stage: summary([m["stage_ms"][stage] for m in maps if stage in m["stage_ms"]]).median for stage in stages}


def drops(
    diagnostics: Sequence[tuple[int, Mapping[str, Mapping[str, str]]]], begin_ns: int, sent: int, mapped: int
) -> dict[str, int]:
    """Reason -> rounds without a map, from the node's counters before and after; they add up to sent - mapped."""
    before = _counters([values for arrived, values in diagnostics if arrived <= begin_ns][-1:])
    after = _counters([values for _, values in diagnostics][-1:])
    found = {reason: after[reason] - before.get(reason, 0) for reason in after if reason != ANCHOR}
    found = {reason: count for reason, count in found.items() if count > 0}
    if ANCHOR in after:
        # A round without its front image is counted as missing it, if any of its other images came.
        lost = sent - (after[ANCHOR] - before.get(ANCHOR, 0))
        noticed = found.pop(f"missing {ANCHOR} (anchor)", 0)
        if max(lost, noticed) > 0:
            found[LOST] = max(lost, noticed)
    left = sent - mapped - sum(found.values())
    return {**found, UNEXPLAINED: left} if left else found


def _counters(newest: Sequence[Mapping[str, Mapping[str, str]]]) -> dict[str, int]:
    """Counters of sets that were given up, by reason, and the front images that came."""
    found: dict[str, int] = {}
    for values in newest:
        for name, pairs in values.items():
            if name.endswith(f": {ANCHOR}"):
                found[ANCHOR] = int(pairs["images"])
            for key, value in pairs.items():
                for prefix in _COUNTED:
                    if key.startswith(prefix):
                        found[key.removeprefix(prefix)] = int(value)
    return found
