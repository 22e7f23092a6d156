import numpy as np
import pytest

from mapkd_core.data.lidar import LidarSweep, Sweeps, gather_sweeps, pad_points, read_point_file
from mapkd_core.geometry import transform_from_yaw


def write(path, points):
    np.array(points, np.float32).tofile(path)
    return path


def test_sweeps_are_moved_dropped_near_the_sensor_and_aged(tmp_path):
    # Near is a square about the sensor: (1.5, 1.5) goes, (2.3, 0) stays.
    now = write(tmp_path / "now.bin", [[10, 0, 0, 7, 1], [1.5, 1.5, 0, 9, 2], [2.3, 0, 1, 8, 3]])
    before = write(tmp_path / "before.bin", [[0, 5, 0, 200, 4]])
    sweeps = [
        LidarSweep(now, transform_from_yaw(1, 0, 0.0, z_m=1.8), 0.0),
        LidarSweep(before, transform_from_yaw(-3, 0, np.pi / 2), 0.05),
    ]
    np.testing.assert_allclose(
        gather_sweeps(sweeps), [[11, 0, 1.8, 7, 0], [3.3, 0, 2.8, 8, 0], [-8, 0, 0, 200, 0.05]], atol=1e-6
    )
    assert gather_sweeps([]).shape == (0, 5)


def test_errors_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.bin.*sweeps"):
        read_point_file(tmp_path / "gone.bin")
    with pytest.raises(ValueError, match="28 bytes; expected 20 a point"):
        read_point_file(write(tmp_path / "odd.bin", np.zeros(7)))
    (tmp_path / "cut.bin").write_bytes(bytes(41))
    with pytest.raises(ValueError, match="41 bytes"):
        read_point_file(tmp_path / "cut.bin")
    for bad in (np.nan, np.inf, 1e6):
        with pytest.raises(ValueError, match=r"bad\.bin holds points that are not finite, or beyond"):
            read_point_file(write(tmp_path / "bad.bin", [[1, 2, 3, 4, 5], [1, bad, 3, 4, 5]]))


def test_padding_and_cutting():
    points = np.arange(20, dtype=np.float32).reshape(4, 5)
    padded, mask = pad_points(points, 6)
    assert padded.shape == (6, 5) and mask.tolist() == [1, 1, 1, 1, 0, 0] and not padded[4:].any()
    cut, mask = pad_points(points, 3)
    assert cut.tolist() == points[:3].tolist() and mask.all()


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("1", [0]),
        ("3", [0, -1, -2]),  # newest first
        ("1,2", [0, 1, 2]),
        ("3,1", [0, -1, 1, -2]),  # nearest in time first: what is cut off is the farthest
        ("2,3,10", [0, -10, 10, 20, 30]),
    ],
)
def test_chosen_sweeps_before_and_after_a_frame(text, places):
    assert Sweeps.parse(text, "--sweeps").places() == places


def test_no_sweeps_are_no_lidar():
    assert Sweeps.of(0).places() == [] and Sweeps.of(2) == Sweeps(2, 0, 1) and Sweeps.of(Sweeps(1, 4)) == Sweeps(1, 4)


@pytest.mark.parametrize("text", ["", "a", "1,", "-1", "1,2,3,4", "0,1", "1,1,0", "101", "1,101", "1 ,2", "1.0"])
def test_sweeps_that_mean_nothing(text):
    with pytest.raises(ValueError, match=r"--sweeps is|expected 1 or more, 0 or more, and 1|expected 100 or fewer"):
        Sweeps.parse(text, "--sweeps")
