"""Predicts frames, scores them, draws and reports."""
