"""What distillation brings at full size, in one call of at most 25 minutes on a large GPU; each run of it goes on.

examples:
  mapkd benchmark gpu_distill --out runs/gpu_distill
  mapkd benchmark gpu_distill --out runs/gpu_distill --minutes 9
  mapkd benchmark gpu_distill --out runs/gpu_distill_tiny --device cpu --tiny

HDMapNet and MapKD's published student, each alone and taught, and our nano, small and base, alone and taught, under
one recipe on simdrive-v1, beside each other: they train side by side on the same batches, and teacher and coach, which
are trained first, predict once for all. How many steps the time allows is found out on this machine and kept, so that
all students have the same number. `best` weights are chosen on val; the table reports test. For nano, small and base
the better of alone and taught (on val) is exported to --out/weights. --out/gpu_distill.md is the table.
"""
from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.benchmark.gpu_cases import Case, Record, Setting, Values, run_part
from mapkd_core.benchmark.machine import command_line, cores, describe, markdown_table

if TYPE_CHECKING:
    from mapkd_core.config import TrainConfig
    from mapkd_core.distill.config import DistillConfig

PART = "distill"
SPLITS = {"train": 200, "val": 20, "test": 40}
"""Split of simdrive-v1 -> drives that are packed; 8 frames each."""
NETWORKS = ("hd_prior", "teacher", "coach")
PYRAMID = {"method": "pyramid", "method_options": {"feature_weight": 0.5}}
MAPKD = {"method": "mapkd", "calibrate_steps": 120}
STUDENTS: dict[str, dict[str, Any]] = {
    "hdmapnet": {"model": "hdmapnet", "model_options": {}},
    "mapkd_student": {"model": "mapkd_student", "model_options": {}},
    "nano": {"model": "student", "model_options": {"variant": "nano"}},
    "small": {"model": "student", "model_options": {"variant": "small"}},
    "base": {"model": "student", "model_options": {"variant": "base"}},
}
TAUGHT = {"hdmapnet": ("mapkd", "pyramid"), "mapkd_student": ("mapkd", "pyramid"), "nano": ("mapkd", "pyramid"),
          "small": ("pyramid",), "base": ("pyramid",)}  # fmt: skip
"""Student -> methods beside `none`. MapKD's is the papers'; `pyramid` led the CPU-sized comparison."""
SHARES = {"networks": 0.3, "students": 0.4}
"""Of WHOLE_S; the rest is for data, probes, validation and scoring."""
WHOLE_S = 25 * 60.0
"""Of all calls together: the number of steps does not depend on how long each of them may last."""
_PROBE_STEPS = 8
_NARROW = {"encoder": "small", "camera_channels": 8, "lidar_channels": 8, "pillar_width": 8, "bev_width": 8,
           "mae_dim": 16, "mae_layers": 1, "mae_heads": 2}  # fmt: skip
_NARROW_STUDENT = {"image_width": 8, "bev_width": 8, "view_channels": 8}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results, new or begun")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="cuda; cpu for a rehearsal")
    parser.add_argument("--tiny", action="store_true", help="small sizes and counts: whether all runs")
    parser.add_argument("--minutes", type=float, default=25.0, help="at most so long (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Trains and scores as far as the time goes, and writes the table."""
    from mapkd_core.files import FolderLock, write_atomic
    from mapkd_core.progress import say
    from mapkd_core.runtime.face import pick_device

    if args.minutes <= 0:
        raise ValueError(f"--minutes {args.minutes:g}; expected more than 0")
    pick_device(args.device)
    setting = Setting(args.device, args.tiny, args.out, 60 * args.minutes)
    with FolderLock(args.out):
        ending = run_part(__name__, PART, setting)
    text = report(setting, ending)
    write_atomic(args.out / "gpu_distill.md", text)
    say(text)
    return 0 if ending == "done" else 1


def cases(setting: Setting) -> Iterator[Case]:
    """Data, teachers, students, scores, weights: each needs those before it."""
    for split in SPLITS:
        yield Case(f"data {split}", partial(_packed, setting, split))
    for name in NETWORKS:
        yield Case(f"network {name}", partial(_network, setting, name))
    yield Case("students", partial(_students, setting))
    for row in rows():
        yield Case(f"test {row}", partial(_scored, setting, row))
    for student in ("nano", "small", "base"):
        yield Case(f"weights {student}", partial(_exported, setting, student))


def rows() -> dict[str, dict[str, Any]]:
    """Row -> what its config has of its own."""
    kinds: dict[str, dict[str, Any]] = {"none": {"method": "none"}, "mapkd": MAPKD, "pyramid": PYRAMID}
    return {f"{s}_{m}": {**STUDENTS[s], **kinds[m]} for s in STUDENTS for m in ("none", *TAUGHT[s])}


def _packed(setting: Setting, split: str) -> Values:
    """Frames as `mapkd cache simdrive-v1:SPLIT:full:DRIVES --lidar` packs them."""
    from mapkd_core.data.cache_record import CacheOptions
    from mapkd_core.data.cache_write import write_cache
    from mapkd_core.evaluation.identity import frames_fingerprint
    from mapkd_core.frame_sources import open_frames

    size = _image_size(setting)
    name = f"simdrive-v1:{split}:full:{SPLITS[split]}" if not setting.tiny else f"simdrive-v1:{split}:small:1"
    source, _ = open_frames(name, image_size=size, lidar=True)
    write_cache(
        source, _cache(setting, split), CacheOptions(size, lidar=True), workers=0 if setting.tiny else cores(),
        name=name, data_fingerprint=frames_fingerprint(source),
    )
    return {"note": f"{name}, {len(source)} frames"}


def _image_size(setting: Setting) -> tuple[int, int]:
    size: tuple[int, int] = setting.of((352, 128), (96, 48))
    return size


def _cache(setting: Setting, split: str) -> Path:
    return setting.folder / "data" / split


def base_config(setting: Setting, **changes: Any) -> DistillConfig:
    """The one recipe: that of our shipped students, in mixed precision."""
    from mapkd_core.config import AugmentConfig, DataConfig, LossConfig
    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.grid import GRID_60X30, BevGrid

    data = DataConfig(
        train=f"cache:{_cache(setting, 'train')}", val=f"cache:{_cache(setting, 'val')}",
        image_size=_image_size(setting), lidar=True, sd_map=True, workers=setting.of(max(cores() - 1, 1), 0),
    )
    fields: dict[str, Any] = {
        "grid": setting.of(GRID_60X30, BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.6)), "data": data,
        "out": str(setting.folder / "runs"), "loss": LossConfig(dice=1.0), "accelerator": setting.device,
        "augment": AugmentConfig(photometric=0.7, scale=0.15, flip=True, yaw_degrees=12.0),
        "batch_size": setting.of(8, 2), "optimizer": "muon", "learning_rate": 2e-2, "weight_decay": 1e-2,
        "schedule": "cosine", "ema": 0.995, "precision": "bf16-mixed", "save_every": 50, "steps": 10,
        "teacher": str(setting.folder / "runs" / "teacher"), "coach": str(setting.folder / "runs" / "coach"),
    }  # fmt: skip
    return DistillConfig(**{**fields, **changes})


def network_config(setting: Setting, network: str, steps: int, **changes: Any) -> TrainConfig:
    """The teacher's, the coach's, or their prior's training; our view transform, as the simulator has two rigs."""
    from mapkd_core.config import TrainConfig

    base = {k: v for k, v in vars(base_config(setting)).items() if k in TrainConfig.__dataclass_fields__}
    init = () if network == "hd_prior" else (str(setting.folder / "runs" / "hd_prior"),)
    options = {"view": "pillars", "sd_skip": True, **(_NARROW if setting.tiny else {})}
    timing = {"steps": steps, "warmup_steps": steps // 10, "val_every": max(steps // 2, 1), "optimizer": "adamw",
              "learning_rate": 1e-3, "val_batches": setting.of(0, 1)}  # fmt: skip
    return TrainConfig(**{**base, "model": network, "model_options": options, "name": network, "init": init, **timing,
                          **changes})  # fmt: skip


def _planned(setting: Setting, what: str, seconds: float, probe: Any) -> int:
    """Steps of `what`, found out once by `probe(steps)` and kept for the runs that go on."""
    place = setting.folder / "runs" / f"{what}.steps.json"
    if place.exists():
        return int(json.loads(place.read_text())["steps"])
    steps = 2
    if not setting.tiny:
        probe(2)  # compiling, choosing algorithms, starting loader processes
        began = time.perf_counter()
        probe(2 + _PROBE_STEPS)
        steps = max(int(seconds * _PROBE_STEPS / (time.perf_counter() - began)), 20)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"steps": steps}))
    return steps


def _network(setting: Setting, name: str) -> Values:
    from mapkd_core.training.loop import train

    def probe(steps: int) -> None:
        train(network_config(setting, name, steps, name=f"probe/{name}{steps}", val_batches=1), restart=True)

    box_s = SHARES["networks"] * WHOLE_S * (0.2 if name == "hd_prior" else 0.4)
    steps = _planned(setting, name, box_s, probe)
    folder = train(network_config(setting, name, steps))
    return {"note": f"{steps} steps, {_best(folder)}"}


def _best(folder: Path) -> str:
    return f"{100 * _best_miou(folder):.2f} mIoU on val"


def _best_miou(folder: Path) -> float:
    from mapkd_core.training.checkpoint import load_checkpoint

    return float(load_checkpoint(folder / "last.pt")["best"])


def _students(setting: Setting) -> Values:
    from mapkd_core.training.lockstep import train_together
    from mapkd_core.training.teachers import frozen_networks

    def together(configs: list[DistillConfig]) -> dict[str, dict[str, float]]:
        return train_together(configs, frozen_networks(configs[0]))

    def probe(steps: int) -> None:
        configs = student_configs(setting, steps)
        together([replace(c, name=f"probe/{c.name}{steps}", val_batches=1) for c in configs])

    steps = _planned(setting, "students", SHARES["students"] * WHOLE_S, probe)
    together(student_configs(setting, steps))
    return {"note": f"{steps} steps each, side by side"}


def student_configs(setting: Setting, steps: int) -> list[DistillConfig]:
    """One for each row, of equal length."""
    configs = []
    for row, own in rows().items():
        options = dict(own["model_options"])
        if setting.tiny:
            options |= {"view": "pillars", **_NARROW} if own["model"] != "student" else _NARROW_STUDENT
        method = own["method"]
        configs.append(base_config(
            setting, name=row, model=own["model"], model_options=options, steps=steps, warmup_steps=steps // 10,
            method=method, method_options=own.get("method_options", {}), val_every=max(steps // setting.of(3, 1), 1),
            calibrate_steps=min(own.get("calibrate_steps", 0), steps // 4), val_batches=setting.of(0, 1),
        ))  # fmt: skip
    return configs


def _scored(setting: Setting, row: str) -> Values:
    from mapkd_core.evaluation.evaluate_cache import scored_once

    folder = setting.folder / "runs" / row
    result = scored_once(folder, _cache(setting, "test"), folder / "test", folder / "best.pt", cores())
    ap = {name: 100 * float(definition["0.5/1/1.5"]["mAP"]) for name, definition in result["ap"].items()}
    return {"miou": 100 * float(result["iou"]["miou"]), "val": 100 * _best_miou(folder), **ap}


def _exported(setting: Setting, student: str) -> Values:
    from mapkd_core.artifact import save_artifact
    from mapkd_core.training.trained import load_run

    candidates = [row for row in rows() if row.startswith(f"{student}_")]
    best = max(candidates, key=lambda row: _best_miou(setting.folder / "runs" / row))
    network, card = load_run(setting.folder / "runs" / best, name=student, version="0.1.0")
    place = setting.folder / "weights" / f"{student}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    save_artifact(place, card, network.state_dict())
    return {"note": f"{best}, {_best(setting.folder / 'runs' / best)}: {place}"}


def report(setting: Setting, ending: str) -> str:
    """The table of students, alone and taught; then what was done, and what has no result with the reason."""
    record = Record(setting.folder / "parts", PART)
    values, results = record.values(), record.results()
    lines = ["# Distillation on a GPU", "", describe(setting.device), "", f"`{command_line()}`", ""]
    if setting.tiny:
        lines += ["Sizes and counts are tiny: the figures say that all of it runs, nothing else.", ""]
    tested = {row: values[f"test {row}"] for row in rows() if f"test {row}" in values}
    aps = sorted({key for found in tested.values() for key in found if key.startswith("ap_")})
    table = [_row(row, found, tested.get(f"{row.rsplit('_', 1)[0]}_none"), aps) for row, found in tested.items()]
    if table:
        heads = ["student", "method", "mIoU on val", "mIoU", "than alone", *aps, f"{aps[0]} than alone"]
        lines += ["Scores on test, one seed; no spread is known.", "", markdown_table(heads, table), ""]
    noted = {case: found for case, found in values.items() if "note" in found}
    lines += [f"- {case}: {found['note']}, {found['seconds']:.0f} s" for case, found in noted.items()]
    for case, entry in results.items():
        lines += [f"- {case}: {entry[kind]}" for kind in ("error", "missing", "cut", "ended") if kind in entry]
    if ending != "done":
        lines += ["", f"Not finished: {ending}. The same command goes on."]
    return "\n".join(lines) + "\n"


def _row(row: str, found: Values, alone: Values | None, aps: list[str]) -> list[object]:
    student, method = row.rsplit("_", 1)
    gains = [f"{found[k] - alone[k]:+.2f}" if alone and method != "none" else "" for k in ("miou", *aps[:1])]
    scores = [f"{found[name]:.2f}" for name in aps]
    return [student, method, f"{found['val']:.2f}", f"{found['miou']:.2f}", gains[0], *scores, *gains[1:]]
