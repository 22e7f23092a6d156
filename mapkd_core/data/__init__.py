"""Where frames and labels come from: nuScenes, images, LiDAR, SD maps, training caches."""
