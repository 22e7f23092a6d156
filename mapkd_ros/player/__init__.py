"""nuscenes_player: data sets and bags as live topics."""
