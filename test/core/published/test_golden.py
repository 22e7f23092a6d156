"""Imported networks against the authors' own outputs, under weights and inputs that a written rule makes.

Quick: one network of each family, the later ones without their instance and direction heads, which take most of the
time; slow: every network, every head. The reference lies outside the repository (test/support/published.py).
"""
import published
import pytest
import torch

from mapkd_core.artifact import load_model
from mapkd_core.grid import GRID_60X30, GRID_120X60
from mapkd_core.model.lift_splat import LiftSplat
from mapkd_core.model.mapnet import MapNetConfig, simulated_lidar
from mapkd_core.model.point_pillars import PublishedPillars
from mapkd_core.published.hdmapnet_keys import pillars
from mapkd_core.published.importer import import_checkpoint
from mapkd_core.published.key_table import KeyTable
from mapkd_core.published.mapkd_keys import simulated_lidar as simulated_lidar_keys

slow = pytest.mark.slow
ALL = ("semantic", "embedding", "direction")
FEATURES = {
    "views": "cameras.mlps", "expand": "expand", "sd": "sd_prior.road", "up": "sd_prior.grow", "enc1": "encode.layer1",
    "enc3": "encode.layer3", "vit_embed": "hd_prior.embed", "vit": "hd_prior.norm", "vit_up": "hd_prior.mix.1",
    "hd_enc3": "hd_prior.encode.layer3",
}
"""Name in the reference -> module whose output it is."""


@pytest.fixture(autouse=True, scope="module")
def _weights_are_kept_for_this_module_only():
    yield
    published.view_mlp.cache_clear()


@pytest.mark.parametrize(
    ("reference", "name", "grid", "heads", "outputs_limit", "features_limit"),
    [
        ("hdmapnet_cam_60x30", "hdmapnet", "60x30", ALL, 5e-4, 3e-4),
        pytest.param("hdmapnet_cam_60x30", "hdmapnet", "120x60", ALL, 5e-4, 3e-4, marks=slow),
        ("pmapnet_c_sd_60x30", "pmapnet_c_sd", "60x30", ALL[:1], 5e-4, 3e-4),
        pytest.param("pmapnet_c_sd_60x30", "pmapnet_c_sd", "60x30", ALL, 5e-4, 3e-4, marks=slow),
        pytest.param("mapkd_student_60x30", "mapkd_student", "60x30", ALL, 5e-4, 3e-4, marks=slow),
        pytest.param("mapkd_coach_sd_60x30", "coach_sd", "", ALL, 5e-4, 3e-4, marks=slow),
        pytest.param("hdmapnet_fusion_60x30", "hdmapnet_fusion", "60x30", ALL, 2e-3, 2e-3, marks=slow),
        pytest.param("hdmapnet_fusion_120x60", "hdmapnet_fusion", "120x60", ALL, 2e-3, 2e-3, marks=slow),
        pytest.param("pmapnet_cl_sd_60x30", "pmapnet_cl_sd", "60x30", ALL, 2e-3, 2e-3, marks=slow),
        pytest.param("pmapnet_cl_sd_hd_60x30", "pmapnet_cl_sd_hd", "60x30", ALL, 5e-3, 5e-3, marks=slow),
        pytest.param("mapkd_teacher_60x30", "teacher", "60x30", ALL, 5e-3, 5e-3, marks=slow),
        pytest.param("mapkd_coach_sd_hd_60x30", "coach", "", ALL, 5e-3, 5e-3, marks=slow),
    ],
)
def test_an_imported_network_gives_what_the_authors_code_gave(
    reference, name, grid, heads, outputs_limit, features_limit, tmp_path
):
    keys = reference.replace("fusion_120x60", "fusion_60x30")
    published.check_rule(keys)
    state = published.without_heads(published.state_dict(keys), set(ALL) - set(heads))
    torch.save(state, tmp_path / "authors.pt")
    del state
    import_checkpoint(tmp_path / "authors.pt", name, tmp_path / "ours.json", grid)
    network, card = load_model(tmp_path / "ours.json")
    assert card.options["published"] and card.training["imported"]["network"] == name

    found = {}
    handles = [
        network.get_submodule(place).register_forward_hook(
            lambda _, __, out, feature=feature: found.update({feature: out.clone()})
        )
        for feature, place in FEATURES.items() if any(n == place for n, _ in network.named_modules())
    ]
    batch = published.batch(card.grid if "120" in reference else GRID_60X30)
    with torch.inference_mode():
        prediction = network(batch)
        warp = network.cameras.warp
        found["ipm"] = warp.pasted(found["views"], warp.lookup(batch.base_from_camera))
    for handle in handles:
        handle.remove()
    assert [h for h in ALL if getattr(prediction, h) is not None] == list(heads)
    outputs = {h: getattr(prediction, h) for h in heads}
    taps = prediction.taps
    found["image"] = taps["image"][0]
    found |= {theirs: taps[ours] for theirs, ours in (("bev_small", "bev_small"), ("attn", "bev_sd"),
                                                     ("first_semantic", "coarse")) if ours in taps}
    tighter = {"image": 3e-4, "views": 3e-4, "ipm": 3e-4}
    if name.startswith("coach"):
        found["sim_lidar"] = taps["lid_bev"].transpose(-1, -2)  # the authors' are still [x, y]
        tighter["sim_lidar"] = 3e-3
    elif "lid_bev" in taps:
        found["lidar"] = taps["lid_bev"]
        tighter |= {"lidar": 3e-4, "bev_small": 5e-4}
    golden = published.golden(reference.replace("mapkd_teacher", "pmapnet_cl_sd_hd"))
    left = {key for key in golden if not key.startswith("stat_")} - outputs.keys() - found.keys() - set(ALL)
    assert left <= {"lidar"}, "of a coach: inside its branch, held by a test of its own"
    for key, value in published.differences(golden, {k: v.numpy() for k, v in outputs.items()}).items():
        assert value < outputs_limit, (key, value)
    for key, value in published.differences(golden, {k: v.numpy() for k, v in found.items()}).items():
        assert value < tighter.get(key, features_limit), (key, value)


def filled(module, table, ours, names):
    """The module `ours` of a table, with the rule's weights under the authors' names."""
    theirs = {row[0]: torch.from_numpy(published.weight(row[0], tuple(row[1]))) for row in names
              if row[0] in {source.theirs for source in table.taken.values()}}
    own = {f"{ours}.{key}": value for key, value in module.state_dict().items()}
    state = table.converted(theirs, own)
    module.load_state_dict({key.removeprefix(f"{ours}."): value for key, value in state.items()})
    return module.eval()


@pytest.mark.parametrize(
    ("reference", "grid"),
    [("hdmapnet_fusion_60x30", GRID_60X30), pytest.param("hdmapnet_fusion_120x60", GRID_120X60, marks=slow)],
)
def test_the_pillars_give_what_the_authors_code_gave(reference, grid):
    """Points before the first cell, off the grid and padding among them."""
    names = published.keys("hdmapnet_fusion_60x30")["keys"]
    table = KeyTable()
    pillars(table)
    network = filled(PublishedPillars(grid), table, "lidar", names)
    with torch.inference_mode():
        found = network(*(torch.from_numpy(array)[None] for array in published.lidar(grid)))
    assert published.differences(published.golden(reference), {"lidar": found.numpy()})["lidar"] < 3e-4


def test_the_simulated_lidar_gives_what_the_authors_code_gave():
    names = published.keys("mapkd_coach_sd_60x30")["keys"]
    table = KeyTable()
    simulated_lidar_keys(table, ALL)
    network = simulated_lidar(GRID_60X30, MapNetConfig(published=True, simulated_lidar=True))
    assert isinstance(filled(network, table, "lidar", names), LiftSplat)
    batch, spread = published.batch(), []
    network.expand.register_forward_pre_hook(lambda _, inputs: spread.append(inputs[0]))
    with torch.inference_mode():
        found = network(batch.images, batch.intrinsics, batch.base_from_camera).transpose(-1, -2)
    golden = published.golden("mapkd_coach_sd_60x30")
    assert published.differences(golden, {"sim_lidar": found.numpy()})["sim_lidar"] < 3e-3
    assert published.differences(golden, {"lidar": spread[0].transpose(-1, -2).numpy()})["lidar"] < 2e-2
