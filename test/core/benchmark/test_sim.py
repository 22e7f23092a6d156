"""The simulator's benchmark renders with the code of the checkout that it names, and beside this build's."""
import pytest

from mapkd_core.benchmark.sim import image_size
from mapkd_core.benchmark.sim_processes import Build, Drive
from mapkd_core.benchmark.worker_of_build import HERE
from mapkd_core.commands.main import main

OTHER_BUILD = '''
import sys, time
print("not an answer")
class SimDrive:
    def __init__(self, seed, size, frames, keyframe_s):
        assert seed >= 0 and size == (32, 18) and frames == {frames} and keyframe_s == 0.5
    road_map = property(lambda self: burn(0.03))
    world = property(lambda self: burn(0.06))
    def render(self, index): burn(0.02)
    def points(self, index): {points}
    def release(self): pass
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
'''


def checkout(folder, points="burn(0.01)", frames=3):
    (folder / "mapkd_core/sim").mkdir(parents=True)
    for package in ("mapkd_core", "mapkd_core/sim"):
        (folder / package / "__init__.py").touch()
    (folder / "mapkd_core/sim/drive.py").write_text(OTHER_BUILD.format(points=points, frames=frames))
    return folder


def test_a_checkout_is_timed_by_part(tmp_path):
    with Build(checkout(tmp_path), 2) as build:
        took = build.render([Drive(seed, (32, 18), 3, 0.5) for seed in (1, 2)])
    assert len(took.processor_s) == 2 and took.wall_s > 0.15 and took.peak_mb > 10
    for drive in took.processor_s:
        assert list(drive) == ["road map", "world", "images", "LiDAR"]
        assert list(drive.values()) == pytest.approx([0.03, 0.06, 0.06, 0.03], rel=0.2, abs=0.01)


def test_code_that_fails_is_named(tmp_path):
    with Build(checkout(tmp_path, points="sys.exit(3)"), 1) as build:
        with pytest.raises(ValueError, match=f"{tmp_path} ended without an answer"):
            build.render([Drive(1, (32, 18), 3, 0.5)])


def test_both_builds_stand_in_the_report(tmp_path, capsys):
    other = checkout(tmp_path / "other", points="burn(2.5)", frames=1)
    words = ["--sizes", "32x18", "--frames", "1", "--every", "0.5", "--drives", "1", "--processes", "1"]
    assert main(["benchmark", "sim", *words, "--against", str(other), "--out", str(tmp_path)]) == 0
    (report,) = tmp_path.glob("sim_*.md")
    text = report.read_text()
    assert text.strip() in capsys.readouterr().out
    lines = [line for line in text.splitlines() if line.startswith("| 32x18")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    rates, parts = rows[:2], rows[2:]
    assert [row[3] for row in rates] == [row[1] for row in parts] == ["this build", str(other)]
    ours, theirs = (float(row[5]) for row in rates)
    assert float(rates[0][6]) == 1 and float(rates[1][6]) == pytest.approx(theirs / ours, abs=0.02)
    assert [float(cell) for cell in parts[1][2:]] == pytest.approx([30, 60, 20, 2500], rel=0.2)
    assert "Floor of six 32x18 images: 3456 pixels" in text


def test_refusals(tmp_path, capsys):
    assert main(["benchmark", "sim", "--against", str(tmp_path)]) == 2
    assert "has no mapkd_core/sim/drive.py; name a checkout" in capsys.readouterr().err
    assert main(["benchmark", "sim", "--drives", "0"]) == 2
    assert "expected at least 1" in capsys.readouterr().err
    assert image_size("800x450") == (800, 450) and (HERE / "mapkd_core/sim/drive.py").is_file()
