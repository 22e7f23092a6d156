from xml.etree import ElementTree

import numpy as np
import pytest

from mapkd_core.evaluation.training_curves import chart, grouped, read_curves


def svg_of(figure):
    return ElementTree.fromstring(figure).find("svg")


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


def test_validation_shares_one_chart():
    curve = ([0, 1], [0.0, 1.0])
    charts = grouped({"train/total": curve, "val/miou": curve, "val/divider": curve})
    assert list(charts) == ["validation", "train/total"]
    assert list(charts["validation"]) == ["miou", "divider"]


def test_a_rising_curve_rises_on_the_page_inside_the_frame():
    svg = svg_of(chart("loss", {"a": ([0, 50, 100], [1.0, 2.0, 3.0])}))
    points = np.array([p.split(",") for p in svg.find("polyline").get("points").split()], float)
    assert np.all(np.diff(points[:, 0]) > 0) and np.all(np.diff(points[:, 1]) < 0)  # y grows downwards
    _, _, width, height = map(float, svg.get("viewBox").split())
    assert points.min() >= 0 and points[:, 0].max() <= width and points[:, 1].max() <= height


def test_long_noisy_constant_single_and_broken_curves():
    noisy = (list(range(5000)), np.random.default_rng(0).normal(size=5000).tolist())
    lines = svg_of(chart("noisy", {"a": noisy})).findall("polyline")
    assert [line.get("opacity") for line in lines] == ["0.3", "1"]
    assert all(len(line.get("points").split()) <= 400 for line in lines)
    assert svg_of(chart("flat", {"a": ([0, 1], [2.0, 2.0])})) is not None
    assert svg_of(chart("one", {"a": ([3], [2.0])})).find("circle") is not None
    assert "no finite value" in chart("nan", {"a": ([0], [float("nan")])})
