"""What earlier training runs left: their networks, and weights that a later stage starts from."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from mapkd_core.checkpoint import load_checkpoint
from mapkd_core.config import TrainConfig, load_config_dict
from mapkd_core.model.build import build_model


def start_from(network: nn.Module, stage: str) -> list[str]:
    """Copies what an earlier stage has under the same names and shapes; returns the names.

    Raises FileNotFoundError if that stage has not been trained, ValueError if it shares nothing with the network.
    """
    if stage.endswith(".json"):
        from mapkd_core.artifact import load_model

        theirs = load_model(stage)[0].state_dict()
    elif (Path(stage) / "best.pt").exists():
        theirs = trained_network(Path(stage))[0].state_dict()
    else:
        raise FileNotFoundError(
            f"this run starts from the stage {stage}, which has not been trained (no best.pt there); train it first: "
            f"mapkd train --config config/train/{Path(stage).name}.yaml"
        )
    own = network.state_dict()
    shared = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    if not shared:
        raise ValueError(f"init {stage} has no parameter in common with this network; check model and model_options")
    network.load_state_dict({**own, **shared})
    return sorted(shared)


def trained_network(folder: Path, which: str = "best") -> tuple[nn.Module, TrainConfig, dict[str, Any]]:
    """The network of a run (its averaged weights where there are), its config, and facts for a card."""
    from mapkd_core.distill.config import DistillConfig

    state = load_checkpoint(folder / f"{which}.pt")
    config = load_config_dict(DistillConfig if "method" in state["config"] else TrainConfig, state["config"])
    network = build_model(config.model, config.grid, config.model_options, for_weights=True)
    network.load_state_dict(state["average"] or state["network"])
    return network.eval(), config, {"step": state["step"], "best_val_miou": state["best"]}
