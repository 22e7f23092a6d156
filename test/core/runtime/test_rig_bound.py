"""Networks whose weights belong to one rig: run from images as they are trained, in the order of their cameras."""
import numpy as np
import pytest
import torch
from tiny_student import GRID, SIZE, save_tiny_student, tiny_images, tiny_rig

from mapkd_core.artifact import ArtifactError, ModelCard, load_model, save_artifact
from mapkd_core.data.images import PixelImage, normalise
from mapkd_core.model.build import build_model
from mapkd_core.predictor import MapPredictor
from mapkd_core.types import CAMERAS, Batch, CameraView, Frame

NARROW = {"encoder": "small", "camera_channels": 8, "view_hidden": 16, "bev_width": 8}


def saved(folder, model="hdmapnet", **options):
    torch.manual_seed(0)
    network = build_model(model, GRID, SIZE, {**NARROW, **options})
    for parameter in network.parameters():  # norms that start at zero would hide what lies behind them
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.5, 0.2)
    card = ModelCard("tiny", "1", model, {**NARROW, **options}, GRID, SIZE)
    save_artifact(folder / "tiny.json", card, network.state_dict())
    return folder / "tiny.json"


@pytest.mark.parametrize("view", ["mlp", "pillars"])
@pytest.mark.parametrize("model", ["hdmapnet", "mapkd_student"])
@pytest.mark.parametrize("backend", ["torch", "torchscript"])
def test_same_probabilities_as_the_network_that_was_trained(tmp_path, model, view, backend):
    place = saved(tmp_path, model, view=view)
    network, card = load_model(place)
    intrinsics, poses = tiny_rig()
    images = normalise(list(tiny_images()), card.mean, card.std)
    batch = Batch(*(torch.from_numpy(array).float()[None] for array in (images, intrinsics, poses)))
    with torch.inference_mode():
        expected = network(batch).semantic.softmax(1)[0].numpy()
    predictor = MapPredictor.from_artifact(place, device="cpu", backend=backend)
    found = predictor.predict(list(tiny_images()), intrinsics, poses).probabilities
    assert np.abs(found - expected).max() < 1e-5 and expected.std() > 1e-3
    assert predictor.runtime.cameras == (CAMERAS if view == "mlp" else ())


def test_cameras_are_brought_into_the_order_of_the_weights(tmp_path):
    predictor = MapPredictor.from_artifact(saved(tmp_path), device="cpu", backend="torch")
    intrinsics, poses = tiny_rig()
    pixels = tiny_images()
    view = lambda k: CameraView(CAMERAS[k], 0, SIZE, intrinsics[k], poses[k], PixelImage(pixels[k]))  # noqa: E731
    frames = [Frame("t", "s", 0, tuple(view(k) for k in order)) for order in (range(6), (3, 1, 0, 5, 4, 2))]
    one, other = (predictor.predict_frame(frame).probabilities for frame in frames)
    assert np.array_equal(one, other)


def test_other_cameras_are_refused_by_name(tmp_path):
    predictor = MapPredictor.from_artifact(saved(tmp_path), device="cpu", backend="torch")
    with pytest.raises(ValueError, match=r"belongs to the cameras CAM_FRONT_LEFT, .*, these are front, rear"):
        predictor.camera_order(["front", "rear"])
    with pytest.raises(ValueError, match="5 images; tiny needs those of CAM_FRONT_LEFT"):
        predictor.predict(list(tiny_images(5)), *(array[:5] for array in tiny_rig()))


def test_a_camera_without_an_image_has_no_say(tmp_path):
    predictor = MapPredictor.from_artifact(saved(tmp_path), device="cpu", backend="torch")
    seen = []
    predictor.runtime.model.cameras.warp.register_forward_hook(lambda _, inputs, out: seen.append(inputs[1].inside))
    predictor.predict([None, *tiny_images(5)], *tiny_rig())
    assert seen[0].mean(-1).tolist() == [[0, 1, 1, 1, 1, 1]]


def test_any_cameras_serve_a_student(tmp_path):
    predictor = MapPredictor.from_artifact(save_tiny_student(tmp_path), device="cpu", backend="torch")
    assert predictor.camera_order(["front", "rear"]) == [0, 1]


@pytest.mark.parametrize(
    ("model", "reads"), [("teacher", "LiDAR and an SD map"), ("coach_sd", "an SD map"), ("hd_prior", "no images")]
)
def test_a_network_that_reads_more_than_images_is_refused(tmp_path, model, reads):
    small = {"lidar_channels": 8, "pillar_width": 8, "mae_dim": 8, "mae_layers": 1, "mae_heads": 1}
    with pytest.raises(ArtifactError, match=f"is of model '{model}', which reads {reads}; .*mapkd evaluate"):
        MapPredictor.from_artifact(saved(tmp_path, model, **small), device="cpu")
