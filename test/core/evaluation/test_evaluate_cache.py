import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from invented_frames import Drive, frame
from travelling_engine import TravellingEngine

from mapkd_core.artifact import ModelCard, save_artifact
from mapkd_core.commands.main import main
from mapkd_core.config import DataConfig, TrainConfig, config_dict
from mapkd_core.data.cache import CachedSamples
from mapkd_core.data.cache_record import CacheOptions, decode, encode
from mapkd_core.data.cache_write import write_cache
from mapkd_core.data.dataset import Collate
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.evaluation import evaluate_cache as under_test
from mapkd_core.evaluation.batch_predictor import BatchPredictor
from mapkd_core.evaluation.evaluate import PREDICTIONS, TRUTH
from mapkd_core.evaluation.evaluate_cache import evaluate_cache, header_of, open_cache, predict_cache
from mapkd_core.evaluation.identity import cache_fingerprint
from mapkd_core.evaluation.prediction_jobs import NetworkOf, PredictCached, truth_of, truth_record
from mapkd_core.grid import GRID_60X30, BevGrid
from mapkd_core.metrics.frame_file import read_frames
from mapkd_core.model.build import build_model
from mapkd_core.predictor import PredictedMap
from mapkd_core.sim.drive import SimDrive
from mapkd_core.vectorizer.vectorize import VectorizeConfig

GRID = BevGrid((-15.0, 15.0), (-15.0, 15.0), 0.75)
SIZE = (88, 32)
LIDAR = {
    "camera": False, "lidar": True, "sd_prior": True, "lidar_channels": 8, "pillar_width": 8,
    "bev_width": 8, "outputs": ["semantic"],
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """20 invented frames with images twice the networks' size, LiDAR and SD roads."""
    folder = tmp_path_factory.mktemp("caches") / "val"
    write_cache(Drive(20), folder, CacheOptions((176, 64), (60.0, 40.0), lidar=True), progress=False)
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """The folder of a training run of a network that reads LiDAR and an SD map."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runs") / "lidar"
    folder.mkdir()
    config = TrainConfig("lidar", model="hdmapnet_lidar", model_options=LIDAR, grid=GRID,
                         data=DataConfig(image_size=SIZE, lidar=True, sd_map=True))
    network = build_model(config.model, config.grid, SIZE, config.model_options)
    state = {"step": 7, "best": 0.5, "network": network.state_dict(), "average": {}, "config": config_dict(config)}
    torch.save(state, folder / "best.pt")
    return folder


def assert_same_lines(mine, theirs):
    """The same elements within float32, in any order."""
    def key(element):
        return element.label, *np.round(np.sort(element.points_m.mean(0)), 2), len(element.points_m)

    assert len(mine) == len(theirs)
    for a, b in zip(sorted(mine, key=key), sorted(theirs, key=key), strict=True):
        assert a.label == b.label and a.closed == b.closed
        np.testing.assert_allclose(a.points_m, b.points_m, atol=1e-4)


@pytest.mark.parametrize("grid", [GRID_60X30, GRID], ids=["60x30", "30x30"])
def test_truth_of_a_cached_frame_is_that_of_the_frame(grid):
    drive = SimDrive(3, size=(64, 24), lidar=False, frames=3, keyframe_s=4.0)
    crossings = 0
    for original in [*(drive[i] for i in range(3)), *(frame(n) for n in range(4))]:
        cached = decode(encode(original, CacheOptions((64, 24), (60.0, 40.0))))
        mine, theirs = truth_of(cached.frame, cached.local_map, grid), truth_record(original, grid)
        assert_same_lines(mine.elements, theirs.elements)
        assert_same_lines(mine.outlines, theirs.outlines)
        for name in ("token", "scene", "conditions", "known"):
            assert getattr(mine, name) == getattr(theirs, name), name
        crossings += len(theirs.outlines)
    assert crossings > 0


def test_a_run_is_scored_on_a_cache_with_lidar_and_sd_map(cache, run_folder, tmp_path):
    evaluation = evaluate_cache(run_folder, cache, tmp_path, device="cpu")
    assert evaluation.result["frames"] == 20 and evaluation.result["latency_ms"] == {}
    assert evaluation.result["predictions"]["artifact"]["version"] == "step 7"
    assert 0 <= evaluation.result["iou"]["miou"] <= 1
    by_token = {r.token: r for r in evaluation.predictions}
    predictor = BatchPredictor(run_folder, "cpu")
    for number in (0, 19):  # the cache holds the points as float16, so a few cells may differ
        direct = predictor.predict_frame(frame(number)).semantic
        assert np.mean(by_token[f"token-{number}"].semantic == direct) > 0.97


def test_images_go_with_their_intrinsics(cache):
    """A cached frame gives the network the images and calibration that training gives it."""
    torch.manual_seed(0)
    network = build_model("student", GRID, SIZE, {"variant": "small"})
    predictor = BatchPredictor((network, ModelCard("s", "1", "student", {}, GRID, SIZE)), "cpu")
    held = CachedSamples(cache, predictor.options)
    batch = Collate(GRID, labels=False)([held[5]])
    assert batch.images.shape[-2:] == SIZE[::-1]
    assert float(batch.intrinsics[0, 0, 0, 0]) == pytest.approx(250 * 88 / 320)
    with torch.inference_mode():
        expected = network(batch).semantic.softmax(1)[0].numpy()
    together = predictor.predict_cached([held.frame(index) for index in (4, 5)])
    np.testing.assert_allclose(together[1].probabilities, expected, atol=1e-5)


def test_a_stopped_evaluation_goes_on(cache, run_folder, tmp_path, monkeypatch):
    evaluate_cache(run_folder, cache, tmp_path / "a", device="cpu", limit=3)
    asked = []
    whole = BatchPredictor.predict_cached
    monkeypatch.setattr(
        BatchPredictor, "predict_cached",
        lambda self, frames: asked.extend(f.frame.token for f in frames) or whole(self, frames),
    )
    evaluate_cache(run_folder, cache, tmp_path / "a", device="cpu")
    tokens = [r.token for r in read_frames(tmp_path / "a" / PREDICTIONS)]
    assert asked == tokens[3:] and len(tokens) == 20
    assert tokens == [r.token for r in read_frames(tmp_path / "a" / TRUTH)]
    evaluate_cache(run_folder, cache, tmp_path / "a", device="cpu")
    assert len(asked) == 17


def test_an_engine_predicts_what_this_process_does(cache, run_folder, tmp_path):
    evaluate_cache(run_folder, cache, tmp_path / "alone", device="cpu")
    predictor, cached = BatchPredictor(run_folder, "cpu"), open_cache(cache, BatchPredictor(run_folder, "cpu").card)
    header = header_of(predictor, f"cache:{cache}", cache_fingerprint(cached))
    engine, make = TravellingEngine(), partial(BatchPredictor, run_folder, "cpu")
    predict_cache(cached, predictor, tmp_path / "far", header, engine=engine, make=make)
    assert engine.units == [range(0, 16), range(16, 20)]
    for name in (PREDICTIONS, TRUTH):
        assert (tmp_path / "far" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_what_a_cache_cannot_answer_is_named(run_folder, tmp_path):
    for name, options, told in (
        ("labels", CacheOptions(SIZE, lidar=True, labels=False), "was written without"),
        ("lidar", CacheOptions(SIZE), "LiDAR"),
        ("reach", CacheOptions(SIZE, (10.0, 10.0), lidar=True), "needs 15 x 15 m"),
        ("small", CacheOptions((44, 16), lidar=True), "the cache holds 44x16"),
    ):
        write_cache(Drive(1), tmp_path / name, options, progress=False)
        with pytest.raises(ValueError, match=told):
            evaluate_cache(run_folder, tmp_path / name, tmp_path / "out" / name, device="cpu")


def test_the_command_takes_a_run_or_a_card(cache, run_folder, tmp_path, capsys):
    words = ("--data", f"cache:{cache}", "--device", "cpu", "--images", "1")
    assert main(["evaluate", "--weights", str(run_folder), *words, "--out", str(tmp_path / "run")]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["frames"] == 20 and result["predictions"]["data"] == f"cache:{cache}"
    assert (tmp_path / "run" / "images" / "best-1.jpg").is_file()
    assert (tmp_path / "run" / "submission.json").is_file()

    network = build_model("hdmapnet_lidar", GRID, SIZE, LIDAR)
    network.load_state_dict(torch.load(run_folder / "best.pt", weights_only=True)["network"])
    card = str(tmp_path / "lidar.json")
    save_artifact(card, ModelCard("lidar", "1", "hdmapnet_lidar", LIDAR, GRID, SIZE), network.state_dict())
    assert main(["evaluate", "--weights", card, *words, "--out", str(tmp_path / "card")]) == 0
    again = json.loads((tmp_path / "card" / "result.json").read_text())
    assert again["iou"]["miou"] == pytest.approx(result["iou"]["miou"], abs=0.01)  # weights in half precision
    assert main(["evaluate", "--weights", str(tmp_path), *words]) == 2
    assert "best.pt" in capsys.readouterr().err


def test_a_cache_is_scored_through_any_backend(cache, tmp_path):
    options = {"variant": "nano", "image_width": 8, "view_channels": 8, "bev_width": 8}
    torch.manual_seed(0)
    card = ModelCard("tiny", "1", "student", options, GRID, SIZE)
    save_artifact(tmp_path / "tiny.json", card, build_model("student", GRID, SIZE, options).state_dict())
    common = ["evaluate", "--weights", str(tmp_path / "tiny.json"), "--data", f"cache:{cache}", "--limit", "4",
              "--device", "cpu", "--images", "0", "--out"]
    assert main([*common, str(tmp_path / "batches")]) == 0
    assert main([*common, str(tmp_path / "frozen"), "--backend", "torchscript"]) == 0
    scores = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("batches", "frozen")]
    assert scores[0]["iou"]["miou"] == pytest.approx(scores[1]["iou"]["miou"], abs=1e-3)
    assert "latency_ms" in scores[1], "frames went through one by one, as on the vehicle"


def test_a_result_is_read_again_unless_it_is_asked_for_anew_or_of_others(tmp_path, monkeypatch):
    calls, checkpoint = [], tmp_path / "best.pt"
    (tmp_path / "cache").mkdir()

    def evaluate(weights, cache, out, processes, overwrite):
        calls.append(overwrite)
        return SimpleNamespace(result={"frames": len(calls)})

    monkeypatch.setattr(under_test, "evaluate_cache", evaluate)
    monkeypatch.setattr(under_test, "read_result", lambda path: json.loads(path.read_text()))

    def frames(again=False):
        return under_test.scored_once("run", tmp_path / "cache", tmp_path, checkpoint, 1, again)["frames"]

    checkpoint.write_bytes(b"one")
    assert [frames(), frames(), frames(again=True), frames()] == [1, 1, 2, 2]
    checkpoint.write_bytes(b"two")
    assert frames() == 3 and calls == [True] * 3


def test_a_header_says_in_which_precision_was_computed():
    card = ModelCard("n", "1", "student", {}, GRID, SIZE)
    runtime = SimpleNamespace(precision="int8")
    predictor = SimpleNamespace(card=card, runtime=runtime, vectorize_config=VectorizeConfig())
    header = header_of(predictor, "frames")
    assert header["precision"] == "int8" and header["vectorize"]["min_length_m"] == 1.0


def test_what_is_known_of_a_frame_goes_into_its_truth_and_latencies_only_where_nothing_else_runs(cache):
    held = CachedSamples(cache, SampleOptions(GRID, SIZE, labels=True, margin_m=0.0))
    one = held.frame(3)
    assert truth_of(one.frame, replace(one.local_map, known=("divider",)), GRID).known == ("divider",)
    predicted = PredictedMap([], np.eye(4, dtype=np.float32)[[0]].T[..., None], {"network": 5.0})
    network = NetworkOf(None, SimpleNamespace(predict_frame=lambda frame: predicted))
    for alone in (True, False):
        ((record, truth),) = PredictCached(held, network, GRID, alone)(range(3, 4))
        assert record.stage_ms == ({"network": 5.0} if alone else {}) and record.token == truth.token == "token-3"
