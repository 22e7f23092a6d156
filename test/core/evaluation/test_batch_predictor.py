from dataclasses import replace

import numpy as np
import pytest
import torch
from noise_frames import noise_frames
from oracle_frames import road_map

from mapkd_core.artifact import ModelCard, save_artifact
from mapkd_core.evaluation import batch_predictor as under_test
from mapkd_core.evaluation.batch_predictor import BatchPredictor
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.types import VectorPrediction
from mapkd_core.vectorizer.vectorize import VectorizeConfig

GRID = BevGrid((-15.0, 15.0), (-15.0, 15.0), 0.75)
OPTIONS = {
    "camera": False, "lidar": True, "sd_prior": True, "lidar_channels": 8, "pillar_width": 8,
    "bev_width": 8, "outputs": ["semantic"],
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("artifact") / "lidar.json"
    network = build_model("hdmapnet_lidar", GRID, (88, 32), OPTIONS)
    save_artifact(path, ModelCard("lidar", "1", "hdmapnet_lidar", OPTIONS, GRID, (88, 32)), network.state_dict())
    return path


def whole_frame():
    rng = np.random.default_rng(1)
    points = rng.uniform([-14, -14, -1, 0, 0], [14, 14, 1, 255, 0.1], (500, 5)).astype(np.float32)
    shared = replace(road_map(), sd_roads_m=(np.array([(-40.0, 1.0), (40.0, 1.0)]),))
    return replace(noise_frames(1)[0], vector_map=lambda: shared, lidar=lambda: points)


def test_a_network_with_lidar_and_sd_map_runs_on_a_frame(weights):
    predictor = BatchPredictor(weights, "cpu")
    assert predictor.options.lidar and predictor.options.sd_map
    predicted = predictor.predict_frame(whole_frame())
    assert predicted.probabilities.shape == (4, *GRID.shape)
    np.testing.assert_allclose(predicted.probabilities.sum(0), 1, atol=1e-5)
    assert set(predicted.stage_ms) == {"prepare", "network", "vectorize"}
    again = predictor.predict_frame(whole_frame())
    np.testing.assert_array_equal(again.probabilities, predicted.probabilities)


class Vectors(torch.nn.Module):
    """A network of two decoder layers that gives one line: where it is, and how sure it is, differs."""

    def forward(self, batch):
        points = torch.tensor([[[-5.0, 1], [5, 1]], [[-5.0, 3], [5, 3]]]).view(2, 1, 1, 2, 2)
        return VectorPrediction(torch.tensor([[3.0, -9, -9], [1.0, -9, -9]]).view(2, 1, 1, 3), points)


def test_of_a_vector_network_the_last_layer_counts_and_times_are_those_of_the_parts(monkeypatch):
    predictor = BatchPredictor((Vectors().train(), ModelCard("v", "1", "vector_student", {}, GRID, (88, 32))), "cpu")
    assert not predictor.model.training
    clock = iter([0.0, 1.0, 3.0, 7.0])
    monkeypatch.setattr(under_test.time, "perf_counter", lambda: next(clock))
    predicted = predictor.predict_frame(whole_frame())
    best = predicted.elements[0]
    assert best.label == "divider" and best.score == pytest.approx(1 / (1 + np.exp(-1)))
    np.testing.assert_allclose(best.points_m, [[-5, 3], [5, 3]])
    assert predicted.stage_ms == {"prepare": 1000, "network": 2000, "vectorize": 4000}


def test_the_vectorizers_config_counts(weights, monkeypatch):
    config, given = VectorizeConfig(min_length_m=3.0), []
    monkeypatch.setattr(under_test, "vectorize", lambda first, grid, config=None: given.append(config) or [])
    BatchPredictor(weights, "cpu", config).predict_frame(whole_frame())
    assert given == [config]


def test_a_missing_input_is_named(weights):
    predictor = BatchPredictor(weights, "cpu")
    with pytest.raises(ValueError, match="LiDAR"):
        predictor.predict_frame(replace(whole_frame(), lidar=None))


@pytest.mark.parametrize(("training", "points"), [({}, 81920), ({"config": {"data": {"lidar_points": 3}}}, 3)])
def test_a_network_sees_as_many_points_as_in_training(training, points):
    card = ModelCard("lidar", "1", "hdmapnet_lidar", OPTIONS, GRID, (88, 32), training=training)
    predictor = BatchPredictor((build_model("hdmapnet_lidar", GRID, (88, 32), OPTIONS), card), "cpu")
    assert predictor._collate.lidar_points == points


def test_cameras_come_in_the_order_of_the_weights_and_others_are_refused():
    options = {"encoder": "small", "camera_channels": 8, "view_hidden": 16, "bev_width": 8}
    torch.manual_seed(0)
    network = build_model("hdmapnet", GRID, (96, 48), options)
    for parameter in network.parameters():  # norms that start at zero would hide what lies behind them
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.2)
    predictor = BatchPredictor((network, ModelCard("tiny", "1", "hdmapnet", options, GRID, (96, 48))), "cpu")
    frame = noise_frames(1)[0]
    one = predictor.predict_frame(frame).probabilities
    turned = predictor.predict_frame(replace(frame, views=frame.views[::-1])).probabilities
    assert np.array_equal(one, turned) and one.std() > 1e-3
    other = replace(frame, views=tuple(replace(view, name=view.name.lower()) for view in frame.views))
    with pytest.raises(ValueError, match=r"tiny belongs to the cameras CAM_FRONT_LEFT, .*, these are cam_front_left, "):
        predictor.predict_frame(other)
