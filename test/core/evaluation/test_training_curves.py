import re
from xml.etree import ElementTree

import numpy as np
import pytest

from mapkd_core.evaluation.page import Charts, Section, render
from mapkd_core.evaluation.training_curves import _running_mean, chart, grouped, read_curves
from mapkd_core.schema import FileFault

SVG = "{http://www.w3.org/2000/svg}"


def lines_of(chart):
    """Points (P, 2) and opacity of each curve; grid lines are left out, whose paths do not lie in a chart's line."""
    found = []
    for group in ElementTree.fromstring(chart.svg).iter(SVG + "g"):
        path = group.find(SVG + "path")
        if group.get("id", "").startswith("line2d") and path is not None and path.get("clip-path"):
            style = dict(part.split(": ") for part in path.get("style").split("; "))
            if style.get("stroke") != "#333843":
                points = re.findall(r"[ML] ([-0-9.]+) ([-0-9.]+)", path.get("d"))
                found.append((np.array(points, float), float(style.get("stroke-opacity", 1))))
    return found


def test_curves_are_read_back_by_step(tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    for part, (start, offset) in enumerate(((0, 0.0), (20, 100.0))):  # the second run repeats steps 20 and 30
        writer = tensorboard.SummaryWriter(str(tmp_path / "log"), filename_suffix=str(part))
        for step in range(start, 40 + 20 * part, 10):
            writer.add_scalar("train/total", step + offset, step, walltime=1000 * part + step)
        writer.close()
    steps, values = read_curves(tmp_path)["train/total"]
    assert steps == [0, 10, 20, 30, 40, 50]
    assert values == [0, 10, 120, 130, 140, 150]
    with pytest.raises(FileNotFoundError, match="no TensorBoard log"):
        read_curves(tmp_path / "empty")
    path = next(path for path in (tmp_path / "log").iterdir() if path.name.endswith("1"))
    data = path.read_bytes()
    path.write_bytes(data[:-5])  # as a killed run leaves it
    assert read_curves(tmp_path)["train/total"][0] == [0, 10, 20, 30, 40]
    for place in (3, 60, len(data) - 2):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(FileFault, match=r"1 is damaged: its record at byte"):
            read_curves(tmp_path)


def test_validation_shares_one_chart():
    curve = ([0, 1], [0.0, 1.0])
    charts = grouped({"train/total": curve, "val/miou": curve, "val/divider": curve})
    assert list(charts) == ["validation", "train/total"]
    assert list(charts["validation"]) == ["miou", "divider"]


def test_a_rising_curve_rises_on_the_page_inside_the_frame():
    drawn = chart("loss", {"a": ([0, 50, 100], [1.0, 2.0, 3.0])})
    ((points, _),) = lines_of(drawn)
    assert len(points) == 3
    assert np.all(np.diff(points[:, 0]) > 0) and np.all(np.diff(points[:, 1]) < 0)  # y grows downwards
    _, _, width, height = map(float, ElementTree.fromstring(drawn.svg).get("viewBox").split())
    assert points.min() >= 0 and points[:, 0].max() <= width and points[:, 1].max() <= height
    assert drawn.caption == "loss: last 3"


def test_a_chart_does_not_follow_what_others_made_of_matplotlibs_defaults():
    matplotlib = pytest.importorskip("matplotlib")
    curve = {"a": ([0, 50, 100], [1.0, 2.0, 3.0])}
    plain = chart("loss", curve).svg
    with matplotlib.rc_context({"axes.grid": True, "axes.grid.axis": "both", "grid.color": "#ff0000"}):
        assert chart("loss", curve).svg == plain


def test_long_noisy_constant_single_and_broken_curves():
    noisy = (list(range(5000)), np.random.default_rng(0).normal(size=5000).tolist())
    lines = lines_of(chart("noisy", {"a": noisy}))
    assert [opacity for _, opacity in lines] == [0.3, 1]
    assert all(10 < len(points) <= 400 for points, _ in lines)
    assert len(lines_of(chart("flat", {"a": ([0, 1], [2.0, 2.0])}))) == 1
    assert "<use" in chart("one", {"a": ([3], [2.0])}).svg
    assert chart("nan", {"a": ([0], [float("nan")])}).caption == "nan: no finite value"


def test_names_in_a_chart_are_text_and_harmless():
    drawn = chart("<b>", {"<script>a": ([0, 1], [0.0, 1.0]), "b": ([0, 1], [1.0, 0.0])})
    assert "&lt;script&gt;a" in drawn.svg and "<script" not in drawn.svg
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", drawn.svg)
    page = render("t", [Section("<i>", [Charts([drawn])])])
    assert "&lt;b&gt;: last" in page and "<h2>&lt;i&gt;</h2>" in page and "<svg" in page


def test_charts_of_one_page_share_no_name():
    curve = {"a": ([0, 1], [0.0, 1.0])}
    clips = [set(re.findall(r'<clipPath id="(\w+)"', chart(title, curve).svg)) for title in ("x", "y")]
    assert all(clips) and not clips[0] & clips[1]


@pytest.mark.parametrize("tag", ["<script>a&b", "$x_{$", "$\\bad{$", "_hidden", "a\nb", "\0", "x" * 500])
def test_any_tag_can_be_drawn(tag):
    drawn = chart(f"train/{tag}", {tag: ([0, 1], [1.0, 2.0]), "other": ([0, 1], [2.0, 3.0])})
    ElementTree.fromstring(drawn.svg)  # well-formed: nothing of the tag is markup
    assert "<script" not in drawn.svg and "\0" not in drawn.svg


def test_a_smooth_curve_is_the_mean_of_the_last_points_and_at_the_start_of_those_there_are():
    points = np.stack([np.arange(6.0), [3.0, 5.0, 7.0, 0.0, 2.0, 10.0]], 1)
    np.testing.assert_allclose(_running_mean(points), np.stack([points[:, 0], [3, 4, 5, 4, 3, 4]], 1))
