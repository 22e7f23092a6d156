"""A network that predicts vertices, run as the node runs it."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_student import GRID, SIZE, tiny_images, tiny_rig

from mapkd_core.artifact import ModelCard, load_model, save_artifact
from mapkd_core.data.images import PixelImage, normalise
from mapkd_core.evaluation.batch_predictor import BatchPredictor
from mapkd_core.model.build import build_model
from mapkd_core.predictor import MapPredictor
from mapkd_core.types import CAMERAS, Batch, CameraView, Frame
from mapkd_core.vector_elements import LEAST_SCORE, elements_of

OPTIONS = {"width": 32, "hidden": 16, "bev_cell_m": 1.5, "vectors": 6, "points": 4, "sampling_heads": 4,
           "frame": "base_link"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    torch.manual_seed(0)
    network = build_model("vector_student", GRID, SIZE, OPTIONS)
    for name, parameter in network.named_parameters():
        if "weights" in name or "offsets" in name:
            torch.nn.init.normal_(parameter, 0.0, 0.1)
        elif parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.3, 0.3)
    with torch.no_grad():  # scores on both sides of the least that is shown
        network.decoder.classify[-1][-1].bias.copy_(torch.tensor([1.0, -1.0, -4.0]))
    path = tmp_path_factory.mktemp("vector") / "vector.json"
    save_artifact(path, ModelCard("vector", "1", "vector_student", OPTIONS, GRID, SIZE), network.state_dict())
    return path


@pytest.mark.parametrize("backend", ["torch", "torchscript"])
def test_elements_are_those_of_the_network_under_any_calibration(place, backend):
    network, card = load_model(place)
    predictor = MapPredictor.from_artifact(place, device="cpu", backend=backend)
    assert predictor.runtime.cameras == CAMERAS
    images = normalise(list(tiny_images()), card.mean, card.std)
    intrinsics, poses = tiny_rig()
    for moved in (poses, poses[::-1].copy()):  # cells are seen by other numbers of cameras then
        batch = Batch(*(torch.from_numpy(array.copy()).float()[None] for array in (images, intrinsics, moved)))
        with torch.inference_mode():
            expected = network(batch)
        found = predictor.predict(list(tiny_images()), intrinsics, moved)
        wanted = elements_of(
            expected.logits[-1, 0].sigmoid().numpy(), expected.points_m[-1, 0].numpy(), LEAST_SCORE
        )
        assert [e.label for e in found.elements] == [e.label for e in wanted] and wanted
        for one, other in zip(found.elements, wanted, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert np.abs(one.points_m - other.points_m).max() < 1e-3
        assert found.probabilities.shape == (4, *GRID.shape)
        assert found.probabilities[1:].max() == pytest.approx(max(e.score for e in wanted))


def test_evaluation_keeps_elements_of_every_score(place):
    intrinsics, poses = tiny_rig()
    views = tuple(CameraView(CAMERAS[k], 0, SIZE, intrinsics[k], poses[k], PixelImage(pixels))
                  for k, pixels in enumerate(tiny_images()))
    found = BatchPredictor(place, "cpu").predict_frame(Frame("t", "s", 0, views))
    assert len(found.elements) == 18 and found.elements[-1].score < LEAST_SCORE


def test_a_card_says_which_elements_are_shown(place, tmp_path):
    network, card = load_model(place)
    assert "least_score" not in place.read_text(), "a card without one stays as it was"
    shown = []
    for least in (None, 0.0, 0.5):
        save_artifact(tmp_path / "own.json", replace(card, least_score=least), network.state_dict())
        predictor = MapPredictor.from_artifact(tmp_path / "own.json", device="cpu", backend="torch")
        shown.append([e.score for e in predictor.predict(list(tiny_images()), *tiny_rig()).elements])
    assert len(shown[1]) == 18 and shown[0] == [score for score in shown[1] if score >= LEAST_SCORE]
    assert shown[2] == [score for score in shown[1] if score >= 0.5] and len(shown[2]) < len(shown[0])


def test_learning_a_map_from_it_is_refused(place):
    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.training.teachers import frozen_networks

    with pytest.raises(ValueError, match=r"vector\.json predicts vertices"):
        frozen_networks(DistillConfig(teacher=str(place), method="kd_logit"))
