"""`mapkd import` through the command: what it says, and that importing a large file takes little memory."""
import subprocess
import sys

import published
import pytest
import torch

from mapkd_core.commands.main import main
from mapkd_core.predictor import MapPredictor

PEAK = """
import resource, sys
from mapkd_core.commands.main import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)
sys.exit(code)
"""


def test_help_lists_the_networks(capsys):
    with pytest.raises(SystemExit):
        main(["import", "--help"])
    words = capsys.readouterr().out
    assert "mapkd_student" in words and "LiDAR and an SD map" in words


@pytest.mark.slow
def test_an_imported_network_runs_as_a_predictor(tmp_path, capsys):
    torch.save(published.state_dict("hdmapnet_cam_60x30"), tmp_path / "model.pt")
    place = tmp_path / "hdmapnet.json"
    assert main(["import", str(tmp_path / "model.pt"), "--as", "hdmapnet", "--grid", "60x30", "--out", str(place)]) == 0
    words = capsys.readouterr().out
    for expected in ("526 tensors", "each equal to the file's", "12 tensors stay behind", "run on images of noise: ",
                     "NOT CONFIRMED", "GPL-3.0", "not measured here", f"mapkd predict --weights {place}", "weights:="):
        assert expected in words
    predictor = MapPredictor.from_artifact(place, device="cpu")
    intrinsics, poses = published.rig()
    pixels = [torch.randint(0, 256, (90, 160, 3), dtype=torch.uint8).numpy() for _ in range(6)]
    found = predictor.predict(pixels, intrinsics, poses)
    assert found.probabilities.shape == (4, 200, 400) and found.probabilities.std() > 1e-3


@pytest.mark.slow
def test_importing_a_teacher_takes_little_more_memory_than_its_file(tmp_path):
    torch.save(published.state_dict("mapkd_teacher_60x30"), tmp_path / "teacher.pt")
    arguments = ["import", str(tmp_path / "teacher.pt"), "--as", "teacher", "--grid", "60x30"]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *arguments, "--out", str(tmp_path / "teacher.json")],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not run, for the memory's sake" in done.stdout and "--teacher" in done.stdout
    peak, size = int(done.stderr.split("peak ")[1]), (tmp_path / "teacher.pt").stat().st_size
    print(f"peak {peak / 1e6:.0f} MB, {peak / size:.2f} times the file")
    assert peak < 2.5 * size


def test_the_authors_file_is_not_written_over(tmp_path, capsys):
    file = tmp_path / "teacher.safetensors"
    file.write_bytes(b"weights")
    words = ["import", str(file), "--as", "teacher", "--grid", "60x30", "--out", str(tmp_path / "teacher.json")]
    assert main(words) == 2
    assert "teacher.safetensors would be written over" in capsys.readouterr().err
    assert file.read_bytes() == b"weights"
