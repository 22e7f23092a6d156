import subprocess
import sys
import warnings

import pytest
import torch

from mapkd_core.artifact import ModelCard, load_model, save_artifact
from mapkd_core.grid import BevGrid
from mapkd_core.model import backbones
from mapkd_core.model.backbones import BackboneEncoder, load_backbone
from mapkd_core.model.build import build_model
from mapkd_core.model.efficientnet import image_encoder

pytest.importorskip("transformers")
TINY = {
    "tiny-resnet": ("nobody/tiny-resnet", "resnet",
                    {"embedding_size": 4, "hidden_sizes": [4, 4, 8, 8], "depths": [1, 1, 1, 1], "layer_type": "basic"}),
    "tiny-convnext": ("nobody/tiny-convnext", "convnext", {"hidden_sizes": [4, 4, 8, 8], "depths": [1, 1, 1, 1]}),
    "tiny-efficientnet": ("nobody/tiny-efficientnet", "efficientnet",
                          {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 8}),
    "tiny-swin": ("nobody/tiny-swin", "swin", {"embed_dim": 4, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1]}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    for name, sizes in TINY.items():
        monkeypatch.setitem(backbones.KNOWN, name, sizes)
    monkeypatch.setattr(backbones, "hub_answers", lambda: False)


@pytest.mark.parametrize("name", TINY)
def test_features_have_stride_sixteen_and_every_weight_learns(name):
    encoder = BackboneEncoder(name, 5)
    features = encoder(torch.rand(2, 3, 64, 176))
    assert features.shape == (2, 5, 4, 11) and encoder.stride == 16
    features.square().sum().backward()
    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained and all(p.grad is not None for p in trained.values())  # DDP stops at a parameter without gradient
    assert encoder.backbone.training


def test_pretrained_weights_of_a_local_folder(tmp_path):
    torch.manual_seed(0)
    source = load_backbone("tiny-resnet", pretrained=False)
    source.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_backbone(f"hf:{tmp_path}", pretrained=True)
    for mine, theirs in zip(loaded.state_dict().values(), source.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    fresh = load_backbone(f"hf:{tmp_path}", pretrained=False)
    assert not torch.equal(next(fresh.parameters()), next(source.parameters()))


def test_without_a_network_the_weights_are_random_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="tiny-resnet starts from random weights"):
        load_backbone("tiny-resnet", pretrained=True)
    load_backbone("tiny-convnext", pretrained=False).config.save_pretrained(tmp_path)  # an architecture without weights
    with pytest.warns(UserWarning, match="starts from random weights"):
        load_backbone(f"hf:{tmp_path}", pretrained=True)


def test_names_that_lead_nowhere(tmp_path):
    with pytest.raises(ValueError, match="no image encoder 'resnet18', did you mean 'resnet-18'"):
        image_encoder("resnet18", 8)
    with pytest.raises(ValueError, match="neither a folder with a"):
        image_encoder(f"hf:{tmp_path}", 8)
    with pytest.raises(ValueError, match="'small' has no pretrained weights"):
        image_encoder("small", 8, pretrained=True)


def test_a_flat_backbone_is_refused(monkeypatch):
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 1, "image_size": 128, "patch_size": 16}
    monkeypatch.setitem(backbones.KNOWN, "vit", ("nobody/vit", "vit", sizes))
    with pytest.raises(ValueError, match="hierarchical"):
        BackboneEncoder("vit")


def test_a_network_with_a_backbone_travels_as_an_artifact(tmp_path):
    grid = BevGrid((-15.0, 15.0), (-15.0, 15.0), 0.75)
    options = {"encoder": "tiny-resnet", "view": "pillars", "camera_channels": 8,
               "bev_width": 8, "pretrained": True}  # fmt: skip
    with pytest.warns(UserWarning, match="random weights"):
        network = build_model("hdmapnet", grid, (96, 32), options)
    save_artifact(tmp_path / "a", ModelCard("a", "1", "hdmapnet", options, grid, (96, 32)), network.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # its own weights come next: the pretrained ones are not looked for
        again, _ = load_model(tmp_path / "a.json")
    name, weight = next(iter(network.cameras.encoder.backbone.state_dict().items()))
    torch.testing.assert_close(again.cameras.encoder.backbone.state_dict()[name], weight, atol=1e-3, rtol=1e-3)


def test_transformers_needs_no_torchvision():
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from transformers import AutoBackbone, AutoConfig, EfficientNetModel, ResNetBackbone\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_batch_norms_of_efficientnet_remember_more_than_the_last_batch():
    """Their momentum is the papers' 0.01 in PyTorch's sense, in both ways of building the network."""
    built = [image_encoder("efficientnet-b0", 8), BackboneEncoder("tiny-efficientnet", 8).backbone]
    for network in built:
        trunk = [m for n, m in network.named_modules() if isinstance(m, torch.nn.BatchNorm2d) and "merge" not in n]
        assert len(trunk) > 10 and {norm.momentum for norm in trunk} == {0.01}
