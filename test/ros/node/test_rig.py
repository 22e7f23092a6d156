"""Which cameras the parameters ask for."""
from __future__ import annotations

import pytest

from mapkd_ros.node.rig import camera_watch, rig_of
from mapkd_ros.node.student_parameters import PARAMETERS

DEFAULTS = {row.name: row.default for row in PARAMETERS}


def test_without_a_file_cameras_are_regular():
    told: list[str] = []
    values = {**DEFAULTS, "cameras": ["LEFT", "RIGHT"], "image_transport": "raw", "rectified": "true"}
    rig = rig_of(values, DEFAULTS, told.append)
    assert [(c.name, c.image, c.rectified) for c in rig.cameras] == [
        ("LEFT", "camera/left/image_raw", "true"), ("RIGHT", "camera/right/image_raw", "true")
    ]  # fmt: skip
    assert not told


def test_a_file_says_it_all_and_what_it_replaces_is_told(tmp_path):
    (tmp_path / "rig.yaml").write_text("image: /{name}/image\ncameras: [a, b]")
    told: list[str] = []
    values = {**DEFAULTS, "rig": str(tmp_path / "rig.yaml")}
    assert rig_of(values, DEFAULTS, told.append).names == ("a", "b") and not told
    rig_of({**values, "cameras": ["a"], "rectified": "true"}, DEFAULTS, told.append)
    assert told == [f"not used, as {tmp_path}/rig.yaml says it of each camera: cameras, rectified"]
    with pytest.raises(ValueError, match=r"none\.yaml does not exist; expected a rig file"):
        rig_of({**values, "rig": str(tmp_path / "none.yaml")}, DEFAULTS, told.append)


@pytest.mark.parametrize("all_needed", [False, True])
def test_sets_go_on_without_a_silent_camera_unless_the_weights_need_them_all(all_needed):
    watch = camera_watch(["A", "B"], DEFAULTS, all_needed)
    for tenth in range(40):
        watch.see("A", tenth * 100_000_000)
    assert watch.expected == (("A", "B") if all_needed else ("A",)) and watch.reason_to_wait == ""
