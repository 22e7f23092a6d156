"""Simulated drives as a folder in nuScenes' format."""
