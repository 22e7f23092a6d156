"""The old place of `mapkd_core.evaluation.evaluate_cache`, kept for one version."""
from mapkd_core.evaluation.evaluate_cache import evaluate_cache, scored_once

__all__ = ["evaluate_cache", "scored_once"]
