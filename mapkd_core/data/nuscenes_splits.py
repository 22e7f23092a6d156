"""nuScenes' official lists of scenes, from the devkit."""
from __future__ import annotations


def official_splits() -> dict[str, list[str]]:
    """Split (train, val, test, mini_train, mini_val, train_detect, train_track) -> scene names."""
    from nuscenes.utils.splits import create_splits_scenes

    return {name: list(scenes) for name, scenes in create_splits_scenes().items()}
