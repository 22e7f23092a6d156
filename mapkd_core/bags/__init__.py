"""Drives as rosbag2 files and as streams of messages, without ROS."""
