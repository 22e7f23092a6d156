import base64
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from oracle_frames import GRID, HEADER, Oracle, frames

from mapkd_core.commands.main import main
from mapkd_core.draw import CLASS_COLORS
from mapkd_core.evaluation.evaluate import PREDICTIONS, TRUTH, predict_frames
from mapkd_core.evaluation.report import build_report
from mapkd_core.predictor import DEFAULT_WEIGHTS


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("oracle")
    predict_frames(frames(3), Oracle(), GRID, folder, HEADER)
    assert main(
        ["evaluate", "--predictions", str(folder / PREDICTIONS), "--truth", str(folder / TRUTH), "--out", str(folder)]
    ) == 0
    return folder


def test_the_file_holds_everything_itself(evaluation, tmp_path):
    out = tmp_path / "r" / "report.html"
    assert main(["report", "--weights", str(DEFAULT_WEIGHTS), "--evaluation", str(evaluation), "--out", str(out)]) == 0
    text = out.read_text()
    for heading in ("Model", "Scores", "By distance from the vehicle", "By condition", "Latency", "Frames"):
        assert f"<h2>{heading}</h2>" in text
    card = json.loads(DEFAULT_WEIGHTS.read_text())
    assert card["weights_sha256"] in text
    assert text.count("data:image/jpeg;base64,") == 3
    assert 'src="http' not in text and "<script" not in text and 'href="' not in text


def test_two_evaluations_stand_side_by_side_with_the_better_one_marked(evaluation, tmp_path):
    worse = tmp_path / "worse"
    worse.mkdir()
    result = json.loads((evaluation / "result.json").read_text())
    result["iou"] = {name: value / 2 for name, value in result["iou"].items()}
    (worse / "result.json").write_text(json.dumps(result))
    text = build_report(None, None, [evaluation, worse])
    better = f"<b>{100 * result['iou']['miou'] * 2:.2f}</b>"
    assert better in text and f"<b>{100 * result['iou']['miou']:.2f}</b>" not in text


def images_of(text: str) -> list[np.ndarray]:
    found = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", text)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR) for data in found]


@pytest.fixture(scope="module")
def blind(evaluation, tmp_path_factory):
    """The evaluation of a network that sees nothing but boundaries."""
    folder = tmp_path_factory.mktemp("blind")

    class Blind(Oracle):
        def predict_frame(self, frame):
            found = super().predict_frame(frame)
            boundaries = [e for e in found.elements if e.label == "boundary"]
            return replace(found, elements=boundaries, stage_ms={"network": 2.0})

    header = {"artifact": {"name": "blind", "version": "2"}, "data": "invented"}
    predict_frames(frames(3), Blind(), GRID, folder, header)
    assert main(
        ["evaluate", "--predictions", str(folder / PREDICTIONS), "--truth", str(folder / TRUTH), "--out", str(folder)]
    ) == 0
    return folder


def test_several_models_stand_side_by_side_in_tables_and_in_the_same_frames(evaluation, blind, tmp_path):
    out = tmp_path / "report.html"
    assert main(["report", str(evaluation), str(blind), "--out", str(out)]) == 0
    text = out.read_text()
    assert f"<title>{evaluation.name}, {blind.name}</title>" in text
    assert "oracle 1" in text and "blind 2" in text and "cannot be compared" not in text
    latency = text.partition("<h2>Latency</h2>")[2].partition("<h2>")[0]
    assert "<td>network</td><td>5.0</td><td><b>2.0</b></td>" in latency
    assert "<td>vectorize</td><td><b>1.0</b></td><td>-</td>" in latency
    section = text.partition("<h2>The same frames, side by side</h2>")[2].partition("<h2>")[0]
    images = images_of(section)
    assert len(images) == 3 and f"of {blind.name}" in section
    divider = CLASS_COLORS["divider"][::-1]
    for image in images:
        near = (np.abs(image[40:].astype(int) - divider) < 70).all(-1)
        ours, theirs, truth = (part.sum() for part in np.array_split(near, 3, axis=1))
        assert theirs < 20 < ours / 3 and truth > 60, "the blind one shows no divider, the other two do"


def test_evaluations_of_different_frames_say_so_and_one_without_predictions_is_named(evaluation, blind, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    result = json.loads((evaluation / "result.json").read_text())
    result["predictions"]["data"] = "elsewhere"
    (other / "result.json").write_text(json.dumps(result))
    text = build_report(None, None, [evaluation, blind, other])
    assert "cannot be compared" in text and "other holds no predictions.jsonl" in text


def test_what_is_reported_on_is_not_written_over(evaluation, tmp_path, capsys):
    card = tmp_path / "nano.json"
    card.write_bytes(DEFAULT_WEIGHTS.read_bytes())
    for words in (["--weights", str(card), "--out", str(card)],
                  ["--evaluation", str(evaluation), "--out", str(evaluation / "result.json")]):
        assert main(["report", *words]) == 2
        assert "which is read here; choose another --out" in capsys.readouterr().err
    assert card.read_bytes() == DEFAULT_WEIGHTS.read_bytes()


def test_parts_that_are_not_there(tmp_path, capsys):
    assert main(["report"]) == 2
    assert "nothing to report" in capsys.readouterr().err
    assert main(["report", "--evaluation", str(tmp_path)]) == 2
    assert "result.json does not exist" in capsys.readouterr().err
    (tmp_path / "result.json").write_text("{}")
    assert main(["report", "--evaluation", str(tmp_path)]) == 2
    assert "not a result of mapkd evaluate" in capsys.readouterr().err


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run with curves and two validation images."""
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    folder = tmp_path_factory.mktemp("runs") / "fast"
    writer = tensorboard.SummaryWriter(str(folder / "log"))
    for step in (5, 10, 15):
        writer.add_scalar("train/total", 1 / step, step)
        writer.add_scalar("val/miou", step / 100, step)
        writer.add_image("val/images", np.full((4, 6, 3), step, np.uint8), step, dataformats="HWC")
    writer.close()
    (folder / "config.json").write_text(json.dumps({"name": "fast", "model": "student", "steps": 15, "init": ["a<b"]}))
    return folder


def test_a_run_alone_tells_its_config_curves_and_images(run_folder, tmp_path):
    out = tmp_path / "report.html"
    assert main(["report", "--run", str(run_folder), "--out", str(out)]) == 0
    text = out.read_text()
    assert "<title>fast</title>" in text and "<td>steps</td><td><code>15</code>" in text and "a&lt;b" in text
    assert "<h2>Training</h2>" in text and text.count("<svg") == 2
    assert text.count("data:image/png;base64,") == 2 and "step 5;" in text and "step 15;" in text
    with pytest.raises(FileNotFoundError, match="does not exist; expected the folder"):
        build_report(None, tmp_path, [])


def test_evaluations_of_one_name_are_told_apart(evaluation, tmp_path):
    places = [tmp_path / name / "evaluation" for name in ("one", "two")]
    for place in places:
        place.mkdir(parents=True)
        (place / "result.json").write_text((evaluation / "result.json").read_text())
    text = build_report(None, None, places)
    assert "one/evaluation" in text and "two/evaluation" in text
    with pytest.raises(ValueError, match="given twice"):
        build_report(None, None, places[:1] * 2)
