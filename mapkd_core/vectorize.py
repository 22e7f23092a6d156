"""The old place of `mapkd_core.vectorizer.vectorize`, kept for one version."""
from mapkd_core.vectorizer.vectorize import VectorizeConfig, vectorize

__all__ = ["VectorizeConfig", "vectorize"]
