"""Scores of predicted maps: IoU and three definitions of average precision."""
