"""Vector HD maps from surround cameras: data, simulator, networks, distillation, deployment. Knows no ROS."""
from __future__ import annotations

TYPE_CHECKING = False  # typing's own would be imported before a command is ready for signals
if TYPE_CHECKING:
    from typing import Any

    from mapkd_core.predictor import MapPredictor, PredictedMap

__version__ = "0.1.0"  # the one place; package.xml and CITATION.cff repeat it (tested)
__all__ = ["MapPredictor", "PredictedMap", "__version__"]


def __getattr__(name: str) -> Any:
    """The public face, imported when it is first used: `import mapkd_core` alone stays fast."""
    if name in ("MapPredictor", "PredictedMap"):
        from mapkd_core import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module 'mapkd_core' has no attribute {name!r}")
