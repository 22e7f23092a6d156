"""Checkpoints of a training run: written atomically, read without unpickling code, refused under another config."""
from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from mapkd_core.archive import ArchiveFault, check_stored
from mapkd_core.config import config_dict, without_image_size
from mapkd_core.config_keys import difference, with_new_names
from mapkd_core.data.cache_place import is_streamed
from mapkd_core.distill.config import DistillConfig
from mapkd_core.files import replacing, write_atomic
from mapkd_core.schema import FileFault, anything, integer, mapping, numbers, optional, read_json, record

PROCESSES = ("devices", "nodes")
FREE = {"accelerator", "log_every", "save_every", "val_every", "val_batches", "out"}
"""Keys of a config that may change when a run goes on."""
RESULTS = ("last.pt", "best.pt", "log", "not_finite_step*.pt")
"""What a run writes beside its config.json."""


_CONFIG = record({}, {
    "data": record({}, {"image_size": optional(numbers(2))}),
    "model_options": mapping(anything),
    **dict.fromkeys(("batch_size", "devices", "nodes"), integer(1, 1 << 30)),
})  # fmt: skip


class _Watched:
    """A file for `torch.save`, which turns the system's refusal into an assertion of its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Writes, and remembers what went wrong."""
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """As a file does."""
        self.file.flush()


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors, numbers and strings to `path`; a crash in between leaves the old file whole.

    Raises OSError that names `path`.
    """
    with replacing(path) as partial, partial.open("wb") as file:
        watched = _Watched(file)
        try:
            torch.save(dict(state), watched)  # type: ignore[arg-type] # it asks for no more than these two methods
        except RuntimeError as error:
            raise watched.error or error from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote.

    Raises ValueError for a file that is damaged, of which not a bit may differ, or that holds anything but plain data.
    """
    try:
        check_stored(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except ArchiveFault as error:
        raise FileFault(f"{path} is not a checkpoint of this software, or damaged ({error}); start anew") from error
    except Exception as error:  # torch raises many kinds for what is no plain data
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FileFault(f"{path} is not a checkpoint of this software ({type(error).__name__}); start anew") from error
    if not isinstance(state, dict) or not isinstance(state.get("step"), int):
        raise FileFault(f"{path} holds no training state; expected a file written by `mapkd train`")
    return state


@contextlib.contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Around what takes a checkpoint's values; raises FileFault, naming the file, where they do not fit."""
    try:
        yield
    except (RuntimeError, KeyError, AttributeError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, FileFault):
            raise
        reason = " ".join(str(error).split())[:300]
        raise FileFault(
            f"{path} does not fit its own config ({reason}); another version of this software wrote it: start anew"
        ) from error


def refuse_another_run(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises ValueError, listing the differing keys, if `folder` holds a run under another config.

    Where things run, and how often they are saved and looked at, may differ; so may the number of loader processes,
    unless the data are streamed and their order follows from it. More or fewer processes may share the work if a step
    still has as many samples. A run that has written nothing yet is no run.
    """
    written = folder / "config.json"
    if not (written.exists() and any(any(folder.glob(pattern)) for pattern in RESULTS)):
        return
    there = read_json(written, "the config of a run", _CONFIG, "give --restart to throw that run away")
    theirs = with_new_names(there, str(written))
    theirs = _with_new_keys(theirs, config, config_dict(DistillConfig()))
    size = theirs.get("data", {}).get("image_size")
    if "model_options" in theirs and size is not None:
        where = f"{written}: model_options"
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
            f"{_samples_of_a_step(config)} ({_listed(lines)}); choose --batch_size so that devices * nodes * "
            f"batch_size is {samples}, or --restart to throw that run away"
        )
    if lines:
        raise ValueError(
            f"{folder} holds a run under another config ({_listed(lines)}); choose another --name, or --restart to "
            "throw that run away"
        )


def _listed(lines: list[str]) -> str:
    """Differing keys in an error: short, whatever a file holds."""
    told = [line if len(line) <= 100 else f"{line[:97]}..." for line in lines[:8]]
    return "; ".join([*told, f"and {len(lines) - 8} more"] if len(lines) > 8 else told)


def _with_new_keys(old: Mapping[str, Any], new: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a run of before, which could not choose some keys: these were as their default is now."""
    result = dict(old)
    for key, value in new.items():
        if key not in default:
            continue
        if isinstance(value, Mapping) and isinstance(old.get(key), Mapping) and isinstance(default[key], Mapping):
            result[key] = _with_new_keys(old[key], value, default[key])
        elif key not in old and value == default[key]:
            result[key] = value
    return result


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
