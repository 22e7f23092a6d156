import json

import pytest

from mapkd_core.data.splits import scenes_of_split, shipped_splits

SHIPPED = {
    "streammapnet_train": 698, "streammapnet_val": 148,
    "near_train": 657, "near_val": 124, "near_test": 137,
    "far_a_train": 753, "far_a_val": 247, "far_b_train": 797, "far_b_val": 203,
}


def test_shipped_lists_are_disjoint_real_and_of_the_published_length(tmp_path):
    splits = pytest.importorskip("nuscenes.utils.splits").create_splits_scenes()
    every = {scene for name in ("train", "val", "test") for scene in splits[name]}
    assert len(every) == 1000 and set(shipped_splits()) == set(SHIPPED)
    lists = {name: scenes_of_split(name, tmp_path) for name in SHIPPED}
    for name, scenes in lists.items():
        assert len(scenes) == len(set(scenes)) == SHIPPED[name] and set(scenes) <= every
    for family in ("streammapnet", "near", "far_a", "far_b"):
        parts = [set(scenes) for name, scenes in lists.items() if name.startswith(family)]
        assert sum(map(len, parts)) == len(set.union(*parts))


def test_official_custom_and_own_lists(tmp_path):
    pytest.importorskip("nuscenes")
    assert len(scenes_of_split("val", tmp_path)) == 150 and len(scenes_of_split("mini_val", tmp_path)) == 2
    (tmp_path / "splits.json").write_text(json.dumps({"hard": ["scene-0001"]}))
    assert scenes_of_split("hard", tmp_path) == ["scene-0001"]
    own = tmp_path / "mine.txt"
    own.write_text("# night\nscene-1000\n\nscene-1001  # rain\n")
    assert scenes_of_split(str(own), tmp_path) == ["scene-1000", "scene-1001"]


def test_errors_list_the_choices(tmp_path):
    pytest.importorskip("nuscenes")
    with pytest.raises(ValueError, match=r"no split 'vall'.*mini_train.*near_val"):
        scenes_of_split("vall", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"absent\.txt"):
        scenes_of_split(str(tmp_path / "absent.txt"), tmp_path)
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(ValueError, match="names no scene"):
        scenes_of_split(str(tmp_path / "empty.txt"), tmp_path)
