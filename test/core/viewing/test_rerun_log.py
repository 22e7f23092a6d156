"""What rerun's viewer is given, read back from the file."""
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("rerun", reason="the viewer needs: pip install '.[view]'")
from noise_frames import noise_frames
from rrd_files import blueprints, logged

from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.moment import Moment, SeenCamera, cameras_of_frame
from mapkd_core.predictor import PredictedMap
from mapkd_core.types import CAMERAS, CLASSES, MapElement
from mapkd_core.viewing.recording import new_recording, save
from mapkd_core.viewing.rerun_log import RerunLog

GRID = BevGrid((-15.0, 15.0), (-7.5, 7.5), 0.3)
FAR = np.array([4.1e6, -2.2e6, 80.0])
"""Places of a map in UTM, which single precision would spoil."""
LINE = np.array([[2, 1], [14, 1.5]], np.float32)
RING = np.array([[5, -3], [8, -3], [8, 3], [5, 3], [5, -3]], np.float32)


def moments(count: int = 3, posed: bool = True) -> list[Moment]:
    found = []
    for k, frame in enumerate(noise_frames(count)):
        pose = transform_from_yaw(FAR[0] + 3 * k, FAR[1], 0.3, FAR[2])
        elements = [MapElement("divider", LINE + k, 0.5)] + [MapElement("ped_crossing", RING, 0.9, True)] * (k == 1)
        result = PredictedMap(
            elements, np.full((4, GRID.rows, GRID.cols), 0.25, np.float32), {"network": 2.0 + k, "vectorize": 1.0}
        )
        found.append(
            Moment(
                frame.token, "scene", 1_700_000_000_000_000_000 + k * 83_333_333, cameras_of_frame(frame), result,
                [MapElement("boundary", LINE)], pose if posed else None,
            )
        )  # fmt: skip
    return found


def written(tmp_path, given, width=640):
    log = RerunLog(new_recording("test"), GRID, width)
    save(given, log, tmp_path / "a.rrd")
    assert log.moments == len(given)
    return logged(tmp_path / "a.rrd")


def test_lines_stand_at_their_stamps_and_vanish_with_the_next_moment(tmp_path):
    given = moments()
    found = written(tmp_path, given)
    lines = found["drive/vehicle/predicted/divider"]
    assert [row["time"] for row in lines] == [m.stamp_ns for m in given] and [r["frame"] for r in lines] == [0, 1, 2]
    for k, row in enumerate(lines):
        assert np.allclose(row["strips"], [np.column_stack([LINE + k, [0, 0]])])
    crossings = found["drive/vehicle/predicted/ped_crossing"]
    assert [len(row["strips"]) for row in crossings] == [0, 1, 0]
    alpha = [row["colors"][0] & 255 for row in (lines[0], crossings[1])]
    assert alpha[0] < alpha[1], "a less certain line is fainter"
    assert np.allclose(np.array(found["drive/vehicle/true/boundary"][0]["strips"])[0, :, :2], LINE)


def test_each_camera_has_image_calibration_and_place(tmp_path):
    given = moments(1)
    found = written(tmp_path, given, width=44)
    for name, view in zip(CAMERAS, noise_frames(1)[0].views, strict=True):
        values: dict = {}
        for row in found[f"drive/vehicle/{name}"]:
            values |= row
        image = cv2.imdecode(np.array(values["blob"][0], np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (16, 44, 3) and values["resolution"] == [[44, 16]]
        k = np.array(values["image_from_camera"]).reshape(3, 3).T  # column by column
        assert k[0, 0] == pytest.approx(30) and k[0, 2] == pytest.approx(21.75) and k[2, 2] == 1
        assert np.allclose(values["translation"][0], view.base_from_camera[:3, 3])


def test_places_keep_their_precision_however_far_the_map_is(tmp_path):
    found = written(tmp_path, moments())
    places = np.array([row["translation"][0] for row in found["drive/vehicle"]])
    assert np.allclose(places, [[0, 0, 0], [3, 0, 0], [6, 0, 0]], atol=1e-4)
    assert np.allclose([row["strips"][0] for row in found["drive/path"]], [places[:2], places[1:]], atol=1e-4)


def test_another_scene_begins_at_the_origin_again(tmp_path):
    first, second, third = moments()
    found = written(tmp_path, [first, replace(second, scene="other"), replace(third, scene="other")])
    assert np.allclose([row["translation"][0][0] for row in found["drive/vehicle"]], [0, 0, 3], atol=1e-4)
    assert len(found["drive/path"]) == 1, "no way is drawn from scene to scene"


def test_curves_tell_stages_and_numbers_of_elements(tmp_path):
    found = written(tmp_path, moments())

    def curve(name):
        return [row["scalars"][0] for row in found[name] if "scalars" in row]

    assert curve("latency/network") == [2, 3, 4] and curve("latency/total") == [3, 4, 5]
    assert curve("elements/ped_crossing") == [0, 1, 0] and curve("elements/divider") == [1, 1, 1]


def test_the_maps_from_above_stand_side_by_side_and_the_layout_is_in_the_file(tmp_path):
    found = written(tmp_path, moments(1))
    panels = [cv2.imdecode(np.array(found[f"bev/{p}"][0]["blob"][0], np.uint8), 1) for p in ("predicted", "true")]
    assert panels[0].shape == panels[1].shape == (300, 150, 3) and (panels[0] != panels[1]).any()
    assert blueprints(tmp_path / "a.rrd") == 1


def test_without_poses_all_stays_at_the_vehicle_and_a_missing_camera_is_cleared(tmp_path):
    first, second, _ = moments(posed=False)
    lost = (SeenCamera(CAMERAS[0], (88, 32)), *second.cameras[1:])
    found = written(tmp_path, [first, replace(second, cameras=lost)])
    assert "drive/path" not in found
    rows = found[f"drive/vehicle/{CAMERAS[0]}"]
    assert any("is_recursive" in row and row["frame"] == 1 for row in rows)
    assert not any("blob" in row and row["frame"] == 1 for row in rows)


def test_without_a_prediction_the_true_map_alone_is_there(tmp_path):
    found = written(tmp_path, [replace(m, predicted=None) for m in moments(1)])
    assert not any(name.startswith(("latency", "drive/vehicle/predicted", "bev/predicted")) for name in found)
    assert {f"drive/vehicle/true/{label}" for label in CLASSES} <= found.keys() and "bev/true" in found


def test_points_are_thinned(tmp_path):
    (moment,) = moments(1)
    found = written(tmp_path, [replace(moment, points=np.zeros((50_001, 5), np.float32))])
    assert len(found["drive/vehicle/lidar"][0]["positions"]) == 16_667


def test_ctrl_c_leaves_what_came_and_nothing_leaves_no_file(tmp_path):
    def interrupted():
        yield from moments(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(interrupted(), RerunLog(new_recording("test"), GRID), tmp_path / "b.rrd")
    assert len(logged(tmp_path / "b.rrd")["drive/vehicle"]) == 2
    save([], RerunLog(new_recording("test"), GRID), tmp_path / "c.rrd")
    assert [path.name for path in tmp_path.iterdir()] == ["b.rrd"]
