"""The scoring benchmark runs on few frames and names every definition."""
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
