import cv2
import numpy as np
import pytest
import torch
from tiny_student import GRID, OPTIONS, SIZE
from torch import nn

from mapkd_core.artifact import load_model
from mapkd_core.commands.main import main
from mapkd_core.data.images import IMAGENET_MEAN, IMAGENET_STD
from mapkd_core.model.build import build_model
from mapkd_core.training.adapt_norms import _batches, adapt_norms


@pytest.fixture
def folder(tmp_path):
    """Three images of one color each."""
    (tmp_path / "images").mkdir()
    for k, color in enumerate([(10, 40, 200), (90, 90, 90), (250, 130, 20)]):
        cv2.imwrite(str(tmp_path / "images" / f"{k}.png"), np.full((90, 160, 3), color[::-1], np.uint8))
    return tmp_path / "images"


def tiny():
    torch.manual_seed(0)
    return build_model("student", GRID, SIZE, OPTIONS).eval()


def test_the_first_norm_has_the_statistics_of_the_images(folder):
    """Every image comes as often as every other one, so the mean of the first layer follows from three colors."""
    network = tiny()
    for layer in network.trunk.modules():
        if isinstance(layer, nn.BatchNorm2d):  # as a training leaves it: of that nothing is to stay
            layer.num_batches_tracked.fill_(1000)
            layer.running_mean.fill_(5.0)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    assert adapt_norms(network, [folder], images=24) == 3
    colors = torch.tensor([(10, 40, 200), (90, 90, 90), (250, 130, 20)]).float() / 255
    images = ((colors - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD))[:, :, None, None]
    conv, norm, _ = network.trunk.stem[0]
    response = conv(images.expand(3, 3, SIZE[1], SIZE[0]))                              # 3 C h w
    torch.testing.assert_close(norm.running_mean, response.mean((0, 2, 3)), atol=0.02, rtol=0.02)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, weights[name])}
    assert changed and all(name.startswith("trunk.") and ("running" in name or "batches" in name) for name in changed)
    momenta = {layer.momentum for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)}
    assert momenta == {0.1} and not network.training and not network.trunk.training


def test_the_same_again_by_its_seed(folder):
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    cv2.imwrite(str(folder / "3.png"), noise)
    one, same, other = tiny(), tiny(), tiny()
    for network, seed in ((one, 1), (same, 1), (other, 2)):
        adapt_norms(network, [folder], images=8, seed=seed)
    states = [network.state_dict() for network in (one, same, other)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert not all(torch.equal(states[0][k], states[2][k]) for k in states[0])


def test_half_of_the_cuts_are_mirrored(tmp_path):
    """An image that grows brighter to the right: in a mirrored cut the left half is the brighter one."""
    ramp = np.broadcast_to(np.linspace(0, 255, 160, dtype=np.uint8)[None, :, None], (90, 160, 3))
    cv2.imwrite(str(tmp_path / "ramp.png"), ramp)
    cuts = np.concatenate(list(_batches([tmp_path / "ramp.png"], SIZE, 200, np.random.default_rng(0)))).astype(float)
    middle = SIZE[0] // 2
    mirrored = cuts[:, :, :middle].mean((1, 2, 3)) > cuts[:, :, middle:].mean((1, 2, 3))
    assert len(cuts) == 200 and 80 <= mirrored.sum() <= 120, "within three standard deviations of one half"


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="no image"):
        adapt_norms(tiny(), [tmp_path])
    with pytest.raises(ValueError, match="another network"):
        adapt_norms(nn.Linear(2, 2), [tmp_path])


def test_export_writes_them_and_says_so(folder, tmp_path, capsys):
    out = tmp_path / "real.json"
    assert main(["export", "nano", "--out", str(out), "--no-onnx", "--norms-from", str(folder)]) == 0
    network, card = load_model(out)
    before, _ = load_model("nano")
    assert "3 real images" in card.training["norms"]
    own, theirs = network.state_dict(), before.state_dict()
    assert not torch.equal(own["trunk.stem.0.1.running_mean"], theirs["trunk.stem.0.1.running_mean"])
    assert torch.equal(own["trunk.smooth.0.weight"], theirs["trunk.smooth.0.weight"])
