"""The networks that a distillation run names, each in its part."""
from dataclasses import replace
from types import SimpleNamespace

import pytest
from torch import nn
from toy import ToySamples

from mapkd_core.config import DataConfig
from mapkd_core.data.dataset import Collate
from mapkd_core.distill.config import DistillConfig
from mapkd_core.grid import BevGrid
from mapkd_core.training import teachers

GRID, SIZE = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3), (96, 48)


def test_each_network_takes_its_part(monkeypatch):
    made = {}

    def load(place):
        made[place] = nn.Linear(1, 1)
        return made[place], SimpleNamespace(model="teacher", grid=GRID, input_size=SIZE)

    monkeypatch.setattr(teachers, "load_trained", load)
    config = DistillConfig(
        teacher="a", coach="c", more_teachers=("b", "d"), method="mapkd", grid=GRID, data=DataConfig(image_size=SIZE)
    )
    frozen = teachers.frozen_networks(config)
    assert list(frozen.teacher.networks) == [made["a"], made["b"], made["d"]] and frozen.coach is made["c"]
    assert not any(p.requires_grad for role in (frozen.teacher, frozen.coach) for p in role.parameters())
    assert frozen.precision == "32-true"
    for own, asked in (("bf16-mixed", "32-true"), ("32-true", "bf16-mixed"), ("bf16-mixed", "")):
        half = teachers.frozen_networks(replace(config, precision=own, teacher_precision=asked))
        assert half.precision == (asked or own)
    with pytest.raises(ValueError, match="teacher_precision is 'half'; expected one of 32-true, bf16-mixed, 16-mixed"):
        replace(config, teacher_precision="half")
    alone = teachers.frozen_networks(replace(config, more_teachers=(), coach=""))
    assert alone.teacher is made["a"] and alone.coach is None
    nobody = teachers.frozen_networks(DistillConfig(method="none", grid=GRID))
    assert nobody.teacher is None and nobody.coach is None


class Rig(nn.Module):
    """A network of two cameras."""

    rig_bound = True

    def forward(self, batch):
        return batch.cameras


def test_a_teacher_of_one_rig_refuses_other_cameras_and_another_order(monkeypatch):
    card = SimpleNamespace(model="teacher", grid=GRID, input_size=SIZE, cameras=("left", "right"))
    monkeypatch.setattr(teachers, "load_trained", lambda place: (Rig(), card))
    config = DistillConfig(teacher="a.json", method="mapkd", grid=GRID, data=DataConfig(image_size=SIZE))
    teacher = teachers.frozen_network("a.json", config)
    mine, swapped = replace(sample(0), cameras=("left", "right")), replace(sample(1), cameras=("right", "left"))
    collate = Collate(GRID)
    assert teacher(collate([mine, replace(mine, cameras=())])) == [("left", "right"), ()]
    with pytest.raises(ValueError, match=r"a\.json hold for one rig with the cameras left, right, .* has right, left"):
        teacher(collate([mine, swapped]))
    monkeypatch.setattr(Rig, "rig_bound", False)
    assert len(teachers.frozen_network("a.json", config)(collate([mine, swapped]))) == 2


def sample(index):
    return ToySamples(2)[index]


@pytest.mark.parametrize("method", ["mapkd", "pyramid"])
def test_a_teacher_on_larger_cells_serves_methods_that_compare_maps_alone(monkeypatch, method):
    card = SimpleNamespace(model="teacher", grid=GRID.scaled(2), input_size=(SIZE[0] // 2, SIZE[1] // 2))
    network = nn.Linear(1, 1)
    monkeypatch.setattr(teachers, "load_trained", lambda place: (network, card))
    config = DistillConfig(teacher="a", method=method, grid=GRID, data=DataConfig(image_size=SIZE))
    if method == "mapkd":
        with pytest.raises(ValueError, match=r"needs networks of one size \(methods that do not: .*pyramid"):
            teachers.frozen_network("a", config)
    else:
        found = teachers.frozen_network("a", config)
        assert (found.network, found.factor, found.shrink) == (network, 2, 2)
