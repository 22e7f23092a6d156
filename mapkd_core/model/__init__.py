"""The networks: one file per box, and short assemblies of the boxes."""
