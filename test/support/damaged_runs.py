"""Readers of what training and evaluation leave, with small sound files for each."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from damaged_reader import Reader, write_json

from mapkd_core.artifact import check_graph, load_card, load_model, note_graph
from mapkd_core.config import TrainConfig, config_dict, load_config, yaml_text
from mapkd_core.evaluation.result_file import read_result
from mapkd_core.evaluation.training_curves import read_curves, read_images
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.frame_file import FrameRecord, encode_semantic, read_frames
from mapkd_core.metrics.submission import read_submission
from mapkd_core.training.checkpoint import refuse_another_run, save_checkpoint
from mapkd_core.training.trained import trained_network
from mapkd_core.types import MapElement

_GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)


def _make_card(folder: Path) -> None:
    from tiny_student import save_tiny_student

    path = save_tiny_student(folder)
    path.with_suffix(".onnx").write_bytes(b"a graph")
    note_graph(path, path.with_suffix(".onnx"))


def _read_card(folder: Path) -> None:
    card = load_card(folder / "tiny.json")
    check_graph(folder / "tiny.json", card, folder / "tiny.onnx")


def _repair_card(folder: Path) -> None:
    try:
        card = json.loads((folder / "tiny.json").read_bytes())
        card["weights_sha256"] = hashlib.sha256((folder / "tiny.safetensors").read_bytes()).hexdigest()
        write_json(folder / "tiny.json", card)
    except (ValueError, TypeError, RecursionError):
        return


def _make_submission(folder: Path) -> None:
    vectors = [
        {"pts": [[0, 0], [1.5, 2]], "pts_num": 2, "type": 0, "confidence_level": 0.5},
        {"pts": [[0, 0], [1, 1], [2, 0], [0, 0]], "pts_num": 4, "type": 1, "confidence_level": 1},
    ]
    write_json(folder / "a.json", {"meta": {"use_camera": True, "vector": True}, "results": {"t": vectors, "u": []}})


def _make_frames(folder: Path) -> None:
    line = MapElement("divider", np.array([[0, 0], [3, 4], [5, 5.0]]), 0.75)
    ring = MapElement("ped_crossing", np.array([[0, 0], [1, 0], [1, 1], [0, 0.0]]), 1.0, closed=True)
    artifact = {"name": "a", "version": "1"}
    header = {"format": "mapkd-frames-1", "grid": _GRID.as_dict(), "artifact": artifact, "data": "d"}
    records = [
        FrameRecord("t0", [line, ring], [ring], encode_semantic(np.zeros((4, 6), np.uint8)), "scene", ("day",)),
        FrameRecord("t1", [], stage_ms={"network": 1.5}),
    ]
    (folder / "a.jsonl").write_text("\n".join([json.dumps(header), *[r.line() for r in records], ""]))


def _make_result(folder: Path) -> None:
    classes = {"divider": 0.5, "ped_crossing": None, "boundary": 0.25}
    ap, iou = {"0.5/1/1.5": {"per_class": classes, "mAP": 0.3}}, {**classes, "miou": 0.4}
    write_json(folder / "result.json", {
        "frames": 3, "ap": {"ap_chamfer": ap}, "iou": iou, "iou_exact_lines": iou,
        "by_distance": {"0-10 m": {"ap_chamfer_corrected": ap, "iou": iou}},
        "by_condition": {"day": {"ap": {"ap_chamfer": ap}, "iou": iou, "frames": 3}},
        "latency_ms": {"network": 3.5, "total": 5}, "notes": ["a note"], "examples": {"best": ["t0"], "worst": ["t1"]},
        "machine": "a machine",
    })  # fmt: skip


def _read_report(folder: Path) -> None:
    from mapkd_core.evaluation.report import build_report

    read_result(folder / "result.json")
    build_report(None, None, [folder])


def _make_config(folder: Path) -> None:
    (folder / "a.yaml").write_text(yaml_text(TrainConfig(init=("runs/a",), model_options={"variant": "nano"})))

_DEFAULTS = config_dict(TrainConfig())


def _make_run(folder: Path) -> None:
    write_json(folder / "config.json", _DEFAULTS)
    (folder / "last.pt").touch()


def _make_checkpoint(folder: Path) -> None:
    from tiny_student import GRID, OPTIONS, SIZE

    from mapkd_core.config import DataConfig
    from mapkd_core.model.build import build_model

    config = TrainConfig(model_options=OPTIONS, grid=GRID, data=DataConfig(image_size=SIZE))
    network = build_model("student", GRID, SIZE, OPTIONS).state_dict()
    state = {"step": 3, "best": 0.5, "network": network, "average": {}, "config": config_dict(config)}
    save_checkpoint(folder / "best.pt", state)


def _make_published(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {"conv.weight": torch.arange(12.0).reshape(3, 4), "bn.running_mean": torch.zeros(3)}
    torch.save({"state_dict": tensors, "epoch": 3}, folder / "a.pt")
    torch.save(tensors, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(tensors, folder / "a.safetensors")


def _read_published(folder: Path) -> None:
    from mapkd_core.published.reader import read_checkpoint

    for name in ("a.pt", "old.pth", "a.safetensors"):
        {key: tensor.sum() for key, tensor in read_checkpoint(folder / name).tensors.items()}


def _make_engines(folder: Path) -> None:
    from mapkd_core.runtime.engine_cache import EngineCache

    cache = EngineCache(folder / "engines")
    (folder / "engines" / "a.engine").write_bytes(bytes(range(64)))
    cache.note()


def _read_engines(folder: Path) -> None:
    """What was changed is not there any more."""
    from mapkd_core.runtime.engine_cache import NOTE, EngineCache

    kept = [path for path in EngineCache(folder / "engines").folder.iterdir() if path.name != NOTE]
    assert all(path.read_bytes() == bytes(range(64)) for path in kept)


def _make_log(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "log"))
    for step in range(4):
        writer.add_scalar("val/miou", step / 4, step)
    writer.add_image("val/images", np.zeros((3, 4, 4), np.uint8), 3)
    writer.close()


def _read_log(folder: Path) -> None:
    read_curves(folder)
    read_images(folder, "val/images")

READERS = (
    Reader("cards", _make_card, _read_card, keep=(".safetensors",)),
    Reader("submissions", _make_submission, lambda folder: read_submission(folder / "a.json", rings=True)),
    Reader("frame files", _make_frames, lambda folder: [f.semantic for f in read_frames(folder / "a.jsonl")]),
    Reader("engines of TensorRT", _make_engines, _read_engines),
    Reader("results", _make_result, _read_report),
    Reader("configs of runs", _make_run, lambda folder: refuse_another_run(folder, _DEFAULTS),
           keep=(".pt",)),
    Reader("training configs", _make_config, lambda folder: load_config(TrainConfig, folder / "a.yaml"), costly=True),
    Reader("weights", _make_card, lambda folder: load_model(folder / "tiny.json"), costly=True, repair=_repair_card,
           keep=(".onnx",)),
    Reader("checkpoints", _make_checkpoint, trained_network, costly=True),
    Reader("published checkpoints", _make_published, _read_published, costly=True),
    Reader("TensorBoard logs", _make_log, _read_log, costly=True),
)  # fmt: skip
