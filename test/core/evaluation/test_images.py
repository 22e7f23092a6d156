import cv2
import numpy as np
from oracle_frames import GRID, HEADER, Oracle, frames

from mapkd_core.evaluation.evaluate import PREDICTIONS, TRUTH, predict_frames, score_frames
from mapkd_core.evaluation.images import draw_examples, examples, find_frames, reference_of
from mapkd_core.metrics.frame_file import FrameRecord
from mapkd_core.types import MapElement


def oracle_evaluation(tmp_path, count):
    predict_frames(frames(count), Oracle(), GRID, tmp_path, HEADER)
    return score_frames(tmp_path / PREDICTIONS, tmp_path / TRUTH)


def test_examples_are_ranked_and_never_repeat(tmp_path):
    evaluation = oracle_evaluation(tmp_path, 7)
    chosen = examples(evaluation, 3)
    ranked = evaluation.ranked()
    assert chosen["best"] == ranked[:2] and chosen["worst"] == ranked[-2:][::-1]
    flat = [i for indices in chosen.values() for i in indices]
    assert len(flat) == len(set(flat)) == 6


def test_one_frame_is_one_image(tmp_path):
    evaluation = oracle_evaluation(tmp_path, 1)
    assert examples(evaluation) == {"best": [0]}
    (image,) = draw_examples(evaluation, tmp_path / "images", {})
    pixels = cv2.imread(str(image.path))
    left, right = np.split(pixels, 2, axis=1)  # prediction and reference, here the same lines
    assert left.std() > 10 and right.std() > 10
    assert "mIoU" in image.caption and image.token == "t0"


def test_frames_are_found_by_token():
    assert list(find_frames(frames(4), {"t2", "t0"})) == ["t0", "t2"]


def test_true_crossings_are_drawn_as_outlines_where_there_are_any():
    line, edge, ring = (
        MapElement(label, np.zeros((2, 2), np.float32), 1.0, closed=closed)
        for label, closed in (("divider", False), ("ped_crossing", False), ("ped_crossing", True))
    )
    assert reference_of(FrameRecord("t", [edge, line], outlines=[ring])) == [line, ring]
    assert reference_of(FrameRecord("t", [edge, line])) == [edge, line]
