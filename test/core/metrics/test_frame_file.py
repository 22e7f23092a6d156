import base64
import json

import numpy as np
import pytest

from mapkd_core.metrics.frame_file import FrameFile, FrameRecord, encode_semantic, read_frames, read_header
from mapkd_core.schema import FileFault
from mapkd_core.types import MapElement

HEADER = {"kind": "predictions", "data": "a"}


def record(token, semantic=None):
    ring = np.array([(0, 0), (4, 0), (4, 9), (0, 0)], np.float32)
    return FrameRecord(
        token,
        [MapElement("ped_crossing", ring, 0.25, closed=True), MapElement("divider", ring[:2] + 0.12345, 0.5)],
        semantic_png=None if semantic is None else encode_semantic(semantic),
        scene="scene-1",
        conditions=("night", "rain"),
        known=("divider", "boundary"),
        stage_ms={"network": 12.5},
    )


def test_frames_come_back_as_they_went(tmp_path):
    semantic = np.random.default_rng(0).integers(0, 4, (20, 40)).astype(np.uint8)
    file = FrameFile(tmp_path / "p.jsonl", HEADER)
    file.append(record("a", semantic))
    file.append(record("b"))
    a, b = read_frames(tmp_path / "p.jsonl")
    assert (a.token, a.scene, a.conditions, a.known) == ("a", "scene-1", ("night", "rain"), ("divider", "boundary"))
    np.testing.assert_array_equal(a.semantic, semantic)
    assert b.semantic is None and b.outlines is None and dict(b.stage_ms) == {"network": 12.5}
    for there, here in zip(a.elements, record("a").elements, strict=True):
        assert (there.label, there.score, there.closed) == (here.label, here.score, here.closed)
        np.testing.assert_allclose(there.points_m, here.points_m, atol=5e-5)
    assert read_header(tmp_path / "p.jsonl")["data"] == "a"


def test_outlines_come_back_beside_the_elements_and_none_is_not_an_empty_list(tmp_path):
    ring = MapElement("ped_crossing", np.array([(1, 2), (4, 2), (4, 9.5), (1, 2)], np.float32), closed=True)
    file = FrameFile(tmp_path / "t.jsonl", HEADER)
    for token, outlines in (("a", [ring]), ("b", []), ("c", None)):
        file.append(FrameRecord(token, record(token).elements, outlines))
    a, b, c = read_frames(tmp_path / "t.jsonl")
    assert b.outlines == [] and c.outlines is None and len(a.elements) == 2
    (there,) = a.outlines
    assert (there.label, there.closed, there.score) == ("ped_crossing", True, 1.0)
    np.testing.assert_allclose(there.points_m, ring.points_m)


def test_a_killed_run_goes_on_after_its_last_whole_frame(tmp_path):
    path = tmp_path / "p.jsonl"
    file = FrameFile(path, HEADER)
    file.append(record("a"))
    file.append(record("b"))
    path.write_bytes(path.read_bytes()[:-20])
    again = FrameFile(path, HEADER)
    assert again.done == 1
    again.append(record("c"))
    assert [r.token for r in read_frames(path)] == ["a", "c"]
    again.keep(1)
    assert again.done == 1 and [r.token for r in read_frames(path)] == ["a"]


def test_another_config_is_refused_unless_overwritten(tmp_path):
    path = tmp_path / "p.jsonl"
    FrameFile(path, HEADER).append(record("a"))
    with pytest.raises(FileExistsError, match=r"data was 'a', now 'b'.*--overwrite"):
        FrameFile(path, {**HEADER, "data": "b"})
    assert len(list(read_frames(path))) == 1
    assert FrameFile(path, {**HEADER, "data": "b"}, overwrite=True).done == 0
    assert list(read_frames(path)) == []


def test_other_files_are_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        read_header(tmp_path / "none.jsonl")
    for text in ("", "hello\n", "[1]\n", '{"format": "other"}\n'):
        (tmp_path / "x.jsonl").write_text(text)
        with pytest.raises(ValueError, match="not a frame file"):
            read_header(tmp_path / "x.jsonl")
    FrameFile(tmp_path / "y.jsonl", HEADER)
    with (tmp_path / "y.jsonl").open("a") as file:
        file.write(json.dumps({"token": "a"}) + "\n")
    with pytest.raises(ValueError, match=r"y\.jsonl:2"):
        list(read_frames(tmp_path / "y.jsonl"))


def changed(path, **changes):
    """A frame file of one frame with some of its values replaced."""
    FrameFile(path, HEADER, overwrite=True).append(record("a", np.zeros((2, 3), np.uint8)))
    header, line = path.read_text().splitlines()
    path.write_text(f"{header}\n{json.dumps({**json.loads(line), **changes})}\n")
    return path


ELEMENT = {"label": "divider", "score": 0.5, "closed": False, "points_m": [[0, 0], [1, 1]]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"elements": [{**ELEMENT, "score": float("nan")}]}, r"jsonl:2 .*elements\[0\]\.score is nan; expected"),
        ({"elements": [{**ELEMENT, "points_m": [[0, 0], [1e308, 0]]}]}, r"points_m is .* with 1e\+308"),
        ({"elements": [{**ELEMENT, "points_m": [[0, 0]]}]}, "N at least 2"),
        ({"elements": [{**ELEMENT, "label": "fence"}]}, "label is 'fence'; expected one of divider"),
        ({"known": ["walkway"]}, r"known\[0\] is 'walkway'"),
        ({"token": 5}, "token is 5; expected a text"),
        ({"semantic_png": "%%%"}, "no base64"),
        ({"stage_ms": {"network": float("inf")}}, "stage_ms.network is inf"),
    ],
)
def test_a_value_that_does_not_fit_is_told_by_line_and_place(tmp_path, changes, words):
    with pytest.raises(FileFault, match=words):
        list(read_frames(changed(tmp_path / "p.jsonl", **changes)))


def test_a_token_that_comes_twice_is_refused(tmp_path):
    file = FrameFile(tmp_path / "p.jsonl", HEADER)
    for token in "aba":
        file.append(record(token))
    with pytest.raises(FileFault, match=r"p\.jsonl:4: token 'a' stands in line 2 already"):
        list(read_frames(tmp_path / "p.jsonl"))


def test_a_raster_that_is_no_image_of_classes_is_refused(tmp_path):
    other, colored = np.full((2, 3), 9, np.uint8), np.zeros((2, 3, 3), np.uint8)
    for data in (b"rubbish", encode_semantic(other), encode_semantic(colored)):
        (frame,) = read_frames(changed(tmp_path / "p.jsonl", semantic_png=base64.b64encode(data).decode()))
        with pytest.raises(FileFault, match="semantic_png of frame a"):
            _ = frame.semantic
