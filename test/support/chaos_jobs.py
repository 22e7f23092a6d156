"""The commands that are killed, what each leaves when nobody kills it, and what must hold after a kill."""
from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chaos_process

TINY = """
out: runs
model: student
model_options: {variant: nano, image_width: 8, bev_width: 8, view_channels: 8}
grid: {x_range_m: [-12.0, 12.0], y_range_m: [-6.0, 6.0], cell_m: 0.3}
data: {train: "cache:INPUTS/cache", val: "cache:INPUTS/cache", image_size: [96, 48], workers: 1}
steps: 12
batch_size: 2
accelerator: cpu
log_every: 1
save_every: 2
val_every: 4
ema: 0.9
augment: {photometric: 0.5, flip: true}
"""
DISTILL = "teacher: INPUTS/runs/one\nmethod: kd_logit\ncalibrate_steps: 3\n"


def nothing(folder: Path) -> list[str]:
    """No ready-made things, no faults."""
    return []


@dataclass(frozen=True)
class Job:
    """A command, run in a folder of its own; `INPUTS` in its arguments stands for the folder of `make_inputs`."""

    name: str
    arguments: tuple[str, ...]
    content: Callable[[Path], Mapping[str, str]]
    """Of the folder in which the command ran: file -> what is in it."""
    ready: Callable[[Path, Path], Any] = lambda folder, inputs: None
    """Puts into the folder what is there before the command."""
    on_a_full_disk: tuple[str, ...] = ()
    """More arguments there: shared memory, by which loader processes hand over, is no disk."""
    after_kill: Callable[[Path], list[str]] = nothing
    """Faults of what a killed command has left, in words; may mend it by the remedy that was printed."""

    def command(self, inputs: Path, full: bool = False) -> list[str]:
        words = self.arguments + (self.on_a_full_disk if full else ())
        return [word.replace("INPUTS", str(inputs)) for word in words]


def make_inputs(folder: Path) -> Path:
    """Data, a cache, two trained networks and a bag, all tiny; or those that an earlier call has made there."""
    if (folder / "bag").is_dir():  # the last of them
        return folder
    folder.mkdir(parents=True)
    for name, more in (("train", ""), ("distill", DISTILL)):
        (folder / f"{name}.yaml").write_text((TINY + more).replace("INPUTS", str(folder)))
    small = ["--config", str(folder / "train.yaml"), "--data.workers", "0"]
    for words in (
        ["sim", "export", "--out", "data", "--frames", "4", "--drives", "2", "--size", "96x54"],
        ["cache", "data", "cache", "--size", "96x48", "--shard-frames", "3"],
        ["train", *small, "--name", "one", "--steps", "4"],
        ["train", *small, "--name", "two", "--steps", "2"],
        ["bag", "--dataroot", "data", "--out", "bag", "--no-lidar"],
    ):
        done = chaos_process.start(words, folder, folder / "inputs.log")
        assert done.wait() == 0, done.output
    return folder


def files_of(folder: Path, leave_out: Sequence[str] = ()) -> dict[str, str]:
    """Every file below a folder with its checksum, but those with these suffixes; leftovers of writing count too."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("chaos.") and not path.name.endswith(tuple(leave_out))
    }


def run_of(folder: Path) -> dict[str, str]:
    """A training run: its checkpoints, tensor by tensor, and its curves."""
    from mapkd_core.evaluation.training_curves import read_curves
    from mapkd_core.training.checkpoint import load_checkpoint

    found = {name: digest for name, digest in files_of(folder, (".pt",)).items() if "events.out" not in name}
    for path in sorted(folder.rglob("*.pt")):
        digest = hashlib.sha256()
        _digest(load_checkpoint(path), digest)
        found[path.relative_to(folder).as_posix()] = digest.hexdigest()
    for run in sorted((folder / "runs").glob("*")):
        curves = read_curves(run / "log")
        found |= {f"curve {tag}": str(points) for tag, points in curves.items() if tag != "steps_per_second"}
    return found


def _digest(value: Any, digest: Any) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode() + value.detach().contiguous().numpy().tobytes())
    elif isinstance(value, Mapping):
        for key in value:
            digest.update(f"{key!r}:".encode())
            _digest(value[key], digest)
    elif isinstance(value, list | tuple):
        digest.update(f"[{len(value)}".encode())
        for item in value:
            _digest(item, digest)
    else:
        digest.update(repr(value).encode())


def bag_digest(path: Path) -> str:
    """All messages of a bag that is whole."""
    from mapkd_core.bags.reader import BagReader

    digest = hashlib.sha256()
    with BagReader(path) as bag:
        for message in bag.messages():
            digest.update(f"{message.topic.name} {message.log_ns}".encode() + message.data)
        assert bag.whole if hasattr(bag, "whole") else True
    return digest.hexdigest()


def old_bag(folder: Path, inputs: Path) -> None:
    shutil.copytree(inputs / "bag", folder / "out")
    (folder / "chaos.old").write_text(bag_digest(folder / "out"))


def bag_is_old_or_new(folder: Path) -> list[str]:
    """The bag is there, old or new, or the error says where the old one waits, and it does."""
    path, old = folder / "out", (folder / "chaos.old").read_text()
    try:
        found = bag_digest(path)
    except FileNotFoundError as error:
        waiting = folder / ".out.old"
        if f"left it as {waiting}: rename that" not in str(error):
            return [f"no bag, and no remedy: {error}"]
        waiting.rename(path)
        return [] if bag_digest(path) == old else ["the bag that waited is not the old one"]
    if found != old and not list(folder.glob(".out.old")) and found != (folder / "chaos.new").read_text():
        return ["the bag is neither the old one nor the new one"]
    return []


def old_artifact(folder: Path, inputs: Path) -> None:
    words = ["export", str(inputs / "runs" / "two"), "--out", "tiny.json", "--no-onnx", "--name", "old"]
    done = chaos_process.start(words, folder, folder / "chaos.log")
    assert done.wait() == 0, done.output


def artifact_is_whole(folder: Path) -> list[str]:
    """Card and weights belong together; else loading says what is wrong in one line."""
    from mapkd_core.artifact import ArtifactError, load_model

    try:
        load_model(folder / "tiny.json")
    except ArtifactError as error:
        return [] if "\n" not in str(error) else [f"an artifact in pieces is told by {error}"]
    return []


def bag_is_whole_or_absent(folder: Path) -> list[str]:
    if (folder / "out").exists():
        bag_digest(folder / "out")
    return []


EVALUATE = ("evaluate", "--weights", "INPUTS/runs/one", "--data", "cache:INPUTS/cache", "--out", "out", "--images", "1")
ALONE = ("--data.workers", "0")
JOBS = (
    Job("train", ("train", "--config", "INPUTS/train.yaml", "--name", "run"), run_of,
        on_a_full_disk=ALONE),
    Job("distill", ("distill", "--config", "INPUTS/distill.yaml", "--name", "run"), run_of,
        on_a_full_disk=ALONE),
    Job("cache", ("cache", "INPUTS/data", "out", "--size", "96x48", "--shard-frames", "3", "--workers", "1"), files_of),
    Job("evaluate", EVALUATE, files_of),
    Job("bag", ("bag", "--dataroot", "INPUTS/data", "--out", "out"), files_of, after_kill=bag_is_whole_or_absent),
    Job("bag --overwrite", ("bag", "--dataroot", "INPUTS/data", "--out", "out", "--overwrite"), files_of, old_bag,
        after_kill=bag_is_old_or_new),
    Job("sim export", ("sim", "export", "--out", "out", "--frames", "3", "--drives", "2", "--size", "96x54",
                       "--workers", "2"), files_of),
    Job("export", ("export", "INPUTS/runs/one", "--out", "tiny.json", "--data", "INPUTS/data", "--frames", "1"),
        files_of, old_artifact, after_kill=artifact_is_whole),
)  # fmt: skip
