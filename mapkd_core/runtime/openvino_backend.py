"""The student as an exported graph in OpenVINO: on the CPU, in float32 or in eight bits."""
from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.runtime.graph_face import BELONGS_TO, GraphRuntime, Opened, check_int8_instructions
from mapkd_core.runtime.kernel_lookup import KERNEL_NOTE
from mapkd_core.runtime.openvino_import import import_openvino
from mapkd_core.runtime.options import RuntimeOptions

OPENVINO_PRECISIONS = ("fp32", "int8")


class OpenVinoRuntime(GraphRuntime):
    """A graph in OpenVINO; see GraphRuntime. It may be run from several threads."""

    library = "OpenVINO"

    def __init__(self, path: str | Path, options: RuntimeOptions) -> None:
        self._core = import_openvino().Core()
        options = replace(options, device=pick_openvino_device(options))
        self._of_thread = threading.local()
        super().__init__(path, options)

    def _open(self, graph: Path, options: RuntimeOptions) -> Opened:
        # Read, then compiled: what is compiled by its path may come from a cache that does not see new weights.
        model = self._core.read_model(str(graph))
        settings = {
            # By default it computes in bfloat16 where the CPU has that, and lines move.
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            # The cores belong to drivers and players too.
            "ENABLE_CPU_PINNING": "NO",
        }
        if options.threads:
            settings["INFERENCE_NUM_THREADS"] = str(options.threads)
        self._compiled = self._core.compile_model(model, "CPU", settings)
        ends = (*model.inputs, *model.outputs)
        return Opened(_notes(model), {end.any_name: _sizes(end.partial_shape) for end in ends})

    def _run(self, feed: dict[str, NDArray]) -> NDArray[np.float32]:
        request = getattr(self._of_thread, "request", None)
        if request is None:  # one request runs once at a time
            request = self._of_thread.request = self._compiled.create_infer_request()
        # Outputs that are shared are written over by the next call.
        found = request.infer(feed, share_inputs=True, share_outputs=False)
        return np.asarray(found[self.output])


def pick_openvino_device(options: RuntimeOptions) -> str:
    """`cpu`; raises ValueError, with the remedy, for what this backend does not serve."""
    if options.device not in ("auto", "cpu"):
        raise ValueError(
            f"backend openvino runs on device cpu, not {options.device!r}; use device cpu, or backend onnx"
        )
    if options.precision not in OPENVINO_PRECISIONS:
        raise ValueError(
            f"precision {options.precision} is not served by backend openvino, which has "
            f"{', '.join(OPENVINO_PRECISIONS)}"
        )
    if options.precision == "int8":
        check_int8_instructions()
    return "cpu"


def _notes(model: Any) -> dict[str, str]:
    """The graph's metadata."""
    notes = {}
    for key in (BELONGS_TO, KERNEL_NOTE):
        with contextlib.suppress(RuntimeError, AttributeError):  # it has none of that name
            notes[key] = str(model.get_rt_info(["framework", key]).value)
    return notes


def _sizes(shape: Any) -> list[int | None]:
    """A shape; None for an axis that is free."""
    return [axis.get_length() if axis.is_static else None for axis in shape]
