import json

import numpy as np
import pytest

from mapkd_core.metrics.submission import read_submission, write_submission
from mapkd_core.schema import FileFault
from mapkd_core.types import MapElement


def test_elements_come_back_as_they_went(tmp_path):
    elements = [
        MapElement("divider", np.array([(0.125, 1), (2, 3), (4, 5)], np.float32), 0.25),
        MapElement("boundary", np.array([(0, 0, 1), (9, 9, 1)], np.float32), 1.0),
    ]
    path = tmp_path / "sub" / "a.json"
    write_submission(path, {"token": elements, "empty": []})
    blob = json.loads(path.read_text())
    assert blob["meta"] == {
        "use_camera": True, "use_lidar": False, "use_radar": False, "use_external": False, "vector": True
    }
    assert blob["results"]["token"][1] == {
        "pts": [[0, 0], [9, 9]], "pts_num": 2, "type": 2, "confidence_level": 1.0
    }
    back = read_submission(path)
    assert list(back) == ["token", "empty"] and back["empty"] == []
    for ours, theirs in zip(elements, back["token"], strict=True):
        assert (ours.label, ours.score) == (theirs.label, theirs.score)
        np.testing.assert_array_equal(ours.points_m[:, :2], theirs.points_m)


def test_rings_are_written_as_two_sides_and_read_as_they_stand(tmp_path):
    ring = np.array([(0, 0), (4, 0), (4, 9), (0, 9), (0, 0)], np.float32)
    write_submission(tmp_path / "a.json", {"t": [MapElement("ped_crossing", ring, 0.5, closed=True)]})
    assert len(read_submission(tmp_path / "a.json")["t"]) == 2
    vector = {"pts": ring.tolist(), "pts_num": 5, "type": 1}
    (tmp_path / "b.json").write_text(json.dumps({"meta": {"vector": True}, "results": {"t": [vector]}}))
    assert not read_submission(tmp_path / "b.json")["t"][0].closed
    assert read_submission(tmp_path / "b.json", rings=True)["t"][0].closed


def test_pts_num_cuts_the_padding_and_short_lines_are_dropped(tmp_path):
    vectors = [
        {"pts": [[0, 0], [1, 1], [0, 0]], "pts_num": 2, "type": 0, "confidence_level": 0.5},
        {"pts": [[0, 0], [1, 1]], "pts_num": 1, "type": 0, "confidence_level": 0.5},
        {"pts": [], "pts_num": 0, "type": 0, "confidence_level": 0.5},
    ]
    (tmp_path / "a.json").write_text(json.dumps({"meta": {"vector": True}, "results": {"t": vectors}}))
    (only,) = read_submission(tmp_path / "a.json")["t"]
    assert len(only.points_m) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "submission file: not JSON"),
        ("[]", "the whole is \\[\\]; expected an object with 'results'"),
        ('{"meta": {"vector": false}, "results": {}}', "holds rasters"),
        ('{"results": {"abc": [{"pts": [[0, 0], [1, 1]], "pts_num": 2, "type": 7}]}}', "type is 7; .*from 0 to 2"),
        ('{"results": {"a": [], "b": [], "a": []}}', "is a, which came before; expected each key"),
        ('{"results": {"a": [{"pts": [[0, 0], [1, 1]], "type": 0, "confidence_level": NaN}]}}', "level is nan"),
        ('{"results": {"a": [{"pts": [[0, 0], [1, 1]], "type": 0, "confidence_level": -1}]}}', "level is -1; .*0 to 1"),
        ('{"results": {"a": [{"pts": [[0, 0], [1, 1]], "type": 0, "confidence_level": Infinity}]}}', "level is inf"),
        ('{"results": {"a": [{"pts": [[0, 0], [1e308, 1]], "type": 0}]}}', r"with 1e\+308; .*-10000 to 10000"),
        ('{"results": {"a": [{"pts": [["0", 0], [1, 1]], "type": 0}]}}', "pts is a list of 2; expected N x 2 or 3"),
        (
            '{"results": {"a": [{"pts": [[0, 0], [1, 1]], "type": 0, "cls_name": "ped_crossing"}]}}',
            "type is 0; expected the type of its cls_name 'ped_crossing' .0 for divider, 1 for ped_crossing",
        ),
        ('{"results": [{"sample_token": "a", "vectors": [{"cls_name": "divider"}]}]}', "MapTR's format"),
        ('{"results": {"a": {"vectors": [], "scores": [], "labels": []}}}', "StreamMapNet's and MapTracker's"),
        ("[" * 100_000, "not JSON"),
        ('{"results": {"abc": [{"pts_num": 2, "type": 0}]}}', "results.abc.*key 'pts'"),
        ('{"results": {"abc": [{"pts": [[0, NaN], [1, 1]], "pts_num": 2, "type": 0}]}}', "pts is .* with nan"),
    ],
)
def test_bad_files_name_the_fault(tmp_path, text, message):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_submission(tmp_path / "bad.json")


def test_a_missing_file_and_an_unknown_sensor(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_submission(tmp_path / "none.json")
    with pytest.raises(ValueError, match="sonar"):
        write_submission(tmp_path / "a.json", {}, sensors=["sonar"])
    assert not list(tmp_path.iterdir())


def test_more_vertices_than_there_are_is_refused(tmp_path):
    vector = {"pts": [[0, 0], [1, 2]], "pts_num": 3, "type": 0, "confidence_level": 1}
    (tmp_path / "a.json").write_text(json.dumps({"results": {"t": [vector]}}))
    with pytest.raises(FileFault, match=r"results\.t\[0\]\.pts_num is 3; expected at most the 2 vertices"):
        read_submission(tmp_path / "a.json")


def test_which_lines_are_read_as_rings_and_what_stands_for_a_missing_confidence(tmp_path):
    ring = [[0, 0], [4, 0], [4, 9], [0, 0]]
    vectors = [
        {"pts": ring, "type": 1}, {"pts": ring, "type": 2}, {"pts": ring[:3], "type": 1},
        {"pts": [[0, 0], [4, 0], [0, 0]], "type": 1}, {"pts": ring, "type": 1, "pts_num": 3, "confidence_level": 0.25},
    ]  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps({"results": {"t": vectors}}))
    read = read_submission(tmp_path / "a.json", rings=True)["t"]
    assert [e.closed for e in read] == [True, False, False, False, False]
    assert [e.score for e in read] == [1, 1, 1, 1, 0.25] and len(read[4].points_m) == 3
    assert [e.label for e in read] == ["ped_crossing", "boundary"] + ["ped_crossing"] * 3


def test_sensors_are_those_named(tmp_path):
    write_submission(tmp_path / "a.json", {}, sensors=("use_lidar", "use_external"))
    meta = json.loads((tmp_path / "a.json").read_text())["meta"]
    assert [name for name, used in meta.items() if used] == ["use_lidar", "use_external", "vector"]
