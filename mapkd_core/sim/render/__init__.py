"""Images and LiDAR sweeps of a world."""
