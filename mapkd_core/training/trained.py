"""A trained network by its place: the folder of a training run, or the artifact that was exported from one."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from mapkd_core.artifact import SHIPPED, ModelCard, load_model
from mapkd_core.files import sha256
from mapkd_core.schema import anything, fit, integer, list_of, mapping, number, optional, record, text
from mapkd_core.types import CAMERAS

if TYPE_CHECKING:
    from mapkd_core.config import TrainConfig


_STATE = record({
    "step": integer(0), "best": anything, "config": mapping(anything), "network": mapping(anything),
    "average": optional(mapping(anything)),
}, {"cameras": list_of(text()), "least_score": optional(number(0, 1))})  # fmt: skip
"""Schema of a checkpoint from which a network is taken."""


def load_trained(place: str | Path) -> tuple[nn.Module, ModelCard]:
    """The network in eval mode on the CPU, with its card: of an artifact (.json, or shipped), or of a run (best.pt).

    Raises ArtifactError or ValueError for an unfit file, FileNotFoundError for a folder without best.pt.
    """
    if is_artifact(place):
        return load_model(place)
    return load_run(Path(place).expanduser())


def is_artifact(place: str | Path) -> bool:
    """True for the path of a card and the name of a shipped student, False for what must be a run's folder."""
    return Path(place).suffix == ".json" or str(place) in SHIPPED


def load_run(folder: Path, which: str = "best", name: str = "", version: str = "") -> tuple[nn.Module, ModelCard]:
    """The network of a run at a checkpoint (`best` or `last`), and its card; the version is by default the step.

    The card's checksum is that of the checkpoint file. Raises FileNotFoundError if there is no such checkpoint.
    """
    import torch

    from mapkd_core.config import config_dict

    checkpoint = folder / f"{which}.pt"
    if not checkpoint.exists():
        raise FileNotFoundError(
            f"{folder} holds no {which}.pt; expected the folder of a `mapkd train` run, or a card (.json)"
        )
    network, config, facts = trained_network(folder, which)
    cameras = tuple(facts.pop("cameras")) or CAMERAS  # runs of before do not name theirs
    least_score = facts.pop("least_score")
    return network, ModelCard(
        name=name or config.name,
        version=version or f"step {facts['step']}",
        model=config.model,
        options=config.model_options,
        grid=config.grid,
        input_size=config.data.image_size,
        weights_sha256=sha256(checkpoint),
        cameras=cameras,
        least_score=least_score,
        training={**facts, "torch": torch.__version__, "config": config_dict(config)},
    )


def trained_network(folder: Path, which: str = "best") -> tuple[nn.Module, TrainConfig, dict[str, Any]]:
    """The network of a run (its averaged weights where there are), its config, and facts for a card."""
    from mapkd_core.config import TrainConfig, load_config_dict
    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.model.build import build_model
    from mapkd_core.training.checkpoint import fitting, load_checkpoint

    path = folder / f"{which}.pt"
    state = load_checkpoint(path)
    fit(state, _STATE, str(path), "a checkpoint of `mapkd train`", "train again")
    kind = DistillConfig if "method" in state["config"] else TrainConfig
    config = load_config_dict(kind, state["config"], where=f"the config in {path}")
    network = build_model(
        config.model, config.grid, config.data.image_size, config.model_options, for_weights=True
    )
    with fitting(path):
        network.load_state_dict(state["average"] or state["network"])
    return network.eval(), config, {
        "step": state["step"], f"best_val_{_score(config)}": state["best"], "cameras": state.get("cameras", []),
        "least_score": state.get("least_score"),
    }  # fmt: skip


def _score(config: TrainConfig) -> str:
    """By what the best checkpoint was chosen."""
    from mapkd_core.training.validation import validation_of

    return validation_of(config).score
