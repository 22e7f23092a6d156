"""Training the vector student by the command's loop: it learns toy lines, resumes, and is chosen by AP."""
from dataclasses import replace

import pytest
import torch
from killed_runs import killed_after
from toy import SIZE, ToySamples

from mapkd_core.artifact import save_artifact
from mapkd_core.config import DataConfig, LossConfig, TrainConfig
from mapkd_core.grid import BevGrid
from mapkd_core.predictor import MapPredictor
from mapkd_core.training import batches as loading
from mapkd_core.training import loop as training
from mapkd_core.training.checkpoint import load_checkpoint
from mapkd_core.training.trained import load_run
from mapkd_core.training.validation import MapValidation, VectorValidation, validation_of
from mapkd_core.types import MapElement

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)
OPTIONS = {
    "variant": "vector_nano", "image_width": 8, "view_channels": 8, "bev_width": 8, "width": 32, "hidden": 32,
    "vectors": 6, "points": 4, "layers": 2, "heads": 4, "sampling_heads": 4, "many": 4, "repeats": 2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def toy_data(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(loading, "open_samples", lambda spec, config: ToySamples())


def config(tmp_path, **changes):
    base = TrainConfig(
        name="run", out=str(tmp_path), model="vector_student", model_options=OPTIONS, grid=GRID,
        data=DataConfig(image_size=SIZE), steps=4, batch_size=2, learning_rate=1e-2, optimizer="muon",
        accelerator="cpu", log_every=1, save_every=2, val_every=100, loss=LossConfig(dice=1.0),
    )
    return replace(base, **changes)


def logged(folder, tag):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "log"))
    events.Reload()
    return {e.step: e.value for e in events.Scalars(tag)}


@pytest.mark.slow
def test_it_learns_by_heart_and_its_weights_predict_elements(tmp_path):
    folder = training.train(config(tmp_path, steps=120, batch_size=6, val_every=60, schedule="cosine"))
    losses, ap = logged(folder, "train/points"), logged(folder, "val/ap_chamfer")
    assert losses[120] < 0.4 * losses[1]
    assert ap[120] > 0.3, "lines within half a metre to a metre and a half, two classes"
    network, card = load_run(folder)
    assert card.training["best_val_ap_chamfer"] == pytest.approx(max(ap.values()), rel=1e-4)
    save_artifact(tmp_path / "toy.json", card, network.state_dict())
    sample = ToySamples()[1]
    found = MapPredictor.from_artifact(tmp_path / "toy.json", device="cpu").predict(
        list(sample.images), sample.intrinsics, sample.base_from_camera
    )
    assert "boundary" in {element.label for element in found.elements}


def test_a_killed_run_resumes_to_the_same_losses(tmp_path):
    whole = logged(training.train(config(tmp_path, name="whole")), "train/total")
    with killed_after(3):
        training.train(config(tmp_path, name="halves"))
    halves = logged(training.train(config(tmp_path, name="halves")), "train/total")
    assert halves[4] == whole[4]


def test_its_card_says_below_which_score_elements_are_not_shown(tmp_path, monkeypatch):
    monkeypatch.setattr("mapkd_core.training.validation.best_least_score", lambda frames, threshold: 0.17)
    folder = training.train(config(tmp_path, steps=1, val_every=1))
    assert load_run(folder)[1].least_score == 0.17 and "least_score" not in load_run(folder)[1].training


def test_frozen_parts_stay_through_steps_of_the_loop(tmp_path):
    first = training.train(config(tmp_path, name="first", steps=1))
    changes = {"init": (str(first),), "frozen": ("trunk", "bev"), "steps": 2, "ema": 0.5}
    after = training.train(config(tmp_path, name="after", **changes))
    before, now = (load_checkpoint(folder / "last.pt")["network"] for folder in (first, after))
    changed = {name.split(".")[0] for name in now if not torch.equal(now[name], before[name])}
    assert changed == {"decoder", "heads"}


def test_validation_counts_the_elements_of_all_samples(tmp_path):
    validation = validation_of(config(tmp_path))
    assert isinstance(validation, VectorValidation) and isinstance(validation_of(TrainConfig()), MapValidation)
    batch = loading.collate_for(config(tmp_path))([ToySamples()[k] for k in range(2)])
    lines = torch.zeros(1, 2, 2, 4, 2)
    for sample, elements in enumerate(batch.elements):
        for vector, line in enumerate(elements):
            ends = torch.from_numpy(line.points_m)
            lines[0, sample, vector] = ends[0] + torch.linspace(0, 1, 4)[:, None] * (ends[1] - ends[0])
    logits = torch.full((1, 2, 2, 3), -6.0)
    logits[0, :, 0, 0], logits[0, :, 1, 2] = 6.0, 6.0

    class Two:
        def __init__(self):
            self.logits, self.points_m = logits, lines

    validation.see(batch, Two())

    class Alone:
        world_size = 1

    result = validation.result(Alone())
    assert result["ap_divider"] == result["ap_boundary"] == pytest.approx(1.0)
    assert result["ap_ped_crossing"] == 0.0 and result["ap_chamfer"] == pytest.approx(2 / 3), "guesses, no truth"
    assert validation.least_score == pytest.approx(0.01), "what there is, is found whatever the score"
    shown = [e for e in validation.images._kept[0][1]]
    assert [type(e) for e in shown] == [MapElement, MapElement]
