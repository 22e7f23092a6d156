"""A drive for eyes: images with the map drawn in, from any source, in the rerun viewer or as a video."""
