"""A simulated six-camera and LiDAR drive over an invented or a real road map."""
