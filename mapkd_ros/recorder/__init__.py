"""recorder: topics to a bag."""
from mapkd_ros.recorder.mcap_file import McapFile

__all__ = ["McapFile"]
