"""Checkpoints of a training run: written atomically, read without unpickling code, refused under another config."""
from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mapkd_core.config import without_image_size
from mapkd_core.config_keys import difference, with_new_names
from mapkd_core.data.cache import is_streamed
from mapkd_core.files import replacing, write_atomic

PROCESSES = ("devices", "nodes")
FREE = {"accelerator", "log_every", "save_every", "val_every", "val_batches", "out"}
"""Keys of a config that may change when a run goes on."""
RESULTS = ("last.pt", "best.pt", "log", "not_finite_step*.pt")
"""What a run writes beside its config.json."""


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors, numbers and strings to `path`; a crash in between leaves the old file whole."""
    with replacing(path) as partial:
        torch.save(dict(state), partial)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote; raises ValueError when the file is damaged or holds anything but plain data."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged archive
        raise ValueError(f"{path} is not a checkpoint of this software ({type(error).__name__}); start anew") from error
    if not isinstance(state, dict) or "step" not in state:
        raise ValueError(f"{path} holds no training state; expected a file written by `mapkd train`")
    return state


def refuse_another_run(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises ValueError, listing the differing keys, if `folder` holds a run under another config.

    Where things run, and how often they are saved and looked at, may differ; so may the number of loader processes,
    unless the data are streamed and their order follows from it. More or fewer processes may share the work if a step
    still has as many samples. A run that has written nothing yet is no run.
    """
    written = folder / "config.json"
    if not (written.exists() and any(any(folder.glob(pattern)) for pattern in RESULTS)):
        return
    try:
        theirs = with_new_names(json.loads(written.read_text()), str(written))
    except ValueError as error:
        raise ValueError(f"{written} is damaged ({error}); give --restart to throw that run away") from error
    if "model_options" in theirs:
        size, where = theirs["data"]["image_size"], f"{written}: model_options"
        options = without_image_size(theirs["model_options"], size, where, "data.image_size")
        theirs = {**theirs, "model_options": options}
    streamed = is_streamed(config.get("data", {}).get("train", ""))
    same_step = _samples_of_a_step(theirs) == _samples_of_a_step(config) and not streamed
    free = FREE | ({"batch_size", *PROCESSES} if same_step else set()) | (set() if streamed else {"data.workers"})
    lines = [line for line in difference(theirs, config) if line.split(":")[0] not in free]
    if lines and not same_step and all(line.split(":")[0] in PROCESSES for line in lines):
        samples = _samples_of_a_step(theirs)
        raise ValueError(
            f"{folder} holds a run whose steps have {samples} samples, now they would have "
            f"{_samples_of_a_step(config)} ({'; '.join(lines)}); choose --batch_size so that devices * nodes * "
            f"batch_size is {samples}, or --restart to throw that run away"
        )
    if lines:
        raise ValueError(
            f"{folder} holds a run under another config ({'; '.join(lines)}); choose another --name, or --restart to "
            "throw that run away"
        )


def _samples_of_a_step(config: Mapping[str, Any]) -> int:
    """Over all processes, accumulation not counted."""
    return int(config.get("batch_size", 1) * config.get("devices", 1) * config.get("nodes", 1))


def claim_run_folder(folder: Path, config: Mapping[str, Any], restart: bool = False) -> bool:
    """Makes `folder` this config's own; True if it holds a run to resume.

    Raises ValueError, listing the differing keys, if the folder belongs to a run under another config.
    """
    written = folder / "config.json"
    if not restart:
        refuse_another_run(folder, config)
    folder.mkdir(parents=True, exist_ok=True)
    if restart:
        for path in (path for pattern in RESULTS for path in folder.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_atomic(written, json.dumps(config, indent=2, sort_keys=True))
    return (folder / "last.pt").exists()
