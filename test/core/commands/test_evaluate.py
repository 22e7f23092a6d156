import json

import pytest
from noise_frames import noise_frames

from mapkd_core.artifact import load_card
from mapkd_core.commands.main import main
from mapkd_core.evaluation.evaluate import PREDICTIONS
from mapkd_core.metrics.frame_file import read_frames
from mapkd_core.metrics.submission import read_submission
from mapkd_core.predictor import DEFAULT_WEIGHTS


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setattr("mapkd_core.frame_sources.open_frames", lambda *a, **k: (noise_frames(3), ["half the roads"]))


def evaluate(*words):
    return main(["evaluate", *map(str, words)])


def test_weights_on_data_and_again_from_the_files(tmp_path, data, capsys):
    assert evaluate("--data", "invented", "--out", tmp_path / "a", "--device", "cpu") == 0
    printed = capsys.readouterr().out
    assert "left out: half the roads" in printed and "`ap_hdmapnet_corrected`" in printed
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    card = load_card(DEFAULT_WEIGHTS)
    assert result["predictions"]["artifact"]["sha256"] == card.weights_sha256
    assert result["frames"] == 3 and result["latency_ms"]["network"] > 0 and "torch" in result["machine"]
    assert (tmp_path / "a" / "result.md").read_text().startswith(f"# {card.name}")
    images = list((tmp_path / "a" / "images").glob("*.jpg"))
    assert len(images) == sum(len(tokens) for tokens in result["examples"].values()) == 3
    page = (tmp_path / "a" / "images.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    written = read_submission(tmp_path / "a" / "submission.json")
    assert list(written) == [r.token for r in read_frames(tmp_path / "a" / PREDICTIONS)]

    assert result["aligned"] is None and "as it stands" in printed

    files = ("--predictions", tmp_path / "a" / PREDICTIONS, "--truth", tmp_path / "a" / "truth.jsonl")
    options = ("--images", 0, "--thresholds", "0.5,1,1.5", "--align", "1,0.5,0")
    assert evaluate(*files, "--out", tmp_path / "b", *options) == 0
    again = json.loads((tmp_path / "b" / "result.json").read_text())
    assert again["iou"] == result["iou"]
    assert again["ap"]["ap_chamfer"] == {"0.5/1/1.5": result["ap"]["ap_chamfer"]["0.5/1/1.5"]}
    assert again["lines"] == result["lines"] and again["aligned"]["bounds"] == {"x_m": 1, "y_m": 0.5, "yaw_deg": 0}
    assert "## Where the truth was moved" in (tmp_path / "b" / "result.md").read_text()
    assert not (tmp_path / "b" / "images").exists()


def test_a_user_s_mistakes_end_with_one_line(tmp_path, data, capsys):
    for words, told in (
        ([], "give either --data"),
        (["--data", "x", "--truth", "y"], "give either --data"),
        (["--predictions", tmp_path / "no.json", "--truth", tmp_path / "no.json"], "does not exist"),
        (["--predictions", "a", "--truth", "b", "--range", "60"], "--range 60"),
        (["--predictions", "a", "--truth", "b", "--thresholds", "1,x"], "expected such as"),
        (["--predictions", "a", "--truth", "b", "--thresholds", "0,1"], "above 0"),
        (["--predictions", "a", "--truth", "b", "--align", "1,2"], "such as 2,1,1.5"),
        (["--predictions", "a", "--truth", "b", "--align", "1,2,nan"], "expected 0 to 10"),
        (["--predictions", "a", "--truth", "b", "--thresholds", "nan,1"], "finite"),
        (["--data", "x", "--weights", tmp_path / "none.json"], "no model card"),
    ):
        assert evaluate(*words) == 2
        assert told in capsys.readouterr().err


def test_a_changed_run_asks_for_overwrite(tmp_path, data, capsys):
    quick = ("--out", tmp_path, "--limit", 1, "--images", 0, "--device", "cpu")
    assert evaluate("--data", "one", *quick) == 0
    assert evaluate("--data", "two", *quick) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert evaluate("--data", "two", *quick, "--overwrite") == 0


def test_two_evaluations_of_one_folder_are_refused_also_while_one_of_them_scores(tmp_path, data, capsys, monkeypatch):
    from mapkd_core.evaluation import evaluate as evaluation

    whole = evaluation.score_frames

    def meanwhile(*arguments):
        assert evaluate("--data", "invented", "--out", tmp_path, "--device", "cpu", "--overwrite") == 2
        return whole(*arguments)

    monkeypatch.setattr(evaluation, "score_frames", meanwhile)
    assert evaluate("--data", "invented", "--out", tmp_path, "--device", "cpu", "--images", 0) == 0
    assert "is in use by this very process" in capsys.readouterr().err


def test_what_an_earlier_evaluation_left_is_never_shown_as_this_one_s(tmp_path, data, capsys):
    quick = ("--out", tmp_path, "--device", "cpu")
    assert evaluate("--data", "one", *quick) == 0
    (tmp_path / "images" / "mine.jpg").touch()
    assert evaluate("--data", "two", *quick, "--overwrite", "--images", 0) == 0
    assert not (tmp_path / "images.html").exists()
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["mine.jpg"]


def test_results_of_other_predictions_do_not_go_beside_these(tmp_path, data, capsys):
    for name in ("a", "b"):
        assert evaluate("--data", name, "--out", tmp_path / name, "--device", "cpu", "--images", 0) == 0
    files = ("--predictions", tmp_path / "b" / PREDICTIONS, "--truth", tmp_path / "b" / "truth.jsonl", "--images", 0)
    before = (tmp_path / "a" / "result.json").read_bytes()
    assert evaluate(*files, "--out", tmp_path / "a") == 2
    assert "holds predictions.jsonl of another evaluation" in capsys.readouterr().err
    assert (tmp_path / "a" / "result.json").read_bytes() == before
    assert evaluate(*files, "--out", tmp_path / "a", "--overwrite") == 0
    assert not any((tmp_path / "a" / name).exists() for name in (PREDICTIONS, "truth.jsonl", "submission.json"))
    assert evaluate(*files, "--out", tmp_path / "b") == 0  # its own: all stays
    assert (tmp_path / "b" / "submission.json").exists() and (tmp_path / "b" / PREDICTIONS).exists()


def test_fewer_frames_than_are_there_are_no_score_of_the_few(tmp_path, data, capsys):
    quick = ("--data", "one", "--out", tmp_path, "--images", 0, "--device", "cpu")
    assert evaluate(*quick) == 0
    assert evaluate(*quick, "--limit", 2) == 2
    assert "holds predictions of 3 frames already, now 2 are wanted" in capsys.readouterr().err
    assert len(list(read_frames(tmp_path / PREDICTIONS))) == 3


def test_predictions_are_not_written_over(tmp_path, data, capsys):
    (tmp_path / "result.json").write_text('{"meta": {}, "results": {}}')
    words = ("--predictions", tmp_path / "result.json", "--truth", tmp_path / "t.json", "--out", tmp_path)
    assert evaluate(*words) == 2
    assert "would be written over" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--limit", "0"), ("--limit", "-1"), ("--processes", "0"), ("--images", "-1")])
def test_numbers_that_make_no_sense_are_refused(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        evaluate("--data", "x", *words)
    assert "expected a whole number" in capsys.readouterr().err
