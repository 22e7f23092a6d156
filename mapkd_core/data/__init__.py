"""Where frames and labels come from: nuScenes through its devkit, images, LiDAR, SD maps, training caches."""
