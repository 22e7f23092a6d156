"""From a semantic map to polylines and rings."""
