"""From the authors' file to our artifact: every name accounted for, and the result held against the file."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.artifact import SHIPPED, ArtifactError, ModelCard, card_path, card_to_write, save_artifact
from mapkd_core.files import FolderLock, keep_inputs, replacing_together
from mapkd_core.grid import BevGrid
from mapkd_core.published.hdmapnet_keys import heads_in
from mapkd_core.published.key_table import KeyTable
from mapkd_core.published.mapkd_keys import grid_in
from mapkd_core.published.networks import GRIDS, NETWORKS, PublishedNetwork
from mapkd_core.published.reader import Checkpoint, read_checkpoint
from mapkd_core.suggestion import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

_READ_AT_ONCE = 32
"""Tensors of a written file that are compared before it is closed."""
_SHOWN = 8
"""Names that an error lists before it only counts."""
CONFIRM = "not confirmed: ask the authors, then import again with --licence"


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    card: ModelCard
    network: PublishedNetwork
    tensors: int
    """That were taken."""
    unused: Mapping[str, int]
    """Reason -> number of tensors that are in the file and that no output depends on."""


def import_checkpoint(
    path: str | Path, name: str, out: str | Path, grid: str = "", licence: str = ""
) -> Imported:
    """Writes the artifact `out` (card .json) of the authors' file `path`, which holds the network `name`.

    `grid` is a name of GRIDS; only a coach's file tells its own. `licence` is that of the weights, as the user has
    found it out. Weights stay float32. Raises ValueError, before anything is written, for a name that is not known, a
    file that does not hold this network and no other, or a grid that is not said; ArtifactError if what was written
    is not what the file holds.
    """
    _network(name)
    place = card_to_write(out)
    if place in SHIPPED.values():
        raise ValueError(f"--out {out} names a student that ships with the package; give the path of a card, NAME.json")
    keep_inputs([path], [place.with_suffix(".safetensors")])
    converted = convert_checkpoint(read_checkpoint(path), name, place.stem, grid, licence)
    with FolderLock(place.parent, f".{place.stem}.lock"), replacing_together(place.parent, place.name) as folder:
        card = save_artifact(folder / place.name, converted.card, converted.state, half=False)
        _check_written(folder / place.name, converted.state)
    return Imported(card, NETWORKS[name], len(converted.state), converted.unused)


@dataclass(frozen=True, eq=False)
class Converted:
    """A checkpoint as a network of ours, before anything is written."""

    card: ModelCard
    state: dict[str, Tensor]
    """In the order of our network's state dict."""
    unused: Mapping[str, int]
    """Reason -> number of tensors that are in the file and that no output depends on."""


def convert_checkpoint(
    checkpoint: Checkpoint, name: str, title: str, grid: str = "", licence: str = ""
) -> Converted:
    """The card (named `title`) and the weights of a checkpoint that holds the network `name`.

    Raises ValueError as `import_checkpoint` does.
    """
    network, tensors = _network(name), checkpoint.tensors
    outputs = heads_in(tensors.keys(), "mae_head.bev_head" if "mae_head.pos_embed" in tensors else "bevencode")
    _check_names(checkpoint, name, outputs)
    if network.check is not None:
        network.check(tensors)
    table = network.table(outputs)
    bev_grid = _grid(checkpoint, name, network.grid, grid)
    card = ModelCard(
        title, "imported", network.model, _options(network, outputs), bev_grid, network.image_size,
        training={"imported": _origin(checkpoint, name, network, licence)},
    )
    unused: dict[str, int] = {}
    for key in tensors.keys() & table.unused.keys():
        unused[table.unused[key]] = unused.get(table.unused[key], 0) + 1
    return Converted(card, _state(checkpoint, card, name, table), unused)


def _network(name: str) -> PublishedNetwork:
    if name not in NETWORKS:
        raise ValueError(f"--as {name}: no such network{did_you_mean(name, NETWORKS)}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name]


def _options(network: PublishedNetwork, outputs: Sequence[str]) -> dict[str, Any]:
    """The network's options with the heads that the file holds."""
    return {**network.options, **({"outputs": list(outputs)} if network.has_heads else {})}


def _check_names(checkpoint: Checkpoint, name: str, outputs: Sequence[str]) -> None:
    """Raises ValueError, with what is missing, what is left over and what the file could be instead."""
    table = NETWORKS[name].table(outputs)
    missing, left_over = table.missing(checkpoint.tensors), table.left_over(checkpoint.tensors)
    if not missing and not left_over:
        return
    fitting = [other for other in NETWORKS if _fits(checkpoint, other, outputs)]
    instead = f"; it does hold {' or '.join(fitting)}: give --as {fitting[0]}" if fitting else ""
    raise ValueError(
        f"{checkpoint.path} does not hold {name}: {_listed('missing', missing)}; {_listed('left over', left_over)}"
        f"{instead}"
    )


def _fits(checkpoint: Checkpoint, name: str, outputs: Sequence[str]) -> bool:
    table = NETWORKS[name].table(outputs)
    return not table.missing(checkpoint.tensors) and not table.left_over(checkpoint.tensors)


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return f"nothing {what}"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{more}"


def _grid(checkpoint: Checkpoint, name: str, only: BevGrid | None, given: str) -> BevGrid:
    """The grid that the network draws on: a coach's file tells it, for another one the user has to."""
    if given and given not in GRIDS:
        raise ValueError(f"--grid {given} is not one of {', '.join(GRIDS)}")
    try:
        own = only or grid_in(checkpoint.tensors)
    except ValueError as error:
        raise ValueError(f"{checkpoint.path}: {error}") from error
    if own is None:
        if not given:
            raise ValueError(
                f"a file of {name} does not say which ground it was trained for: give --grid {' or '.join(GRIDS)} "
                "(metres), as the config it was trained with says"
            )
        return GRIDS[given]
    if own not in GRIDS.values():
        raise ValueError(f"{checkpoint.path} was trained on {own}; this version knows {', '.join(GRIDS)}")
    if given and GRIDS[given] != own:
        raise ValueError(f"--grid {given}: {checkpoint.path} was trained on {own}; leave it out")
    return own


def _origin(checkpoint: Checkpoint, name: str, network: PublishedNetwork, licence: str) -> dict[str, Any]:
    """Facts for the card."""
    return {
        "network": name,
        "file": checkpoint.path.name,
        "sha256": checkpoint.sha256,
        "envelope": checkpoint.envelope,
        "source": asdict(network.source),
        "licence_of_weights": licence or CONFIRM,
        "accuracy": "not measured here; run mapkd evaluate",
    }


def _state(checkpoint: Checkpoint, card: ModelCard, name: str, table: KeyTable) -> dict[str, Tensor]:
    """Our state dict, in the order of our network's."""
    import torch

    from mapkd_core.model.build import build_model

    with torch.device("meta"):  # shapes alone
        shapes = build_model(card.model, card.grid, card.input_size, card.options, for_weights=True).state_dict()
    try:
        state = table.converted(checkpoint.tensors, shapes)
    except ValueError as error:
        raise ValueError(f"{checkpoint.path} does not hold {name}: {error}") from error
    return {key: state[key] for key in shapes}


def _check_written(out: str | Path, state: Mapping[str, Tensor]) -> None:
    """Raises ArtifactError unless the artifact holds these very numbers; reads one tensor after the other."""
    import torch
    from safetensors import safe_open

    path, names, other = card_path(out).with_suffix(".safetensors"), list(state), []
    for first in range(0, len(names), _READ_AT_ONCE):
        with safe_open(path, "pt") as written:  # what was read stays in memory until the file is closed
            same = set(written.keys()) == state.keys()
            other += [
                name for name in names[first : first + _READ_AT_ONCE]
                if not (same and torch.equal(written.get_tensor(name), state[name]))
            ]
    if other:
        raise ArtifactError(f"{card_path(out)} does not hold what the file does ({other[:3]}); import again")
