import json
from dataclasses import replace

import pytest
from oracle_frames import GRID, HEADER, Oracle, frames

from mapkd_core.evaluation.evaluate import PREDICTIONS, TRUTH, _latency, predict_frames, score_frames
from mapkd_core.evaluation.result_file import RESULTS, SUBMISSION, forget_results
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.crossings import in_side_form
from mapkd_core.metrics.frame_file import FrameRecord, read_frames
from mapkd_core.metrics.submission import write_submission


def test_the_truth_itself_scores_one_by_every_definition(tmp_path):
    assert predict_frames(frames(4), Oracle(), GRID, tmp_path, HEADER) == 4
    evaluation = score_frames(tmp_path / PREDICTIONS, tmp_path / TRUTH)
    result = evaluation.result
    for definition, sets in result["ap"].items():
        # The compatible truth is re-sampled every metre and may lose a metre at line ends, never more.
        assert sets["0.5/1/1.5"]["mAP"] > (0.99 if "corrected" in definition else 0.85), definition
    assert result["iou_exact_lines"]["miou"] == pytest.approx(1)
    assert result["openlane_v2"]["mAP"] == pytest.approx(1)
    assert result["latency_ms"] == {"network": 5, "total": 6, "vectorize": 1}
    assert set(result["by_condition"]) == {"day", "night"} and result["by_condition"]["day"]["frames"] == 2
    assert result["predictions"]["data"] == "invented"
    assert sorted(evaluation.ranked()) == [0, 1, 2, 3]


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    predict_frames(frames(5), Oracle(), GRID, tmp_path, HEADER, limit=2)
    with (tmp_path / TRUTH).open("a") as file:
        file.write('{"token": "broken')  # killed while writing
    oracle = Oracle()
    assert predict_frames(frames(5), oracle, GRID, tmp_path, HEADER) == 5
    assert oracle.asked == ["t2", "t3", "t4"]
    assert [r.token for r in read_frames(tmp_path / TRUTH)] == [f"t{k}" for k in range(5)]


def test_a_run_goes_on_from_what_both_files_hold(tmp_path):
    predict_frames(frames(5), Oracle(), GRID, tmp_path, HEADER, limit=3)
    lines = (tmp_path / TRUTH).read_text().splitlines(keepends=True)
    (tmp_path / TRUTH).write_text("".join(lines[:-1]))  # killed between the two files
    oracle = Oracle()
    assert predict_frames(frames(5), oracle, GRID, tmp_path, HEADER) == 5 and oracle.asked == ["t2", "t3", "t4"]
    for name in (PREDICTIONS, TRUTH):
        assert [r.token for r in read_frames(tmp_path / name)] == [f"t{k}" for k in range(5)]


def test_frames_are_paired_by_their_tokens_and_ranked_best_first(tmp_path):
    """The second frame's prediction lacks its last line, the third's has none."""
    predict_frames(frames(4), Oracle(), GRID, tmp_path, HEADER)
    expected = score_frames(tmp_path / PREDICTIONS, tmp_path / TRUTH).result["ap"]
    header, *lines = (tmp_path / PREDICTIONS).read_text().splitlines()
    (tmp_path / PREDICTIONS).write_text("\n".join([header, *lines[::-1], ""]))
    assert score_frames(tmp_path / PREDICTIONS, tmp_path / TRUTH).result["ap"] == expected
    rows = [{k: v for k, v in json.loads(line).items() if k != "semantic_png"} for line in lines]
    rows[1]["elements"], rows[2]["elements"] = rows[1]["elements"][:-1], []
    (tmp_path / PREDICTIONS).write_text("\n".join([header, *map(json.dumps, rows), ""]))
    assert score_frames(tmp_path / PREDICTIONS, tmp_path / TRUTH).ranked() == [0, 3, 1, 2]


def test_without_a_frames_prediction_there_is_no_iou_and_unknown_classes_are_noted(tmp_path):
    predict_frames(frames(2), Oracle(), GRID, tmp_path, HEADER)
    header, first, _ = (tmp_path / PREDICTIONS).read_text().splitlines()
    (tmp_path / PREDICTIONS).write_text(f"{header}\n{first}\n")
    header, *rows = (tmp_path / TRUTH).read_text().splitlines()
    rows[0] = json.dumps({**json.loads(rows[0]), "known": ["divider"]})
    (tmp_path / TRUTH).write_text("\n".join([header, *rows, ""]))
    result = score_frames(tmp_path / PREDICTIONS, tmp_path / TRUTH).result
    assert result["iou"] is None and result["by_condition"]["day"]["iou"] is None, "nor of the frames that have one"
    assert any("In 1 frames the truth of some classes is unknown" in note for note in result["notes"])


def test_latencies_are_medians(tmp_path):
    records = [FrameRecord(str(k), [], stage_ms={"network": t, "vectorize": 10 - t}) for k, t in enumerate((1, 2, 9))]
    assert _latency(records) == {"network": 2, "vectorize": 8, "total": 10}


def test_another_network_in_the_same_folder_is_refused(tmp_path):
    predict_frames(frames(1), Oracle(), GRID, tmp_path, HEADER)
    other = {**HEADER, "data": "elsewhere"}
    with pytest.raises(FileExistsError, match="data was 'invented', now 'elsewhere'"):
        predict_frames(frames(1), Oracle(), GRID, tmp_path, other)
    assert predict_frames(frames(2), Oracle(), GRID, tmp_path, other, overwrite=True) == 2


def test_frames_without_a_map_or_images_are_passed_over(tmp_path):
    mixed = [replace(frames(1)[0], views=(), token="y"), *frames(1)]
    mixed += [replace(f, token="x") for f in frames(1, with_map=False)]
    assert predict_frames(mixed, Oracle(), GRID, tmp_path / "a", HEADER) == 1
    with pytest.raises(ValueError, match="none of 1 frames has a road map"):
        predict_frames(frames(1, with_map=False), Oracle(), GRID, tmp_path / "b", HEADER)


def test_submissions_are_scored_against_submissions(tmp_path):
    predict_frames(frames(3), Oracle(), GRID, tmp_path, HEADER)
    truths = {r.token: r.elements for r in read_frames(tmp_path / TRUTH)}
    predictions = {r.token: r.elements for r in read_frames(tmp_path / PREDICTIONS)}
    write_submission(tmp_path / "truth.json", truths)
    write_submission(tmp_path / "predictions.json", predictions)
    with pytest.raises(ValueError, match="does not say for which grid"):
        score_frames(tmp_path / "predictions.json", tmp_path / "truth.json")
    result = score_frames(tmp_path / "predictions.json", tmp_path / "truth.json", GRID).result
    assert result["iou"] is None
    assert all(sets["0.2/0.5/1"]["mAP"] > 0.99 for sets in result["ap"].values())
    assert len(in_side_form(predictions["t0"])) == len(truths["t0"])


def test_missing_predictions_are_empty_maps_and_strays_are_refused(tmp_path):
    predict_frames(frames(2), Oracle(), GRID, tmp_path, HEADER)
    records = {r.token: r.elements for r in read_frames(tmp_path / PREDICTIONS)}
    write_submission(tmp_path / "half.json", {"t0": records["t0"]})
    result = score_frames(tmp_path / "half.json", tmp_path / TRUTH).result
    assert result["ap"]["ap_chamfer_corrected"]["0.5/1/1.5"]["per_class"]["divider"] == pytest.approx(0.5)
    assert "1 frames have no prediction" in result["notes"][1]
    write_submission(tmp_path / "stray.json", {"elsewhere": records["t0"]})
    with pytest.raises(ValueError, match="'elsewhere'"):
        score_frames(tmp_path / "stray.json", tmp_path / TRUTH)


def test_two_grids_are_refused(tmp_path):
    predict_frames(frames(1), Oracle(), GRID, tmp_path, HEADER)
    with pytest.raises(ValueError, match="disagree on the grid"):
        score_frames(tmp_path / PREDICTIONS, tmp_path / TRUTH, BevGrid(cell_m=0.3))


def test_nothing_to_score_is_refused(tmp_path):
    predict_frames(frames(2), Oracle(), GRID, tmp_path, HEADER)
    predictions, truth = tmp_path / PREDICTIONS, tmp_path / TRUTH
    empty, unknown, bare = tmp_path / "empty.jsonl", tmp_path / "unknown.jsonl", tmp_path / "bare.jsonl"
    header, *lines = truth.read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    empty.write_text(header + "\n")
    unknown.write_text("\n".join([header, *[json.dumps({**row, "known": []}) for row in rows], ""]))
    bare.write_text("\n".join([header, *[json.dumps({**row, "elements": [], "outlines": []}) for row in rows], ""]))
    for given, against, told in (
        (empty, truth, "empty.jsonl holds no frame"),
        (predictions, empty, "empty.jsonl holds no frame"),
        (predictions, unknown, "unknown.jsonl: the truth of no class is known"),
        (predictions, bare, "bare.jsonl holds no map element in 2 frames"),
        (truth, predictions, "predictions.jsonl holds predictions; expected the truth"),
    ):
        with pytest.raises(ValueError, match=told):
            score_frames(given, against)


@pytest.mark.parametrize("predicted_anew", [True, False])
def test_of_an_earlier_evaluation_its_own_files_go_and_others_stay(tmp_path, predicted_anew):
    """The submission goes with the predictions that it is made of alone."""
    images = tmp_path / "images"
    images.mkdir()
    for path in (*(tmp_path / name for name in RESULTS), images / "best-1.jpg", images / "worst-12.jpg"):
        path.touch()
    kept = {tmp_path / "notes.txt", images / "holiday.jpg", images / "best-of.jpg"}
    for path in (*kept, tmp_path / SUBMISSION):
        path.touch()
    forget_results(tmp_path, predicted_anew)
    found = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert found == kept | (set() if predicted_anew else {tmp_path / SUBMISSION})
