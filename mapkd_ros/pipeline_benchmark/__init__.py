"""Measures the node over DDS, from sender to listener."""
