"""The tables of names account for every tensor of the authors' code, and take what its outputs depend on."""
from collections import Counter

import published
import pytest
import torch

from mapkd_core.grid import GRID_60X30
from mapkd_core.model.build import build_model
from mapkd_core.published.networks import NETWORKS

ALL = ("semantic", "embedding", "direction")
REFERENCES = {
    "hdmapnet": "hdmapnet_cam_60x30", "hdmapnet_fusion": "hdmapnet_fusion_60x30", "pmapnet_c_sd": "pmapnet_c_sd_60x30",
    "pmapnet_cl_sd": "pmapnet_cl_sd_60x30", "pmapnet_cl_sd_hd": "pmapnet_cl_sd_hd_60x30",
    "teacher": "mapkd_teacher_60x30", "coach_sd": "mapkd_coach_sd_60x30", "coach": "mapkd_coach_sd_hd_60x30",
    "mapkd_student": "mapkd_student_60x30", "maptr_nano": "maptr_nano_r18", "maptr_tiny": "maptr_tiny_r50",
    "maptrv2": "maptrv2_r50",
}
ALIKE = {"pmapnet_c_sd_hd": ("pmapnet_cl_sd_hd", "pmapnet_c_sd")}
"""Networks without a reference: the parts of others."""


@pytest.mark.parametrize("name", REFERENCES)
def test_every_name_of_the_authors_is_accounted_for(name):
    reference = published.keys(REFERENCES[name])
    prefix = reference["envelope"]["prefix"]
    used = {row[0].removeprefix(prefix): row[3] for row in reference["keys"]}
    table = NETWORKS[name].table(ALL)
    assert table.missing(used) == [] and table.left_over(used) == []
    taken = {source.theirs for source in table.taken.values()} | {source.other for source in table.taken.values()}
    for key, how in used.items():
        if how in ("yes", "aux"):
            assert key in taken, key
        elif how == "no":
            assert key not in taken, key
    extra = {row["key"] for row in reference.get("extra_keys_in_a_published_file", ())}
    assert table.unused.keys() <= used.keys() | extra, "a name in a table that the authors' code does not have"


def norms(network):
    """Norm layers by epsilon and momentum; PyTorch's own attention layers and ours count alike."""
    kinds = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.LayerNorm)
    found = [module for module in network.modules() if isinstance(module, kinds)]
    return Counter((type(m).__name__, m.eps, getattr(m, "momentum", None)) for m in found)


@pytest.mark.parametrize("name", REFERENCES)
def test_norms_have_the_authors_epsilon_and_momentum(name):
    network = NETWORKS[name]
    with torch.device("meta"):
        ours = norms(build_model(network.model, GRID_60X30, network.image_size, network.options))
    theirs = Counter()
    for line, (count, _) in published.keys(REFERENCES[name])["norm_layers"].items():
        kind, *settings = line.split()
        values = {key: float(value) for key, value in (setting.split("=") for setting in settings)}
        theirs[kind, values["eps"], values.get("momentum")] += count
    if ("BatchNorm2d", 1e-5, None) in theirs:  # MapTR's list does not state the momentum, which is PyTorch's
        ours = Counter({(kind, eps, None): count for (kind, eps, momentum), count in ours.items()})
    assert ours.keys() == theirs.keys()
    assert all(ours[key] <= theirs[key] for key in ours), "the authors' unused layers come on top"


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("outputs", [ALL, ALL[:2], ALL[:1]])
def test_every_tensor_of_ours_is_filled(name, outputs):
    network = NETWORKS[name]
    with torch.device("meta"):
        options = {**network.options, **({"outputs": list(outputs)} if network.has_heads else {})}
        ours = build_model(network.model, GRID_60X30, network.image_size, options)
    assert network.table(outputs).taken.keys() == ours.state_dict().keys()


def test_a_network_without_a_reference_is_made_of_parts_that_have_one():
    assert NETWORKS.keys() - REFERENCES.keys() == ALIKE.keys()
    for name, others in ALIKE.items():
        known = {ours: source.theirs for other in others for ours, source in NETWORKS[other].table(ALL).taken.items()}
        mine = {ours: source.theirs for ours, source in NETWORKS[name].table(ALL).taken.items()}
        assert mine.items() <= known.items()
