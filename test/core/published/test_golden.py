"""Imported networks against the authors' own outputs, under weights and inputs that a written rule makes.

Every network of the raster family, all of its heads, in one forward each; what two networks have in common, weights and
inputs alike, is computed once. The reference lies outside the repository (test/support/published.py).
"""
import published
import pytest
import torch
from same_once import SameOnce

from mapkd_core.artifact import load_model
from mapkd_core.grid import GRID_60X30, GRID_120X60
from mapkd_core.model.build import build_model
from mapkd_core.model.neural_ipm import GroundWarp
from mapkd_core.published.importer import convert_checkpoint, import_checkpoint

OUTPUTS = ("semantic", "embedding", "direction")
FEATURES = {
    "views": "cameras.mlps", "expand": "expand", "sd": "sd_prior.road", "up": "sd_prior.grow", "enc1": "encode.layer1",
    "enc3": "encode.layer3", "vit_embed": "hd_prior.embed", "vit": "hd_prior.norm", "vit_up": "hd_prior.mix.1",
    "hd_enc3": "hd_prior.encode.layer3",
}
"""Name in the reference -> module whose output it is."""
COMMON = ("cameras.encoder", "cameras.mlps", "lidar.features", "lidar")
"""Modules that are computed once for the same weights and inputs; of `lidar` the pillars, or the image encoder."""


@pytest.fixture(scope="module")
def same_once():
    """What was computed so far; weights too are kept for this module only."""
    yield SameOnce()
    published.weight.cache_clear()


def converted(reference, name, grid, heads=OUTPUTS):
    """The authors' state dict as a network's card and weights of ours."""
    published.check_rule(reference)
    state = published.without_heads(published.state_dict(reference), set(OUTPUTS) - set(heads))
    return convert_checkpoint(published.checkpoint(state), name, name, grid)


def assembled(card, state):
    """The network of a card, its weights those given."""
    network = build_model(card.model, card.grid, card.input_size, card.options, for_weights=True)
    network.load_state_dict(state, assign=True)
    return network.eval()


def given(network, batch):
    """The outputs of a forward, and its inner features by their names in the reference."""
    found = {}
    places = dict(network.named_modules())
    for feature, place in FEATURES.items():
        if place in places:
            places[place].register_forward_hook(
                lambda _, __, out, feature=feature: found.update({feature: out.clone()})
            )
    if "lidar.expand" in places:  # the authors' are still [x, y]
        places["lidar.expand"].register_forward_pre_hook(
            lambda _, inputs: found.update(lidar=inputs[0].transpose(-1, -2))
        )
    with torch.inference_mode():
        prediction = network(batch)
        warp = network.cameras.warp
        found["ipm"] = warp.pasted(found["views"], warp.lookup(batch.base_from_camera))
    taps = prediction.taps
    found["image"] = taps["image"][0]
    found |= {theirs: taps[ours] for theirs, ours in (("bev_small", "bev_small"), ("attn", "bev_sd"),
                                                     ("first_semantic", "coarse")) if ours in taps}
    if "lidar" in found:
        found["sim_lidar"] = taps["lid_bev"].transpose(-1, -2)
    elif "lid_bev" in taps:
        found["lidar"] = taps["lid_bev"]
    outputs = {head: getattr(prediction, head) for head in OUTPUTS}
    return tuple({key: value.numpy() for key, value in found.items()} for found in (outputs, found))


def held_to(golden, outputs, found, outputs_limit, features_limit):
    """Every output and every feature of the reference within its limit."""
    assert not {key for key in golden if not key.startswith("stat_")} - outputs.keys() - found.keys()
    tighter = {"image": 3e-4, "views": 3e-4, "ipm": 3e-4}
    if "sim_lidar" in found:
        tighter |= {"lidar": 2e-2, "sim_lidar": 3e-3}  # the reference's cells are differences of a running sum
    elif "lidar" in found:
        tighter |= {"lidar": 3e-4, "bev_small": 5e-4}
    for key, value in published.differences(golden, outputs).items():
        assert value < outputs_limit, (key, value)
    for key, value in published.differences(golden, found).items():
        assert value < tighter.get(key, features_limit), (key, value)


@pytest.mark.parametrize(
    ("name", "reference", "grid", "outputs_limit", "features_limit"),
    [
        ("hdmapnet", "hdmapnet_cam_60x30", "60x30", 5e-4, 3e-4),
        ("hdmapnet_fusion", "hdmapnet_fusion_60x30", "60x30", 2e-3, 2e-3),
        ("pmapnet_c_sd", "pmapnet_c_sd_60x30", "60x30", 5e-4, 3e-4),
        ("pmapnet_cl_sd", "pmapnet_cl_sd_60x30", "60x30", 2e-3, 2e-3),
        ("mapkd_student", "mapkd_student_60x30", "60x30", 5e-4, 3e-4),
        ("coach_sd", "mapkd_coach_sd_60x30", "", 5e-4, 3e-4),
        ("pmapnet_cl_sd_hd", "pmapnet_cl_sd_hd_60x30", "60x30", 5e-3, 5e-3),
        ("coach", "mapkd_coach_sd_hd_60x30", "", 5e-3, 5e-3),
        pytest.param("hdmapnet_fusion", "hdmapnet_fusion_120x60", "120x60", 2e-3, 2e-3, marks=pytest.mark.slow),
    ],
)
def test_an_imported_network_gives_what_the_authors_code_gave(
    name, reference, grid, outputs_limit, features_limit, same_once
):
    ours = converted(reference.replace("120x60", "60x30"), name, grid)
    assert ours.card.options["published"] and ours.card.training["imported"]["network"] == name
    network = assembled(ours.card, ours.state)
    del ours
    for place in COMMON:
        if place in dict(network.named_modules()) and (place, name) not in (("lidar", "coach"), ("lidar", "coach_sd")):
            same_once.watch(network.get_submodule(place))
    outputs, found = given(network, published.batch(GRID_120X60 if grid == "120x60" else GRID_60X30))
    held_to(published.golden(reference), outputs, found, outputs_limit, features_limit)


def test_the_teacher_is_the_network_whose_outputs_are_held_to():
    """P-MapNet's, by its card and by every weight; the reference has no outputs of its own for it."""
    teacher = converted("mapkd_teacher_60x30", "teacher", "60x30")
    same = converted("pmapnet_cl_sd_hd_60x30", "pmapnet_cl_sd_hd", "60x30")
    for fact in ("model", "options", "grid", "input_size"):
        assert getattr(teacher.card, fact) == getattr(same.card, fact)
    assert list(teacher.state) == list(same.state)
    assert all(torch.equal(value, same.state[key]) for key, value in teacher.state.items())


def test_a_network_on_cameras_is_the_same_on_both_grids():
    """Its plane is the authors' 60 x 30 units on each: the reference's outputs are bit-identical too."""
    small, large = (converted("hdmapnet_cam_60x30", "hdmapnet", grid) for grid in ("60x30", "120x60"))
    assert small.card.options == large.card.options and large.card.grid == GRID_120X60
    assert all(torch.equal(value, large.state[key]) for key, value in small.state.items())
    poses = published.batch().base_from_camera
    lookups = [GroundWarp(grid, (40, 80), published=True).lookup(poses) for grid in (GRID_60X30, GRID_120X60)]
    assert all(torch.equal(*pair) for pair in zip(*lookups, strict=True))


@pytest.mark.parametrize("heads", [OUTPUTS[:1], OUTPUTS[:2]])
def test_a_training_without_heads_gives_the_same_weights_less_theirs(heads):
    whole = converted("pmapnet_c_sd_60x30", "pmapnet_c_sd", "60x30").state
    part = converted("pmapnet_c_sd_60x30", "pmapnet_c_sd", "60x30", heads)
    assert part.card.options["outputs"] == list(heads)
    absent = tuple(f"encode.branches.{head}." for head in set(OUTPUTS) - set(heads))
    assert part.state.keys() == {key for key in whole if not key.startswith(absent)}
    assert all(torch.equal(value, whole[key]) for key, value in part.state.items())


@pytest.mark.parametrize(
    ("reference", "name", "grid"),
    [
        ("pmapnet_c_sd_60x30", "pmapnet_c_sd", "60x30"),
        pytest.param("mapkd_coach_sd_hd_60x30", "coach", "", marks=pytest.mark.slow),
        pytest.param("mapkd_teacher_60x30", "teacher", "60x30", marks=pytest.mark.slow),
    ],
)
def test_the_way_through_files_changes_no_weight(reference, name, grid, tmp_path):
    torch.save(published.state_dict(reference), tmp_path / "authors.pt")
    import_checkpoint(tmp_path / "authors.pt", name, tmp_path / "ours.json", grid)
    network, card = load_model(tmp_path / "ours.json")
    expected = converted(reference, name, grid)
    assert (card.model, card.options, card.grid) == (expected.card.model, expected.card.options, expected.card.grid)
    found = network.state_dict()
    assert list(found) == list(expected.state)
    assert all(torch.equal(value, found[key]) for key, value in expected.state.items())
