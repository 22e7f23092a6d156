"""Losses of networks that predict map elements as vertices: targets, matching, terms."""
