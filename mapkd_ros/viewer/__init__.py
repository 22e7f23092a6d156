"""What a student_node that runs now sees and publishes, in rerun's viewer."""
