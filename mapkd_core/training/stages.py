"""What earlier training runs left: their networks, and weights that a later stage starts from."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from mapkd_core.artifact import SHIPPED
from mapkd_core.schema import FileFault
from mapkd_core.suggestion import did_you_mean
from mapkd_core.yaml_file import read_yaml

CONFIGS = Path("config/train")
"""Where the recipe of a stage is looked for, from the working directory or the source tree."""


def check_stages(init: Sequence[str]) -> None:
    """Raises FileNotFoundError unless every stage that a run starts from has been trained.

    The error lists the commands that train what is missing, earlier stages of these stages first.
    """
    missing = [stage for stage in init if not is_trained(stage)]
    if missing:
        commands = list(dict.fromkeys(command for stage in missing for command in _commands(stage)))
        raise FileNotFoundError(
            f"this run starts from {' and '.join(missing)}, which "
            f"{'has' if len(missing) == 1 else 'have'} not been trained (no best.pt there); run first:\n  "
            + "\n  ".join([*commands, "then the same command again"])
        )


def is_trained(stage: str) -> bool:
    """Whether a stage's weights are there: a card (.json), one that ships, or a run's folder with best.pt."""
    if stage in SHIPPED:
        return True
    return Path(stage).exists() if stage.endswith(".json") else (Path(stage) / "best.pt").exists()


def _commands(stage: str) -> Iterator[str]:
    """The commands that lead to a stage, in order."""
    folder = Path(stage)
    for path, values in _recipes():
        name = Path(str(values.get("name", "")))
        if name.parts and folder.parts[-len(name.parts) :] == name.parts:
            for earlier in values.get("init", ()):
                if not is_trained(earlier):
                    yield from _commands(earlier)
            out = Path(*folder.parts[: -len(name.parts)])
            elsewhere = "" if out == Path(str(values.get("out", "runs"))) else f" --out {out}"
            yield f"mapkd train --config {path}{elsewhere}"
            return
    if stage.endswith(".json"):
        yield f"mapkd export RUN --out {stage}   # RUN: the folder of its training run"
    else:
        yield f"mapkd train --config YAML --out {folder.parent} --name {folder.name}   # YAML: that stage's recipe"


def _recipes() -> Iterator[tuple[Path, dict[str, Any]]]:
    for root in (CONFIGS, Path(__file__).parents[2] / CONFIGS):
        for path in sorted(root.rglob("*.yaml")):
            try:
                values = read_yaml(path, "a training config")
            except (OSError, FileFault):  # another run's recipe, which need not be whole
                continue
            if isinstance(values, dict):
                yield path, values


def start_from(network: nn.Module, stage: str) -> list[str]:
    """Copies what an earlier stage has under the same names and shapes; returns the names.

    Raises FileNotFoundError if that stage has not been trained, ValueError if it shares nothing with the network.
    """
    check_stages([stage])
    from mapkd_core.training.trained import load_trained

    theirs = load_trained(stage)[0].state_dict()
    own = network.state_dict()
    shared = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    if not shared:
        raise ValueError(f"init {stage} has no parameter in common with this network; check model and model_options")
    network.load_state_dict({**own, **shared})
    return sorted(shared)


def freeze_parts(network: nn.Module, parts: Sequence[str]) -> None:
    """Takes the gradients of these parts away, and sets them to eval mode, so that nothing of them changes.

    A part of a part has a dotted name, such as `trunk.stem`. Raises ValueError for a name that is no part of the
    network, with the nearest one.
    """
    known = {name: part for name, part in network.named_modules() if name}
    for name in parts:
        if name not in known:
            hint = did_you_mean(name, known)
            children = [child for child, _ in network.named_children()]
            raise ValueError(f"frozen: the network has no part {name!r}{hint}; it has {children} and their parts")
        known[name].requires_grad_(False).eval()
