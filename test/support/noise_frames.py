"""Frames of six cameras whose images are noise."""
import numpy as np
from oracle_frames import road_map

from mapkd_core.types import CAMERAS, CameraView, Frame


class Noise:
    def __init__(self, pixels):
        self.pixels = pixels

    def jpeg(self):
        return None

    def rgb(self, min_size=None):
        return self.pixels


def noise_frames(count):
    rng = np.random.default_rng(0)
    k = np.array([[60.0, 0, 44], [0, 60, 16], [0, 0, 1]])
    made = []
    for n in range(count):
        views = []
        for c, name in enumerate(CAMERAS):
            yaw = 2 * np.pi * c / 6
            pose = np.eye(4)
            pose[:3, :3] = np.array(
                [[np.sin(yaw), 0, np.cos(yaw)], [-np.cos(yaw), 0, np.sin(yaw)], [0, -1, 0]]
            )
            pose[2, 3] = 1.5
            image = Noise(rng.integers(0, 255, (32, 88, 3)).astype(np.uint8))
            views.append(CameraView(name, n, (88, 32), k, pose, image))
        made.append(Frame(f"t{n}", "s", n, tuple(views), np.eye(4), road_map, conditions=("day",)))
    return made
