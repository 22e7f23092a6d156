"""Measurements of this software: `mapkd benchmark NAME`, one module each, and what they share."""
