"""student_node: camera messages to vector maps."""
