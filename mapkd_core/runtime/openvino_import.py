"""OpenVINO, imported so that it reports nothing to anyone."""
from __future__ import annotations

import sys
from typing import Any


def import_openvino() -> Any:
    """The package `openvino`; raises ModuleNotFoundError where it is not installed.

    Importing it as it comes sends an event to its makers' statistics, without asking, and leaves a number that names
    the user in ~/intel. It does without where `openvino_telemetry` cannot be imported, so that is what it finds.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
