"""Predicted maps as files: elements in JSON, an overlay video, a recording that Foxglove and planners read."""
