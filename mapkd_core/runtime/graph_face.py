"""What every backend of an exported graph shares: whether it belongs to its card, and what it is fed."""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.artifact import SHIPPED, ArtifactError, ModelCard, card_path, check_graph, load_card
from mapkd_core.model.student_config import student_config
from mapkd_core.model.vector_config import raster_config, vector_config, view_stride
from mapkd_core.runtime.face import LookupCache, Runtime
from mapkd_core.runtime.kernel_lookup import KERNEL_NOTE, KernelTables
from mapkd_core.runtime.options import RuntimeOptions
from mapkd_core.runtime.pillar_lookup import PillarTables
from mapkd_core.runtime.processor import INT8_FLAGS, has_any
from mapkd_core.types import CLASSES

BELONGS_TO = "weights_sha256"
"""Key of a graph's metadata: the checksum of the weights it was made from."""


OUTPUT, VECTOR_OUTPUT = "probabilities", "elements"
"""A graph's output: (4, Y, X), or of a vector student (V, 3 + 2 P), as `Runtime.vectors` says."""


def graph_path(artifact: str | Path, precision: str = "fp32") -> Path:
    """NAME.onnx, or NAME.int8.onnx, beside an artifact's card."""
    return card_path(artifact).with_suffix(".int8.onnx" if precision == "int8" else ".onnx")


@dataclass(frozen=True)
class Opened:
    """What a library has read of a graph."""

    notes: Mapping[str, str]
    """The graph's metadata, BELONGS_TO among them."""
    shapes: Mapping[str, Sequence[Any]]
    """Input or output -> its sizes; what is no int is free."""


class GraphRuntime(Runtime):
    """NAME.onnx (precision int8: NAME.int8.onnx) beside NAME.json, as written by `mapkd export`.

    A backend names its `library` and says how a graph is opened and run; `options` are checked and have no `auto`.
    """

    library: str

    def __init__(self, path: str | Path, options: RuntimeOptions) -> None:
        self.device, self.backend, self.precision = options.device, options.backend, options.precision
        precision = options.precision
        self._graph = graph = graph_path(path, precision)
        self._remedy = f"mapkd export {_export_options(path, precision)}"
        if not graph.is_file():
            other = "int8" if precision != "int8" and graph_path(path, "int8").is_file() else ""
            there = f" (precision {other} would run: its graph is there)" if other else ""
            raise ArtifactError(f"no graph {graph}{there}; write it with: {self._remedy}")
        self.card = load_card(path)
        check_graph(path, self.card, graph)
        tables = _tables(self.card, path)
        self.vectors = self.card.model == "vector_student"
        try:
            opened = self._open(graph, options)
        except Exception as error:  # the libraries raise many kinds for a damaged graph
            raise ArtifactError(
                f"{graph} does not load in {self.library} ({' '.join(str(error).split())}); if the file is damaged, "
                f"write it again with: {self._remedy}"
            ) from error
        origin = opened.notes.get(BELONGS_TO, "nothing")
        if origin != self.card.weights_sha256:
            raise ArtifactError(
                f"{graph} was made from the weights {origin[:12]}, its card is of "
                f"{self.card.weights_sha256[:12]}; write it again with: {self._remedy}"
            )
        self._check_shapes(opened.shapes)
        axis = opened.shapes["images"][0]
        self._cameras = axis if isinstance(axis, int) else None
        if isinstance(tables, KernelTables):
            self.cameras = self.card.cameras if tables.config.rig_bound else ()
            try:
                tables.take(opened.notes.get(KERNEL_NOTE, ""))
            except ValueError as error:
                raise ArtifactError(f"{graph}: {error}; write it again with: {self._remedy}") from error
        self.tables = tables
        self.lookups: LookupCache[tuple[NDArray, ...]] = LookupCache(tables.table)
        mean, std = (np.reshape(values, (1, 3, 1, 1)) for values in (self.card.mean, self.card.std))
        # (value / 255 - mean) / std as one product and one sum.
        self._scale, self._shift = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    @property
    def output(self) -> str:
        """The name of the graph's output."""
        return VECTOR_OUTPUT if self.vectors else OUTPUT

    @abstractmethod
    def _open(self, graph: Path, options: RuntimeOptions) -> Opened:
        """Reads the graph, whose checksum is right, for `_run`; raises whatever the library does."""

    @abstractmethod
    def _run(self, feed: dict[str, NDArray]) -> NDArray[np.float32]:
        """Inputs by name -> the output `self.output`, which stays the caller's."""

    def _load(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        loaded = np.multiply(images.transpose(0, 3, 1, 2), self._scale, order="C")                          # N 3 H W
        loaded += self._shift
        return loaded

    def infer(
        self,
        loaded: NDArray[np.float32],
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        visible: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """What `load` returned, and calibrations (N, 3, 3), (N, 4, 4) -> (4, Y, X) probabilities, or `vectors`."""
        return self._run(self.feed(loaded, intrinsics, base_from_camera, visible))

    def feed(
        self,
        loaded: NDArray[np.float32],
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        visible: NDArray[np.bool_] | None = None,
    ) -> dict[str, NDArray]:
        """The graph's inputs by name. Raises ArtifactError for a graph made for another number of cameras."""
        looked_up = self.lookups.lookup(intrinsics, base_from_camera, visible)
        if self._cameras is not None and len(loaded) != self._cameras:
            if len(loaded) > self._cameras:
                raise ArtifactError(
                    f"{self._graph} was made for {self._cameras} cameras by an older version, {len(loaded)} came; "
                    f"write it again, for any number, with: {self._remedy}"
                )
            # The tables never point into images that are not there.
            black = np.zeros((self._cameras - len(loaded), *loaded.shape[1:]), loaded.dtype)
            loaded = np.concatenate([loaded, black])
        return {"images": loaded, **dict(zip(self.tables.inputs, looked_up, strict=True))}

    def _check_shapes(self, shapes: Mapping[str, Sequence[Any]]) -> None:
        """Raises ArtifactError unless the graph has the card's image size, and its grid or elements."""
        (width, height), (rows, cols) = self.card.input_size, self.card.grid.shape
        wanted_output = (OUTPUT, "grid", [rows, cols])
        if self.vectors:
            config = vector_config(self.card.options)
            wanted_output = (VECTOR_OUTPUT, "options", [config.vectors, len(CLASSES) + 2 * config.points])
        for name, key, wanted in (("images", "input_size", [height, width]), wanted_output):
            found = list(shapes.get(name, ()))[-2:]
            if found != wanted:
                raise ArtifactError(
                    f"{self._graph} has `{name}` of {found} (rows, columns), its card's {key} gives {wanted}; "
                    f"write it again with: {self._remedy}"
                )


def check_int8_instructions() -> None:
    """Raises ValueError on a CPU whose eight-bit sums overflow."""
    if not has_any(INT8_FLAGS):
        raise ValueError(
            f"precision int8: this CPU has none of the flags {', '.join(sorted(INT8_FLAGS))}; without them sums "
            "overflow and the map is another one; use fp32"
        )


def _tables(card: ModelCard, path: str | Path) -> PillarTables | KernelTables:
    """The look-up of the student on the card; raises ArtifactError for another network or unknown options."""
    if card.model not in ("student", "vector_student"):
        raise ArtifactError(f"{card_path(path)} is of model {card.model!r}; only a student runs from a graph")
    try:
        if card.model == "student":
            return PillarTables(card.grid, card.input_size, student_config(card.options))
        config = vector_config(card.options)
        if config.view == "kernel":
            return KernelTables(card.grid, card.input_size, config)
        return PillarTables(card.grid, card.input_size, raster_config(config), view_stride(config))
    except ValueError as error:
        raise ArtifactError(f"{card_path(path)}: {error}") from error


def _export_options(path: str | Path, precision: str) -> str:
    card = card_path(path)
    # Beside the user's own card; what ships with the package stays as it is.
    out = card.name if card in SHIPPED.values() else card
    return f"{card} --out {out} --onnx{' --int8' if precision == 'int8' else ''}"
