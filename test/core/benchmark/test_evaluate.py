"""The scoring benchmark runs on few frames and names every definition."""
import subprocess
import sys

from mapkd_core.benchmark.evaluate_whole import Memory
from mapkd_core.commands.main import main


def test_report(tmp_path, capsys):
    out = tmp_path / "evaluate.md"
    words = ["--frames", "2", "--rounds", "1", "--processes", "1", "--whole", "2", "--out", str(out)]
    assert main(["benchmark", "evaluate", *words]) == 0
    text = out.read_text()
    assert text.strip() in capsys.readouterr().out
    for name in ("ap_hdmapnet", "ap_pmapnet_corrected", "ap_chamfer", "IoU"):
        assert f"| `{name}` |" in text
    assert "A whole evaluation, 2 frames" in text and "MB in the first process" in text


def test_refusals(tmp_path, capsys):
    assert main(["benchmark", "evaluate", "--whole", "-1"]) == 2
    assert main(["benchmark", "evaluate", "--frames", "0"]) == 2
    assert "expected at least 1 of each" in capsys.readouterr().err


def test_the_memory_of_a_child_is_its_own():
    held = bytearray(150_000_000)
    with Memory() as memory:
        subprocess.run([sys.executable, "-c", "held = bytearray(60_000_000); import time; time.sleep(0.5)"], check=True)
    assert memory.own_mb > len(held) / 1e6 and 60 < memory.other_mb < 120
