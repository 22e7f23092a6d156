"""The robustness table: what each row tells the network, and a whole run on a tiny student and a few frames."""
import json

import numpy as np
import pytest
from invented_frames import Drive
from tiny_student import GRID, SIZE, save_tiny_student

from mapkd_core.benchmark import robustness
from mapkd_core.benchmark.robustness_conditions import RIGHT, Condition, conditions
from mapkd_core.benchmark.robustness_frames import load_frames, score
from mapkd_core.commands.main import main
from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import write_cache
from mapkd_core.predictor import MapPredictor, PredictedMap
from mapkd_core.sim.rig import N015
from mapkd_core.types import CAMERAS

K, MOUNTINGS = N015.intrinsics((352, 128)), N015.base_from_cameras


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("caches") / "few"
    write_cache(Drive(3), folder, CacheOptions((176, 64), (60.0, 40.0)), progress=False)
    return folder


def told(**error):
    return Condition("row", **error).calibration(K, MOUNTINGS, 0)


def test_the_right_calibration_is_given_as_it_is():
    told_k, mountings = RIGHT.calibration(K, MOUNTINGS, 5)
    assert np.array_equal(told_k, K) and np.array_equal(mountings, MOUNTINGS)


def test_positive_pitch_has_the_front_camera_look_lower_and_the_back_camera_higher():
    _, mountings = told(pitch_deg=1.0)
    down = np.degrees(np.arcsin(-mountings[:, 2, 2]) - np.arcsin(-MOUNTINGS[:, 2, 2]))
    assert down[CAMERAS.index("CAM_FRONT")] == pytest.approx(1, abs=1e-3)
    assert down[CAMERAS.index("CAM_BACK")] == pytest.approx(-1, abs=1e-3)


def test_roll_yaw_height_and_focal_length_by_hand():
    _, mountings = told(roll_deg=2.0)  # the left side goes up
    left = MOUNTINGS[:, 1, 3] > 0.1
    assert (mountings[left, 2, 3] > MOUNTINGS[left, 2, 3]).all()
    _, mountings = told(yaw_deg=90.0)
    assert np.allclose(mountings[:, 0, 3], -MOUNTINGS[:, 1, 3]) and np.allclose(mountings[:, 1, 3], MOUNTINGS[:, 0, 3])
    told_k, mountings = told(height_m=0.1, focal=0.02)
    assert np.allclose(mountings[:, :3, 3] - MOUNTINGS[:, :3, 3], [0, 0, 0.1])
    assert np.allclose(told_k[:, [0, 1], [0, 1]], 1.02 * K[:, [0, 1], [0, 1]])
    assert np.array_equal(told_k[:, :2, 2], K[:, :2, 2])


def test_cameras_turned_on_their_own_are_off_by_the_given_angle_and_each_frame_differently():
    row = Condition("row", each_deg=0.5)
    turns = np.stack([row.calibration(K, MOUNTINGS, n)[1] for n in range(200)])[..., :3, :3]  # F N 3 3
    cos = (np.einsum("nij,fnij->fn", MOUNTINGS[:, :3, :3], turns) - 1) / 2
    assert np.degrees(np.sqrt((np.arccos(np.clip(cos, -1, 1)) ** 2).mean() / 3)) == pytest.approx(0.5, rel=0.1)
    assert np.ptp(cos, axis=0).min() > 0 and np.ptp(cos, axis=1).min() > 0
    assert np.array_equal(row.calibration(K, MOUNTINGS, 7)[1][:, :3, :3], turns[7])


def test_every_row_has_its_name_and_changes_something():
    rows = conditions()
    assert rows[0] is RIGHT and len({row.name for row in rows}) == len(rows)
    for row in rows[1:]:
        same = all(map(np.array_equal, row.calibration(K, MOUNTINGS, 0), (K, MOUNTINGS)))
        assert not same or row.frames or row.lost(CAMERAS)
    assert Condition("x", without="CAM_BACK").lost(CAMERAS) == [CAMERAS.index("CAM_BACK")]
    assert not Condition("x", without="CAM_BACK").possible(["left", "right"])


class Seer:
    """Predicts nothing, and keeps what it was given."""

    def __init__(self):
        self.given = []

    def predict(self, *given):
        self.given.append(given)
        return PredictedMap([], np.eye(4, dtype=np.float32)[0][:, None, None] * np.ones(GRID.shape, np.float32))


def test_what_the_network_is_given(cache):
    held, seer = load_frames(cache, GRID, SIZE), Seer()
    scores = score(seer, held, Condition("row", pitch_deg=1.0, without="CAM_BACK"))
    assert scores["miou"] == 0 and scores["ap"] == 0 and len(seer.given) == len(held.frames) == 3
    images, intrinsics, mountings = seer.given[1]
    sample = held.frames[1].sample
    assert [image is None for image in images] == [name == "CAM_BACK" for name in held.frames[1].names]
    assert np.array_equal(images[1], sample.images[1]) and images[1].shape == (SIZE[1], SIZE[0], 3)
    assert np.array_equal(intrinsics, sample.intrinsics) and not np.allclose(mountings, sample.base_from_camera)


def test_scores_are_those_of_mapkd_evaluate(cache, tmp_path):
    from mapkd_core.evaluation.evaluate_cache import evaluate_cache

    predictor = MapPredictor.from_artifact(save_tiny_student(tmp_path), device="cpu")
    result = evaluate_cache(predictor, cache, tmp_path / "out").result
    mine = score(predictor, load_frames(cache, GRID, SIZE), RIGHT)
    assert mine["miou"] == pytest.approx(100 * result["iou"]["miou"], abs=0.05)  # files hold millimetres
    assert mine["ap"] == pytest.approx(100 * result["ap"]["ap_chamfer"]["0.5/1/1.5"]["mAP"], abs=0.05)


def test_a_run_is_a_table_and_the_next_one_takes_its_scores(cache, tmp_path, capsys, monkeypatch):
    card, out = save_tiny_student(tmp_path), tmp_path / "table.md"
    words = ["benchmark", "robustness", "--weights", str(card), "--data", f"cache:{cache}", "--work", str(tmp_path)]
    words += ["--only", "pitch +1 deg", "without CAM_BACK", "night", "--out", str(out)]
    assert main(words) == 0
    text = out.read_text()
    assert text.strip() in capsys.readouterr().out
    for row in ("right calibration", "pitch +1 deg", "without CAM_BACK"):
        assert f"| {row} | " in text
    assert "night" not in text.split("|", 1)[1]  # a cache has no drives to render again
    monkeypatch.setattr("mapkd_core.benchmark.robustness_frames.score", lambda *_: pytest.fail("scored again"))
    assert main(words) == 0
    assert len(json.loads((tmp_path / robustness.SCORES).read_text())) == 1
    (tmp_path / robustness.SCORES).write_text("{")  # as good as none
    monkeypatch.setattr("mapkd_core.benchmark.robustness_frames.score", lambda *_: {"miou": 50.0, "ap": 20.0})
    assert main(words) == 0 and "| 50.0 | +0.0 | 20.0 | +0.0 |" in out.read_text()


@pytest.mark.parametrize(("words", "reason"), [
    (["--limit", "0"], "expected at least 1"), (["--data", "elsewhere"], "neither simdrive-v1:SPLIT"),
    (["--weights", "pico"], "no model card"),
])  # fmt: skip
def test_refusals(words, reason, tmp_path, capsys):
    assert main(["benchmark", "robustness", "--work", str(tmp_path), *words]) == 2
    assert reason in capsys.readouterr().err
