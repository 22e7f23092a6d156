"""The page "Use published weights", walked with files made by the written rule: import, evaluate, distil.

What it says of accuracy is nothing, since the weights are the rule's; that each command runs as written is the test.
`pmapnet_c_sd_hd` has no key list of its own and is left out.
"""
from dataclasses import replace

import numpy as np
import published
import pytest
import torch
from invented_frames import frame, image

from mapkd_core.artifact import load_card
from mapkd_core.commands.main import main
from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import write_cache
from mapkd_core.published.networks import NETWORKS
from mapkd_core.training.checkpoint import load_checkpoint
from mapkd_core.types import CLASSES

SIZE = (800, 450)
"""Of the stored images: the largest that a network reads."""
REFERENCES = {
    "hdmapnet": "hdmapnet_cam_60x30", "hdmapnet_fusion": "hdmapnet_fusion_60x30",
    "mapkd_student": "mapkd_student_60x30",
    "pmapnet_c_sd": "pmapnet_c_sd_60x30", "pmapnet_cl_sd": "pmapnet_cl_sd_60x30", "coach_sd": "mapkd_coach_sd_60x30",
    "pmapnet_cl_sd_hd": "pmapnet_cl_sd_hd_60x30", "maptr_nano": "maptr_nano_r18", "maptr_tiny": "maptr_tiny_r50",
    "maptrv2": "maptrv2_r50",
}  # fmt: skip
PAIR = {"teacher": "mapkd_teacher_60x30", "coach": "mapkd_coach_sd_hd_60x30"}
pytestmark = pytest.mark.slow


class Drive:
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        scale = np.diag([SIZE[0] / 320, SIZE[1] / 180, 1.0])
        small = frame(index)
        views = [replace(view, size=SIZE, intrinsics=scale @ view.intrinsics, image=image(index * 10 + k, SIZE))
                 for k, view in enumerate(small.views)]  # fmt: skip
        return replace(small, views=tuple(views), base_from_lidar=np.eye(4))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache") / "frames"
    write_cache(Drive(2), folder, CacheOptions(SIZE, lidar=True), progress=False)
    return f"cache:{folder}"


def imported(folder, name, reference):
    """A card made by `mapkd import` of a file as the authors write one."""
    state, facts = published.state_dict(reference), published.keys(reference)
    if name.startswith("maptr"):
        extra = {one["key"]: torch.tensor(one["values"]) for one in facts.get("extra_keys_in_a_published_file", ())}
        meta = {"mmcv_version": "1.4.0", "epoch": 24, "CLASSES": list(CLASSES), "config": "model = dict(...)"}
        state = {"meta": meta, "state_dict": {**state, **extra}, "optimizer": {"param_groups": []}}
    torch.save(state, folder / "authors.pt")
    grid = [] if "coach" in name or "maptr" in name else ["--grid", "60x30"]
    out = folder / f"{name}.json"
    assert main(["import", str(folder / "authors.pt"), "--as", name, *grid, "--out", str(out)]) == 0
    (folder / "authors.pt").unlink()
    return out


def distilled(folder, cache, method, **networks):
    """Two steps of MapKD's published student."""
    changes = {
        "data.train": cache, "data.val": cache, "data.workers": 0, "out": folder / "runs", "name": "student",
        "steps": 2, "batch_size": 1, "val_every": 2, "val_batches": 1, "model_options": "{pretrained: false}",
        "method": method, "coach": "", **networks,
    }  # fmt: skip
    words = [word for key, value in changes.items() for word in (f"--{key}", str(value))]
    assert main(["distill", "--config", "config/train/distill_mapkd_60x30.yaml", *words]) == 0
    assert load_checkpoint(folder / "runs" / "student" / "last.pt")["step"] == 2


def evaluated(folder, cache, card):
    words = ["--data", cache, "--limit", "1", "--out", str(folder / "scores"), "--images", "0", "--processes", "1"]
    assert main(["evaluate", "--weights", str(card), *words]) == 0
    assert (folder / "scores" / "result.md").is_file()


def test_every_name_of_the_page_is_walked():
    assert REFERENCES.keys() | PAIR.keys() | {"pmapnet_c_sd_hd"} == NETWORKS.keys()


@pytest.mark.parametrize("name", REFERENCES)
def test_it_is_imported_evaluated_and_teaches(name, cache, tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    card = imported(tmp_path, name, REFERENCES[name])
    evaluated(tmp_path, cache, card)
    if load_card(card).model != "vector_student":
        distilled(tmp_path, cache, "kd_logit", teacher=card)
    published.weight.cache_clear()


def test_mapkds_teacher_and_coach_teach_its_student(cache, tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    cards = {name: imported(tmp_path, name, reference) for name, reference in PAIR.items()}
    published.weight.cache_clear()
    distilled(tmp_path, cache, "mapkd", **cards)
    evaluated(tmp_path, cache, cards["coach"])
