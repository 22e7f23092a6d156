"""Files for RViz and Foxglove that show the topics and frames of one vehicle."""
