"""Weights that the papers' authors published, read into this project's networks."""
