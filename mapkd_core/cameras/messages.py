"""Names for the ROS messages that this folder reads, whoever made them: rclpy, or rosbags on a machine without ROS."""
from __future__ import annotations

from typing import Any, TypeAlias

CameraInfo: TypeAlias = Any
"""sensor_msgs/msg/CameraInfo."""
CompressedImage: TypeAlias = Any
"""sensor_msgs/msg/CompressedImage."""
Image: TypeAlias = Any
"""sensor_msgs/msg/Image."""
TransformStamped: TypeAlias = Any
"""geometry_msgs/msg/TransformStamped."""
