"""Street maps in the formats of others: Lanelet2, OpenDRIVE, GeoJSON, nuScenes; and where on Earth they lie."""
