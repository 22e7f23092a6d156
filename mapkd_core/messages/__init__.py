"""Maps as ROS messages, made of rclpy's classes or, without ROS, of rosbags'."""
