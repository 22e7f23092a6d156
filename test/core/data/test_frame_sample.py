from dataclasses import replace

import numpy as np
import pytest
from invented_frames import TOWN, frame, image

from mapkd_core.data.frame_sample import SampleOptions, sample_from_frame
from mapkd_core.data.labels import map_elements, on_grid
from mapkd_core.grid import GRID_60X30

OPTIONS = SampleOptions(GRID_60X30, (160, 64), lidar=True, sd_map=True)


def test_a_sample_has_every_part_in_base_link():
    source = frame(3)
    sample = sample_from_frame(source, OPTIONS)
    assert sample.token == "token-3" and sample.images.shape == (6, 64, 160, 3) and sample.images.dtype == np.uint8
    np.testing.assert_allclose(sample.intrinsics[0], [[125, 0, 79.75], [0, 250 * 64 / 180, 90.5 * 64 / 180 - 0.5],
                                                      [0, 0, 1]])
    np.testing.assert_array_equal(sample.base_from_camera[2], source.views[2].base_from_camera)
    np.testing.assert_array_equal(sample.lidar, source.lidar())
    (road,) = sample.sd_lines_m
    assert np.abs(road).max(0)[0] == pytest.approx(42)  # the grid's 30 m and 12 m of margin
    own, direct = on_grid(sample.elements, GRID_60X30), map_elements(TOWN, source.map_from_base, GRID_60X30)
    assert [e.label for e in own] == [e.label for e in direct] and len(direct) == 8
    assert max(np.abs(e.points_m).max() for e in sample.elements) > 40


def test_the_lidars_pose_comes_where_it_is_asked_for_and_known():
    pose = np.diag([1.0, 1, 1, 1])
    source, asked = replace(frame(0), base_from_lidar=pose), replace(OPTIONS, lidar_pose=True)
    assert sample_from_frame(source, asked).base_from_lidar is pose
    assert sample_from_frame(source, OPTIONS).base_from_lidar is None
    assert sample_from_frame(frame(0), asked).base_from_lidar is None


def test_what_is_not_asked_for_is_not_needed():
    sample = sample_from_frame(frame(0, None, lidar=False), replace(OPTIONS, lidar=False, sd_map=False, labels=False))
    assert sample.elements == () and sample.lidar is None and sample.sd_lines_m is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (frame(0, None), "frame token-0 of scene-invented has no road map"),
        (replace(frame(0), map_from_base=None), "has no pose"),
        (frame(0, lidar=False), "has no LiDAR"),
        (frame(0, replace(TOWN, sd_roads_m=())), "has no SD roads"),
        (replace(frame(0), map_from_base=np.full((4, 4), np.nan)), "pose of frame token-0 .* not finite"),
        (replace(frame(0), lidar=lambda: np.full((2, 5), np.inf, np.float32)), "lidar of frame .* not finite"),
    ],
)
def test_what_is_missing_or_broken_is_named(source, message):
    with pytest.raises(ValueError, match=message):
        sample_from_frame(source, OPTIONS)


def test_an_image_that_does_not_fit_its_calibration_is_refused():
    source = frame(0)
    views = (replace(source.views[0], image=image(0, (640, 480))), *source.views[1:])
    with pytest.raises(ValueError, match=r"CAM_FRONT_LEFT is .* calibration is for 320x180"):
        sample_from_frame(replace(source, views=views), OPTIONS)
