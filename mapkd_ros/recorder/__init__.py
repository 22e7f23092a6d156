"""recorder: topics to a bag."""
