"""What is shipped of a trained network: weights as safetensors, and a JSON card with every fact needed to run them.

`name.json` (the card) lies beside `name.safetensors`; the card holds the weights' SHA-256. Nothing is ever unpickled.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.config import without_image_size
from mapkd_core.data.images import IMAGENET_MEAN, IMAGENET_STD
from mapkd_core.files import replacing, sha256, write_atomic
from mapkd_core.grid import GRID, BevGrid
from mapkd_core.schema import (
    FileFault,
    anything,
    fit,
    integer,
    list_of,
    mapping,
    number,
    numbers,
    optional,
    read_json,
    record,
    shown,
    text,
)  # fmt: skip
from mapkd_core.types import CAMERAS, CLASSES

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = 1
"""Major version of the card; a reader refuses another one."""
SHIPPED = {
    name: Path(__file__).parent / "weights" / f"{name}.json" for name in ("nano", "small", "base", "nano_robust")
}
"""The students that come with the package, by the name that stands for their card."""


_REMEDY = "fetch the card again, or export again"
_TRAINED = record({}, {"config": record({}, {"data": record({}, {"image_size": optional(numbers(2))})})})
_CARD = record(
    {
        "name": text(), "version": text(), "model": text(), "options": mapping(anything), "grid": GRID,
        "input_size": list_of(integer(8, 8192), 2), "format": integer(),
    },
    {
        "weights_sha256": text(), "classes": list_of(text()), "cameras": list_of(text(), 1), "mean": numbers(3),
        "std": numbers(3, low=1e-6), "training": _TRAINED, "graphs_sha256": mapping(text()),
        "least_score": optional(number(0, 1)),
    },
)  # fmt: skip


class ArtifactError(ValueError):
    """An artifact that is missing, damaged, or does not fit this version of the software."""


@dataclass(frozen=True)
class ModelCard:
    """Facts of a trained network that travel with its weights and are never typed in again by a user."""

    name: str
    version: str
    model: str
    """Key of model/build.py MODELS."""
    options: dict[str, Any]
    grid: BevGrid
    input_size: tuple[int, int]
    """Width and height of the images the network sees."""
    weights_sha256: str = ""
    classes: tuple[str, ...] = CLASSES
    cameras: tuple[str, ...] = CAMERAS
    """Cameras it was trained with; any calibrated set runs."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    training: dict[str, Any] = field(default_factory=dict)
    """How it came to be: command, data, steps, seed, scores."""
    format: int = FORMAT
    graphs_sha256: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the graphs beside the card, by ending: `onnx`, `int8.onnx`."""
    least_score: float | None = None
    """Of a network that predicts vertices: below this an element is not shown, as its validation chose; None for
    `vector_elements.LEAST_SCORE`."""

    def __post_init__(self) -> None:
        trained = self.training.get("config", {}).get("data", {}).get("image_size")
        if trained is not None and list(trained) != list(self.input_size):
            raise ArtifactError(
                f"card {self.name}: input_size is {list(self.input_size)}, training.config.data.image_size is "
                f"{list(trained)}; a network sees images of the size it was trained on: export again"
            )
        try:
            options = without_image_size(self.options, self.input_size, f"card {self.name}: options", "input_size")
        except ValueError as error:
            raise ArtifactError(str(error)) from error
        object.__setattr__(self, "options", options)


def save_artifact(
    place: str | Path, card: ModelCard, state: Mapping[str, Tensor], half: bool = True
) -> ModelCard:
    """Writes the card `place` (.json) and the weights beside it; returns the card with its checksum.

    Weights become float16 with `half`, but for a tensor with a value beyond its range (65504), as variances of
    published norms have; else they stay what they are.
    """
    import torch

    path = _named_json(Path(place))
    most = torch.finfo(torch.float16).max
    halved = {k for k, v in state.items() if half and v.dtype == torch.float32 and not bool((v.abs() > most).any())}
    kept = {k: (v.half() if k in halved else v).contiguous().cpu() for k, v in state.items()}
    with replacing(path.with_suffix(".safetensors")) as partial:
        _write_weights(partial, kept)
        checksum = sha256(partial)
    graphs = card.graphs_sha256 if checksum == card.weights_sha256 else {}  # those of other weights are no longer true
    values = {**asdict(card), "grid": card.grid.as_dict(), "weights_sha256": checksum, "graphs_sha256": graphs}
    if card.least_score is None:
        del values["least_score"]
    write_atomic(path, json.dumps(values, indent=2))
    return load_card(path)


def _write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Writes them from their own memory, with no second copy of a large network; raises OSError that names the file."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(dict(state), path)
    except SafetensorError as error:
        refused = re.search(r"os error (\d+)", str(error))
        if refused is None:
            raise
        raise OSError(int(refused[1]), os.strerror(int(refused[1])), str(path)) from error
    path.chmod(mode)  # the library makes files that nobody else may read


def card_path(given: str | Path) -> Path:
    """The path of a card, given that, the path of the weights beside it, or the name of a shipped student."""
    return SHIPPED.get(str(given)) or _named_json(Path(given).expanduser())


def card_to_write(given: str | Path) -> Path:
    """`card_path` for a card that is to be written. Raises ArtifactError where a file that is no card stands there."""
    place = card_path(given)
    if place.exists():
        try:
            load_card(place)
        except ArtifactError as error:
            raise ArtifactError(f"{error}. It is not written over: choose another --out, or delete it") from error
    return place


def _named_json(path: Path) -> Path:
    """Only an ending of ours is replaced: a dot in a name, as in student.v1, belongs to the name."""
    return path.with_suffix(".json") if path.suffix in (".json", ".safetensors", ".onnx") else Path(f"{path}.json")


def load_card(path: str | Path) -> ModelCard:
    """Reads a card, named as for `card_path`; raises ArtifactError with the remedy."""
    place = card_path(path)
    if not place.is_file():
        raise ArtifactError(
            f"no model card {place}; expected NAME.json beside NAME.safetensors, or one of {', '.join(SHIPPED)}"
        )
    try:
        values = read_json(place, "a model card", anything, _REMEDY)
        if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
            raise ArtifactError(f"format {shown(values['format'])}, this version reads {FORMAT}; export again")
        fit(values, _CARD, str(place), "a model card", _REMEDY)
        known = {f.name for f in fields(ModelCard)}
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        card = ModelCard(**{**values, "grid": BevGrid.from_dict(values["grid"])})
    except FileFault as error:
        raise ArtifactError(str(error)) from error
    except ValueError as error:
        raise ArtifactError(f"{place}: {error}") from error
    if card.classes != CLASSES:
        raise ArtifactError(f"{place} was trained for classes {card.classes}; this version knows {CLASSES}")
    return card


def note_graph(place: str | Path, graph: Path) -> None:
    """Writes the SHA-256 of a graph into the card beside it."""
    path = card_path(place)
    values = read_json(path, "a model card", _CARD, _REMEDY)
    values["graphs_sha256"] = {**values.get("graphs_sha256", {}), _ending(path, graph): sha256(graph)}
    write_atomic(path, json.dumps(values, indent=2))


def check_graph(place: str | Path, card: ModelCard, graph: Path) -> None:
    """Raises ArtifactError where a graph is not the one that its card was written for, or its card does not say."""
    path = card_path(place)
    ending = _ending(path, graph)
    expected = card.graphs_sha256.get(ending)
    if expected is None:
        option = "--int8" if ending.startswith("int8.") else "--onnx"
        raise ArtifactError(
            f"{graph} is not on its card: {path} has no SHA-256 of it, as those of older versions, or it "
            f"is of other weights; write it again: mapkd export {path} --out {path} {option}"
        )
    found = sha256(graph)
    if found != expected:
        raise ArtifactError(
            f"{graph} has SHA-256 {found[:12]}..., its card says {expected[:12]}...; the file is damaged or belongs to "
            "another card: fetch both again, or export again"
        )


def _ending(card: Path, graph: Path) -> str:
    return graph.name.removeprefix(f"{card.stem}.")


def load_model(path: str | Path) -> tuple[nn.Module, ModelCard]:
    """The network of an artifact with its weights, in eval mode on the CPU; raises ArtifactError if unfit."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from mapkd_core.model.build import build_model

    card = load_card(path)
    weights_path = card_path(path).with_suffix(".safetensors")
    if not weights_path.is_file():
        raise ArtifactError(f"no weights {weights_path}; the card {card.name} {card.version} lies alone")
    data = weights_path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != card.weights_sha256:
        raise ArtifactError(
            f"{weights_path} has SHA-256 {found[:12]}..., its card says {card.weights_sha256[:12]}...; "
            "the file is damaged or belongs to another card: fetch both again"
        )
    try:
        state = load(data)
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ArtifactError(f"{weights_path} is no safetensors file ({error}); fetch it again") from error
    del data  # before the network is built: of a large one, memory holds two copies at most
    try:
        with contextlib.suppress(RuntimeError), torch.device("meta"):  # some backbones cannot be built there
            # Shapes without memory first: a damaged card may ask for any.
            _check_weights(build_model(card.model, card.grid, card.input_size, card.options, True), state, card, path)
        model = build_model(card.model, card.grid, card.input_size, card.options, for_weights=True)
    except ArtifactError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError) as error:
        raise ArtifactError(
            f"{card_path(path)}: options {shown(card.options)} build no {card.model!r}: {error}"
        ) from error
    _check_weights(model, state, card, path)
    types = {k: v.dtype for k, v in model.state_dict().items()}
    # In the place of the fresh weights, not copied into them.
    model.load_state_dict({k: v.to(types[k]) for k, v in state.items()}, assign=True)
    return model.eval(), card


def _check_weights(model: nn.Module, state: Mapping[str, Tensor], card: ModelCard, path: str | Path) -> None:
    own = model.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    wrong = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or unknown or wrong:
        raise ArtifactError(
            f"{card_path(path).with_suffix('.safetensors')} does not fit model {card.model!r} of its card: missing "
            f"{missing[:3]}, unknown {unknown[:3]}, other shape {sorted(wrong)[:3]}; the card is damaged, or another "
            "version of the software wrote them"
        )
