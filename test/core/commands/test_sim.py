from __future__ import annotations

import cv2
import pytest

from mapkd_core.commands.main import main


def test_help_explains_with_examples(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["sim", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "mapkd sim export --out drive" in text and "goes on where it stopped" in text


def test_show_writes_an_image(tmp_path, capsys):
    out = tmp_path / "a" / "sim.png"
    assert main(["sim", "show", "--seed", "3", "--size", "96x54", "--frame", "0", "--out", str(out), "--no-open"]) == 0
    image = cv2.imread(str(out))
    assert image.shape[1] > 1500 and image.std() > 20
    assert "frame 0 of sim-procedural-000003" in capsys.readouterr().out


def test_export_tells_how_to_go_on(tmp_path, capsys):
    out = tmp_path / "drive"
    command = ["sim", "export", "--seed", "3", "--size", "80x45", "--frames", "1", "--out", str(out)]
    assert main([*command, "--weather", "night", "--rig", "n015"]) == 0
    text = capsys.readouterr().out
    assert "nuscenes_player" in text and "mapkd bag --dataroot" in text
    assert len(list(out.glob("samples/*/*"))) == 7
    assert "weather='night'" in (out / "README.txt").read_text()
    assert "n015-sim" in next(out.glob("samples/CAM_BACK/*")).name


def test_bench_prints_a_table(capsys):
    assert main(["sim", "bench", "--size", "64x36", "--frames", "2", "--threads", "1"]) == 0
    text = capsys.readouterr().out
    assert "| six images |" in text and "| LiDAR sweep |" in text


@pytest.mark.parametrize(("arguments", "message"), [
    (["export", "--out", "x", "--frames", "0"], "at least 1 of each"),
    (["export", "--out", "x", "--drives", "11", "--official-names"], "fewer --drives"),
    (["show", "--road", "boston-seaport", "--dataroot", "/nowhere", "--no-open"], "no map expansion"),
])
def test_mistakes_end_with_one_line(arguments, message, capsys):
    assert main(["sim", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_a_wrong_size_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["sim", "show", "--size", "big"])
    assert "is not a size such as 800x450" in capsys.readouterr().err
