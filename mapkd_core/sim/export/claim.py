"""What made an export's folder: noted there before the first file, so that two different exports are never mixed."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.files import code_fingerprint, fingerprint
from mapkd_core.schema import anything, mapping, parse_json, record
from mapkd_core.sim.drive import SimDrive
from mapkd_core.sim.roads.argoverse2_roads import ARGOVERSE2, argoverse2_map_file
from mapkd_core.storage import Storage, open_storage

NOTE = "export.json"
"""Name of the file that says how a folder was exported."""
JPEG_QUALITY = 92
_NOTE = record({}, {"scenes": mapping(record({}, {"conditions": mapping(anything)}))})


def claim(
    out: Storage | Path, drives: Sequence[SimDrive], scenes: Sequence[str], version: str, sweep_hz: float
) -> None:
    """Makes `out` the folder of this export, or finds that it is.

    Raises FileExistsError, naming what differs, if `out` holds an export with other options, or anything else.
    """
    storage = open_storage(out) if isinstance(out, Path) else out
    plan = json.loads(json.dumps(_plan(drives, scenes, version, sweep_hz)))
    found = storage.occupied()
    if NOTE in found:
        where, what = f"{storage.location}/{NOTE}", "the note of an export"
        there = parse_json(storage.read(NOTE), where, what, _NOTE, "choose a new folder")
        if changed := _differences(there, plan):
            raise FileExistsError(
                f"{storage.location} holds an export with other options ({'; '.join(changed)}); choose another --out, "
                "or delete it"
            )
        return
    if found:
        raise FileExistsError(
            f"{storage.location} holds something else ({', '.join(found[:3])}) and no {NOTE}, which every export "
            "writes first; choose a new or empty folder"
        )
    storage.write(NOTE, (json.dumps(plan, indent=1) + "\n").encode())


def _plan(drives: Sequence[SimDrive], scenes: Sequence[str], version: str, sweep_hz: float) -> dict[str, Any]:
    """Everything that the exported files follow from."""
    return {
        "software": code_fingerprint(Path(__file__).parents[1]),
        "version": version,
        "sweep_hz": sweep_hz,
        "jpeg_quality": JPEG_QUALITY,
        "scenes": {scene: _facts(drive) for scene, drive in zip(scenes, drives, strict=True)},
    }


def _facts(drive: SimDrive) -> dict[str, Any]:
    assert drive.rig is not None and drive.conditions is not None
    path = drive.trajectory
    poses = None if path is None else (path.path_m, path.times_s, path.height_m(path.path_m))
    return {
        "seed": drive.seed,
        "road": drive.road,
        "size": list(drive.size),
        "lidar": drive.lidar,
        "frames": drive.frames,
        "keyframe_s": drive.keyframe_s,
        "rig": drive.rig.name,
        "sensors": fingerprint(repr(drive.rig)),
        "own_body": None if drive.own_body is None else fingerprint(repr(drive.own_body)),
        "conditions": asdict(drive.conditions),
        "area_m": drive.area_m,
        "poses": None if poses is None else fingerprint(*(np.asarray(values).tobytes() for values in poses)),
        "map": None if drive.dataroot is None else _map_of(drive.dataroot, drive.road, drive.seed),
    }


def _map_of(dataroot: Path, road: str, seed: int) -> str | None:
    if road == ARGOVERSE2:
        return fingerprint(argoverse2_map_file(dataroot, seed))
    path = dataroot / "maps" / "expansion" / f"{road}.json"
    return fingerprint(path) if path.is_file() else None


def _differences(there: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Every value that differs, as `size was [176, 64], now [352, 128]`, once however many scenes it is of."""
    old, new = there.get("scenes", {}), plan["scenes"]
    pairs = [({**there, "scenes": list(old)}, {**plan, "scenes": list(new)})]
    for scene in [scene for scene in new if scene in old]:
        pairs += [(old[scene], new[scene]), (old[scene].get("conditions", {}), new[scene]["conditions"])]
    lines = {
        f"{key} was {a.get(key)}, now {b.get(key)}": None
        for a, b in pairs
        for key in dict.fromkeys([*b, *a])
        if a.get(key) != b.get(key) and key != "conditions"
    }
    return list(lines)
