"""A ring of cameras for tests: N pinholes at one height looking outwards."""
import numpy as np


def ring(count=6, size=(352, 128), focal=180.0, height_m=1.5, start=0.0):
    """Intrinsics (N, 3, 3) and base_from_camera (N, 4, 4) of cameras spread evenly by yaw from `start` radians."""
    intrinsics = np.tile(np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]]), (count, 1, 1))
    poses = []
    for yaw in start + np.arange(count) * 2 * np.pi / count:
        pose = np.eye(4)
        pose[:3, 2] = [np.cos(yaw), np.sin(yaw), 0]        # optical z: ahead
        pose[:3, 0] = [np.sin(yaw), -np.cos(yaw), 0]       # optical x: right
        pose[:3, 1] = [0, 0, -1]                           # optical y: down
        pose[:3, 3] = [0, 0, height_m]
        poses.append(pose)
    return intrinsics, np.stack(poses)
