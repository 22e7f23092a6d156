"""A trained network by its place: the folder of a training run, or the artifact that was exported from one."""
from __future__ import annotations

import hashlib
from pathlib import Path

from torch import nn

from mapkd_core.artifact import SHIPPED, ModelCard, load_model


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
    from mapkd_core.stages import trained_network  # needs what running an artifact does not

    checkpoint = folder / f"{which}.pt"
    if not checkpoint.exists():
        raise FileNotFoundError(
            f"{folder} holds no {which}.pt; expected the folder of a `mapkd train` run, or a card (.json)"
        )
    network, config, facts = trained_network(folder, which)
    return network, ModelCard(
        name=name or config.name,
        version=version or f"step {facts['step']}",
        model=config.model,
        options=config.model_options,
        grid=config.grid,
        input_size=config.data.image_size,
        weights_sha256=_sha256(checkpoint),
        training={**facts, "torch": torch.__version__, "config": config_dict(config)},
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
