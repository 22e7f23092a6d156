"""`make soak`: its count of sets, and one round of its faults."""
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ros


@pytest.fixture
def soak(root, monkeypatch):
    pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    import soak

    return soak


def test_images_that_are_refused_one_by_one_are_no_sets(soak):
    counters = {
        "sets formed": 10, "maps published": 4, "dropped: no camera_info CAM_BACK": 1, "dropped: size CAM_BACK": 2,
        "dropped: undecodable CAM_BACK_LEFT": 3,  # cut off: found when the set is decoded
        "dropped: undecodable CAM_BACK": 50, "dropped: no stamp CAM_FRONT": 60, "dropped: camera_info CAM_BACK": 70,
        "set not formed: missing CAM_BACK": 80, "image used: stray bytes CAM_BACK": 90,
    }  # fmt: skip
    assert soak.balance(counters) == (10, 4, 6)


@pytest.mark.slow
def test_one_round_of_faults(soak, root, private_domain):
    command = [sys.executable, str(root / "benchmarks" / "soak.py"), "--minutes", "0", "--lasts", "1", "--hz", "6"]
    done = subprocess.run(
        [*command, "--domain", str(private_domain)], capture_output=True, text=True, timeout=900, check=False,
        env=dict(os.environ),
    )  # fmt: skip
    assert "| all cameras stop |" in done.stdout, done.stderr[-3000:]
    assert done.stdout.count("- holds: ") >= 4 and "Traceback" not in done.stderr, done.stdout[-4000:]
