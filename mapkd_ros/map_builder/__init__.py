"""The node map_builder: VectorMaps and transforms in, a growing street map out."""
