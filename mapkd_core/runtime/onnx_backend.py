"""The student as an exported graph in ONNX Runtime: on the CPU (also in eight bits), on CUDA, or through TensorRT."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.artifact import SHIPPED, ArtifactError, ModelCard, card_path, check_graph, load_card
from mapkd_core.model.student_config import student_config
from mapkd_core.runtime.engine_cache import EngineCache
from mapkd_core.runtime.face import LookupCache, Runtime
from mapkd_core.runtime.options import RuntimeOptions
from mapkd_core.runtime.pillar_lookup import PillarTables
from mapkd_core.runtime.processor import INT8_FLAGS, has_any

ENGINES = {"onnx": ("fp32", "int8"), "tensorrt": ("fp32", "fp16")}
"""Backends of ONNX Runtime -> the precisions they have."""
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
REMEDIES = {
    "cuda": "pip install onnxruntime-gpu in place of onnxruntime, or use device cpu",
    "tensorrt": "pip install onnxruntime-gpu tensorrt in place of onnxruntime, or use backend onnx or torch",
}
ENGINE_CACHE = Path("~/.cache/mapkd/tensorrt")
"""TensorRT builds an engine for minutes; the next start finds it here."""
BELONGS_TO = "weights_sha256"
"""Key of a graph's metadata: the checksum of the weights it was made from."""


def graph_path(artifact: str | Path, precision: str = "fp32") -> Path:
    """NAME.onnx, or NAME.int8.onnx, beside an artifact's card."""
    return card_path(artifact).with_suffix(".int8.onnx" if precision == "int8" else ".onnx")


class OnnxRuntime(Runtime):
    """NAME.onnx (precision int8: NAME.int8.onnx) beside NAME.json, as written by `mapkd export`; see ENGINES."""

    def __init__(self, path: str | Path, options: RuntimeOptions) -> None:
        import onnxruntime

        options = replace(options, device=pick_onnx_device(options))
        check_combination(options)
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
        self._engines: EngineCache | None = None
        self._built: set[int] = set()
        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = options.threads
        # Threads that spin while they wait take the core from whoever would let them go on; see threads.py.
        session.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.session = onnxruntime.InferenceSession(str(graph), session, providers=self._providers())
        except Exception as error:  # ONNX Runtime raises many kinds for a damaged graph
            raise ArtifactError(
                f"{graph} does not load in ONNX Runtime ({' '.join(str(error).split())}); if the file is damaged, "
                f"write it again with: mapkd export {_export_options(path, precision)}"
            ) from error
        origin = self.session.get_modelmeta().custom_metadata_map.get(BELONGS_TO, "nothing")
        if origin != self.card.weights_sha256:
            raise ArtifactError(
                f"{graph} was made from the weights {origin[:12]}, its card is of {self.card.weights_sha256[:12]}; "
                f"write it again with: {self._remedy}"
            )
        self._check_shapes(graph)
        served = self.session.get_providers()[0]
        key = _provider_key(options)
        wanted = PROVIDERS[key]
        if served != wanted:
            raise ValueError(f"{wanted} could not be loaded, {served} would serve instead; {REMEDIES[key]}")
        axis = self.session.get_inputs()[0].shape[0]
        self._cameras = axis if isinstance(axis, int) else None
        self.lookups = LookupCache(tables.table)
        mean, std = (np.reshape(values, (1, 3, 1, 1)) for values in (self.card.mean, self.card.std))
        # (value / 255 - mean) / std as one product and one sum.
        self._scale, self._shift = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

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
        """What `load` returned, and calibrations (N, 3, 3), (N, 4, 4) -> (4, Y, X) class probabilities."""
        feed = self.feed(loaded, intrinsics, base_from_camera, visible)
        probabilities = np.asarray(self.session.run(["probabilities"], feed)[0])
        if self._engines is not None and len(loaded) not in self._built:  # the first of a number of cameras builds one
            self._engines.note()
            self._built.add(len(loaded))
        return probabilities

    def feed(
        self,
        loaded: NDArray[np.float32],
        intrinsics: NDArray[np.float64],
        base_from_camera: NDArray[np.float64],
        visible: NDArray[np.bool_] | None = None,
    ) -> dict[str, NDArray]:
        """The graph's inputs by name. Raises ArtifactError for a graph made for another number of cameras."""
        pixel, weight = self.lookups.lookup(intrinsics, base_from_camera, visible)
        if self._cameras is not None and len(loaded) != self._cameras:
            if len(loaded) > self._cameras:
                raise ArtifactError(
                    f"{self._graph} was made for {self._cameras} cameras by an older version, {len(loaded)} came; "
                    f"write it again, for any number, with: {self._remedy}"
                )
            # The tables never point into images that are not there.
            black = np.zeros((self._cameras - len(loaded), *loaded.shape[1:]), loaded.dtype)
            loaded = np.concatenate([loaded, black])
        return {"images": loaded, "pixel": pixel, "weight": weight}

    def _check_shapes(self, graph: Path) -> None:
        """Raises ArtifactError unless the graph has the card's image size and grid."""
        (width, height), (rows, cols) = self.card.input_size, self.card.grid.shape
        ends = {end.name: end.shape for end in (*self.session.get_inputs(), *self.session.get_outputs())}
        for name, key, wanted in (
            ("images", "input_size", [height, width]), ("probabilities", "grid", [rows, cols])
        ):  # fmt: skip
            found = list(ends.get(name, ()))[-2:]
            if found != wanted:
                raise ArtifactError(
                    f"{graph} has `{name}` of {found} (rows, columns), its card's {key} gives {wanted}; "
                    f"write it again with: {self._remedy}"
                )

    def _providers(self) -> list[Any]:
        if self.backend == "onnx":
            return [PROVIDERS[self.device]]
        # Engines hold the weights, and ONNX Runtime tells them apart by the graph alone.
        self._engines = EngineCache(ENGINE_CACHE.expanduser() / self.card.weights_sha256[:16])
        options = {
            "trt_fp16_enable": self.precision == "fp16",
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(self._engines.folder),
        }
        return [(PROVIDERS["tensorrt"], options), PROVIDERS["cuda"]]


def _tables(card: ModelCard, path: str | Path) -> PillarTables:
    """The look-up of the student on the card; raises ArtifactError for another network or unknown options."""
    if card.model != "student":
        raise ArtifactError(f"{card_path(path)} is of model {card.model!r}; only a student runs from a graph")
    try:
        return PillarTables(card.grid, card.input_size, student_config(card.options))
    except ValueError as error:
        raise ArtifactError(f"{card_path(path)}: {error}") from error


def pick_onnx_device(options: RuntimeOptions) -> str:
    """`cpu` or `cuda`; raises ValueError, with the remedy, for what this ONNX Runtime does not serve."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    device, tensorrt = options.device, options.backend == "tensorrt"
    if tensorrt:
        if device == "cpu":
            raise ValueError("backend tensorrt needs device cuda, not cpu; use backend onnx")
        device = "cuda"
    elif device == "auto":
        device = "cuda" if PROVIDERS["cuda"] in available else "cpu"
    key = _provider_key(replace(options, device=device))
    if PROVIDERS.get(key) not in available:
        what = "backend tensorrt" if tensorrt else f"device {device!r}"
        remedy = REMEDIES.get(key, "use auto, cpu or cuda")
        raise ValueError(f"{what} is not served by this ONNX Runtime, which offers {available}; {remedy}")
    return device


def _provider_key(options: RuntimeOptions) -> str:
    return "tensorrt" if options.backend == "tensorrt" else options.device


def check_combination(options: RuntimeOptions) -> None:
    """Raises ValueError, with the remedy, for what ONNX Runtime does not have; `options.device` is cpu or cuda."""
    backend, precision, device = options.backend, options.precision, options.device
    if backend not in ENGINES:
        raise ValueError(f"backend {backend!r} is not one of ONNX Runtime's {', '.join(ENGINES)}")
    served = ENGINES[backend]
    if precision not in served:
        raise ValueError(f"precision {precision} is not served by backend {backend}, which has {', '.join(served)}")
    if precision == "int8" and device != "cpu":
        raise ValueError(f"precision int8 needs device cpu, not {device}; on a GPU use fp16")
    if precision == "int8":
        check_int8_instructions()


def check_int8_instructions() -> None:
    """Raises ValueError on a CPU whose eight-bit sums overflow."""
    if not has_any(INT8_FLAGS):
        raise ValueError(
            f"precision int8: this CPU has none of the flags {', '.join(sorted(INT8_FLAGS))}; without them sums "
            "overflow and the map is another one; use fp32"
        )


def _export_options(path: str | Path, precision: str) -> str:
    card = card_path(path)
    # Beside the user's own card; what ships with the package stays as it is.
    out = card.name if card in SHIPPED.values() else card
    return f"{card} --out {out} --onnx{' --int8' if precision == 'int8' else ''}"
