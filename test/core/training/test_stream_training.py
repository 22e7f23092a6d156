"""A vector student with a memory: trained on frames in a row, scored on drives in their order, refused elsewhere."""
import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from invented_frames import TOWN, frame
from killed_runs import killed_after
from toy import SIZE, ToySamples

from mapkd_core.artifact import ArtifactError, load_model, save_artifact
from mapkd_core.commands.main import main
from mapkd_core.config import AugmentConfig, DataConfig, LossConfig, TrainConfig
from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import write_cache
from mapkd_core.data.drive_order import FramePose
from mapkd_core.evaluation import evaluate_cache as scoring
from mapkd_core.evaluation.batch_predictor import BatchPredictor
from mapkd_core.evaluation.evaluate import PREDICTIONS, TRUTH, predict_frames
from mapkd_core.evaluation.evaluate_cache import evaluate_cache, header_of
from mapkd_core.export.graphs import graph_of
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import BevGrid
from mapkd_core.metrics.frame_file import read_frames
from mapkd_core.predictor import MapPredictor
from mapkd_core.training import batches as loading
from mapkd_core.training import loop as training
from mapkd_core.training.trained import load_run

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.6)
TINY = {
    "variant": "vector_nano", "image_width": 8, "view_channels": 8, "bev_width": 8, "width": 16, "hidden": 16,
    "vectors": 5, "points": 4, "sampling_heads": 4, "evidence": [], "memory": 2,
}  # fmt: skip
SECOND = 1_000_000_000


class Drives(ToySamples):
    """Three drives of four frames a second apart, their frames mixed."""

    def __init__(self):
        super().__init__(12)

    def pose(self, index):
        drive, place = index % 3, index // 3
        return FramePose(f"drive{drive}", place * SECOND, transform_from_yaw(1.5 * place, 0.2 * place, 0.05 * place))

    def __getitem__(self, index):
        return replace(super().__getitem__(index), **vars(self.pose(index)))


class Unknown(Drives):
    """The same without poses."""

    def pose(self, index):
        return replace(super().pose(index), map_from_base=None)


@pytest.fixture(autouse=True)
def toy_data(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(loading, "open_samples", lambda *_, **__: Drives())


def config(tmp_path="runs", **changes):
    base = TrainConfig(
        name="run", out=str(tmp_path), model="vector_student", model_options=TINY, grid=GRID,
        data=DataConfig(image_size=SIZE, window=3), steps=4, batch_size=6, learning_rate=3e-3, accelerator="cpu",
        log_every=1, save_every=2, val_every=100, loss=LossConfig(likeness_m=1.0),
        augment=AugmentConfig(flip=True, yaw_degrees=5.0, photometric=0.3),
    )
    return replace(base, **changes)


def first(count, plan, **arguments):
    return list(islice(loading.training_batches(plan, **arguments), count))


def test_windows_are_frames_in_a_row_each_once_an_epoch_and_the_same_after_a_resume():
    """Six windows of three in three drives of four: three batches of two are an epoch."""
    plan = config()
    whole, later = first(6, plan), first(3, plan, first_batch=3)
    windows = [tuple(batch.tokens[k : k + 3]) for batch in whole for k in (0, 3)]
    for window in windows:
        numbers = [int(token.removeprefix("toy")) for token in window]
        assert np.diff(numbers).tolist() == [3, 3]
    assert sorted(windows[:6]) == sorted(windows[6:]) == sorted(set(windows)) and windows[:6] != windows[6:]
    for batch in whole:
        assert batch.follows.tolist() == [False, True, True] * 2
    for a, b in zip(whole[3:], later, strict=True):
        assert a.tokens == b.tokens and torch.equal(a.images, b.images)
        assert torch.equal(a.current_from_previous, b.current_from_previous)


def test_two_processes_share_the_windows_of_a_batch():
    alone = first(3, config())
    ranks = [first(3, config(batch_size=3), rank=rank, world_size=2) for rank in (0, 1)]
    for one, a, b in zip(alone, *ranks, strict=True):
        assert one.tokens == a.tokens + b.tokens


def test_a_window_is_changed_alike_and_windows_are_not():
    """Cameras tell mirroring and turn: those of a window are turned as one."""
    batches = first(6, config())
    cameras = [batch.base_from_camera[k : k + 3] for batch in batches for k in (0, 3)]
    assert all(torch.equal(window[0], window[1]) and torch.equal(window[0], window[2]) for window in cameras)
    assert len({float(window[0, 0, 0, 0]) for window in cameras}) > 8


def test_validation_shows_drives_in_their_order_each_frame_once():
    batches = list(loading.validation_batches(config(batch_size=3)))
    assert [[int(t[3:]) for t in batch.tokens] for batch in batches] == [
        [0, 3, 6], [9], [1, 4, 7], [10], [2, 5, 8], [11]
    ]
    assert batches[0].follows.tolist() == [False, True, True] and batches[1].follows.tolist() == [False]
    ranks = [t for r in (0, 1) for b in loading.validation_batches(config(batch_size=3), r, 2) for t in b.tokens]
    assert sorted(ranks) == sorted(f"toy{k}" for k in range(12))


def test_what_a_memory_cannot_learn_from_is_refused(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=r"set data\.window to 2 or more"):
        training.train(config(tmp_path, data=DataConfig(image_size=SIZE)))
    with pytest.raises(ValueError, match=r"batch_size 4 is no multiple of data\.window 3"):
        config(batch_size=4)
    with pytest.raises(ValueError, match=r"goes without data\.unlabelled and data\.streets"):
        DataConfig(window=2, unlabelled="drives")
    with pytest.raises(ValueError, match=r"hold no 5 frames in a row.*lower data\.window"):
        loading.training_batches(config(batch_size=5, data=DataConfig(image_size=SIZE, window=5)))
    with pytest.raises(ValueError, match=r"is streamed; with .*data\.window it must be a local folder"):
        data = DataConfig(image_size=SIZE, window=3, train="cache:https://example.org/train")
        loading.training_batches(config(data=data))
    monkeypatch.setattr(loading, "open_samples", lambda *_, **__: Unknown())
    with pytest.raises(ValueError, match=r"12 of 12 frames of .* have no pose.*model_options\.memory: 0"):
        loading.training_batches(config())


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    training.train(config(tmp_path, name="whole"))
    with killed_after(3):  # the checkpoint is of step 2
        training.train(config(tmp_path, name="parts"))
    training.train(config(tmp_path, name="parts"))
    ends = [torch.load(tmp_path / n / "last.pt", weights_only=True)["network"] for n in ("whole", "parts")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    begun = training.build_model("vector_student", GRID, SIZE, TINY).state_dict()
    assert {name.split(".")[0] for name in begun} >= {"memory"}
    assert not torch.equal(ends[0]["memory.change.weight"], torch.zeros_like(ends[0]["memory.change.weight"]))


class Town:
    """Two drives of five frames, one after the other; of the second drive's third frame nobody knows the map."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        drive, place = divmod(index, 5)
        made = frame(place, None if index == 7 else TOWN)
        return replace(made, scene=f"drive{drive}", token=f"{drive}-{place}")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run whose elements all count; its memory has something to say."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "stream"
    folder.mkdir()
    network = training.build_model("vector_student", GRID, (88, 32), TINY)
    for name, parameter in network.named_parameters():
        if name.startswith("memory.") or "bend" in name or name.endswith(".4.weight"):
            torch.nn.init.normal_(parameter, 0.0, 0.3)
    plan = replace(config(), name="stream", data=DataConfig(image_size=(88, 32), window=2))
    state = {"step": 7, "best": 0.5, "network": network.state_dict(), "average": {}}
    torch.save({**state, "config": training.config_dict(plan)}, folder / "best.pt")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("caches") / "town"
    write_cache([f for f in (Town()[k] for k in range(10)) if f.vector_map], folder,
                CacheOptions((88, 32), (60.0, 40.0)), progress=False, shard_frames=4)
    return folder


def vertices(path):
    return {r.token: np.concatenate([e.points_m for e in r.elements]) for r in read_frames(path)}


def test_a_cache_is_scored_drive_by_drive_whatever_its_order(cache, run_folder, tmp_path):
    evaluate_cache(run_folder, cache, tmp_path / "out", device="cpu")
    found = vertices(tmp_path / "out" / PREDICTIONS)
    assert list(found) == [f"{d}-{p}" for d in (0, 1) for p in range(5) if (d, p) != (1, 2)]
    assert list(found) == [r.token for r in read_frames(tmp_path / "out" / TRUTH)]
    predictor, held = BatchPredictor(run_folder, "cpu"), scoring.open_cache(cache, load_run(run_folder)[1])
    by_token = {held.frame(k).frame.token: held.frame(k) for k in range(len(held))}

    def alone(*tokens):
        last = predictor.predict_cached([by_token[token] for token in tokens])[-1]
        return np.concatenate([element.points_m for element in last.elements])

    assert np.allclose(found["0-0"], alone("0-0"), atol=1e-3)
    assert not np.allclose(found["0-2"], alone("0-2", "1-0", "0-2"), atol=1e-2), "it remembers"
    assert np.allclose(found["0-2"], alone("1-4", "0-0", "0-1", "0-2"), atol=1e-3), "its own drive, and no other"
    assert np.allclose(found["1-0"], alone("0-4", "1-0"), atol=1e-3)


@pytest.mark.parametrize("done", [2, 7])
def test_a_stopped_evaluation_goes_on_with_what_it_remembered(cache, run_folder, tmp_path, done):
    evaluate_cache(run_folder, cache, tmp_path / "whole", device="cpu")
    for name in (PREDICTIONS, TRUTH):
        lines = (tmp_path / "whole" / name).read_bytes().splitlines(keepends=True)
        (tmp_path / "part").mkdir(exist_ok=True)
        (tmp_path / "part" / name).write_bytes(b"".join(lines[: 1 + done]))
    evaluate_cache(run_folder, cache, tmp_path / "part", device="cpu")
    for name in (PREDICTIONS, TRUTH):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_frames_without_a_map_are_remembered_too(run_folder, tmp_path):
    def predicted(folder, **more):
        predictor = BatchPredictor(run_folder, "cpu")
        count = predict_frames(Town(), predictor, GRID, tmp_path / folder, header_of(predictor, "town"), **more)
        return count, vertices(tmp_path / folder / PREDICTIONS)

    count, found = predicted("whole")
    assert count == 9 and "1-2" not in found
    predictor = BatchPredictor(run_folder, "cpu")
    for place in range(4):
        elements = predictor.predict_frame(Town()[5 + place]).elements
    assert np.allclose(found["1-3"], np.concatenate([e.points_m for e in elements]), atol=1e-3)
    assert list(predicted("part", limit=7)[1]) == list(found)[:7]
    _, again = predicted("part")
    assert list(again) == list(found) and all(np.array_equal(again[t], found[t]) for t in found)


def test_what_runs_on_images_alone_refuses_it_in_one_line(run_folder, tmp_path, capsys):
    network, card = load_run(run_folder)
    save_artifact(tmp_path / "a.json", card, network.state_dict())
    with pytest.raises(ArtifactError, match=r"a network with a memory, .*use mapkd evaluate, .* or train one without"):
        MapPredictor.from_artifact(tmp_path / "a.json", device="cpu")
    words = ["export", str(run_folder), "--out", str(tmp_path / "b.json")]
    assert main([*words, "--onnx"]) == 2
    assert "without memory" in capsys.readouterr().err and not (tmp_path / "b.json").exists()
    assert main(words) == 0 and json.loads((tmp_path / "b.json").read_text())["options"]["memory"] == 2
    assert not (tmp_path / "b.onnx").exists()
    with pytest.raises(ValueError, match="does not export as ONNX"):
        graph_of(load_model(tmp_path / "b.json")[0], 6)
