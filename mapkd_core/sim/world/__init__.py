"""What stands on a road map: ground, paint, solids, traffic, weather."""
