"""A vehicle's cameras as they come: the rig file, calibrations, mountings, and image encodings. Needs no ROS."""
