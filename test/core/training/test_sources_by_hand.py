"""Which frames training and validation open, as which samples, and which are looked at before the first step."""
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from toy import SIZE, ToySamples

from mapkd_core.config import DataConfig, TrainConfig
from mapkd_core.grid import BevGrid
from mapkd_core.training import batches as loading
from mapkd_core.training import sample_order

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.6)


def config(**changes):
    return TrainConfig(grid=GRID, data=DataConfig(image_size=SIZE, **changes), batch_size=3)


@pytest.mark.parametrize("sensors", [{}, {"lidar": True}, {"sd_map": True}, {"lidar": True, "sd_map": True}])
@pytest.mark.parametrize("labels", [True, False])
def test_a_name_is_opened_for_the_inputs_and_labels_that_the_run_reads(monkeypatch, sensors, labels):
    asked = []

    def open_frames(name, **options):
        asked.append((name, options))
        return ["every frame"], []

    monkeypatch.setattr(loading, "open_frames", open_frames)
    monkeypatch.setattr(loading, "with_maps", lambda frames: ["frames with maps"])
    monkeypatch.setattr(loading, "sample_from_frame", lambda frame, options: (frame, options))
    lidar, sd_map = sensors.get("lidar", False), sensors.get("sd_map", False)
    source = loading.open_samples("simdrive-v1:val", config(**sensors), labels)
    assert asked == [("simdrive-v1:val", {"image_size": SIZE, "lidar": lidar})] and len(source) == 1
    frame, options = source[0]
    assert frame == ("frames with maps" if labels or sd_map else "every frame")
    assert (options.grid, options.image_size, options.lidar, options.sd_map, options.labels) == (
        GRID, SIZE, lidar, sd_map, labels
    )


def test_a_cache_is_opened_with_the_same_options(monkeypatch):
    monkeypatch.setattr(loading, "CachedSamples", lambda place, options: (place, options))
    place, options = loading.open_samples("cache:folder/train", config(lidar=True, sd_map=True), labels=False)
    assert place == "folder/train" and options.lidar and options.sd_map and not options.labels


def test_crossings_come_as_outlines_for_networks_that_predict_vertices_alone():
    for model, outlines in (("vector_student", True), ("student", False), ("hdmapnet", False)):
        made = loading.collate_for(replace(config(), model=model))
        assert (made.outlines, made.grid) == (outlines, GRID)


class Watched:
    """Samples without lines but for some; keeps which were read."""

    def __init__(self, count, lines=(), labelled=True):
        self.count, self.lines, self.labelled, self.read = count, set(lines), labelled, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.read.append(index)
        line = SimpleNamespace(points_m=np.array([[0.0, 0, 1], [1, 1, 1]]))
        return SimpleNamespace(labelled=self.labelled, elements=(line,) if index in self.lines else ())


@pytest.mark.parametrize(("changes", "looked_at"), [
    ({"val_batches": 2}, 6), ({"val_batches": 2, "devices": 2}, 12), ({"val_batches": 2, "devices": 2, "nodes": 2}, 24),
    ({"val_batches": 0}, 40), ({"val_batches": 30}, 40),
])  # fmt: skip
def test_validation_looks_at_the_frames_that_it_will_score(monkeypatch, changes, looked_at):
    source = Watched(40)
    monkeypatch.setattr(loading, "open_samples", lambda *_: source)
    with pytest.raises(ValueError, match=f"none of {looked_at} frames has a map line"):
        loading.open_validation(replace(config(), **changes))
    assert source.read == list(range(looked_at))


def test_training_looks_at_frames_spread_over_all_of_them_until_one_has_a_line(monkeypatch):
    source = Watched(1000)
    monkeypatch.setattr(loading, "open_samples", lambda *_: source)
    with pytest.raises(ValueError, match="none of 256 frames has a map line"):
        loading.training_batches(config())
    assert source.read[0] == 0 and source.read[-1] == 999 and len(source.read) == 256
    assert set(np.diff(source.read)) == {3, 4}
    source = Watched(1000, lines=[source.read[3]])
    loading.training_batches(config())
    assert len(source.read) == 4, "not one frame more"


def test_lines_of_a_sample_whose_labels_are_unknown_are_none(monkeypatch):
    source = Watched(5, lines=range(5), labelled=False)
    monkeypatch.setattr(loading, "open_samples", lambda *_: source)
    with pytest.raises(ValueError, match="none of 5 frames"):
        loading.training_batches(config())


def test_nothing_at_all_is_told_by_its_name(monkeypatch):
    monkeypatch.setattr(loading, "open_samples", lambda *_, **__: Watched(0))
    with pytest.raises(ValueError, match=r"training data '.*' hold no frame with a road map"):
        loading.training_batches(config())
    with pytest.raises(ValueError, match=r"validation data '.*' hold no frame with a road map"):
        loading.open_validation(config())
    filled = ToySamples(4)
    monkeypatch.setattr(loading, "open_samples", lambda name, *_, **__: Watched(0) if name == "drives" else filled)
    with pytest.raises(ValueError, match="training data 'drives' hold no frame"):
        loading.training_batches(config(unlabelled="drives"))


@pytest.mark.parametrize("workers", [0, 2])
def test_every_loader_ends_with_its_run_and_is_waited_for_so_long_and_no_longer(monkeypatch, workers):
    asked = []

    def loader(source, **options):
        asked.append(options)
        return []

    monkeypatch.setattr(loading, "DataLoader", loader)
    monkeypatch.setattr(loading, "open_samples", lambda *_, **__: ToySamples(4))
    monkeypatch.setattr(loading, "StreamedSamples", lambda *given: given)
    loading.training_batches(config(workers=workers))
    loading.training_batches(config(workers=workers, train="cache:https://example.org/train"))
    list(loading.validation_batches(config(workers=workers)))
    assert len(asked) == 3
    for options in asked:
        assert options["worker_init_fn"] is loading.end_with_parent and options["num_workers"] == workers
        assert options["timeout"] == (loading.LONGEST_WAIT_S if workers else 0)
        assert options["generator"].initial_seed() == 0
    assert asked[1]["batch_size"] == 3 and asked[2]["batch_sampler"] == [[0, 1, 2], [3]]
    assert asked[0]["persistent_workers"] == (workers > 0)


@pytest.mark.parametrize(("limit", "batches"), [(0, 4), (1, 1), (2, 2), (9, 4)])
def test_a_validation_ends_after_its_batches(monkeypatch, limit, batches):
    source = ToySamples(10)
    found = list(loading.validation_batches(replace(config(), val_batches=limit), source=source))
    assert [len(batch.images) for batch in found] == [3, 3, 3, 1][:batches]


def drawn(seed, count=12, **changes):
    """Tokens and the marks of augmentation and of real images of the first samples of a run."""
    numbers = []

    def augment(sample, change, rng):
        numbers.append(("augmented", rng.integers(1 << 60)))
        return sample

    streets = SimpleNamespace(
        added=lambda sample, rng: numbers.append(("streets", rng.integers(1 << 60))) or sample
    )
    original, sample_order.augment = sample_order.augment, augment
    try:
        samples = sample_order.NumberedSamples(
            ToySamples(5), [f"drive{k}" for k in range(5)], 0.4, config().augment, seed, streets, **changes
        )
        return [getattr(samples[number], "token", None) or samples[number] for number in range(count)], numbers
    finally:
        sample_order.augment = original


def test_the_order_the_source_and_every_chance_follow_from_the_seed_and_are_not_the_same_chance():
    tokens, numbers = drawn(3)
    assert (tokens, numbers) == drawn(3)
    others, theirs = drawn(4)
    mine = {name: [n for k, n in numbers if k == name] for name in ("augmented", "streets")}
    yours = {name: [n for k, n in theirs if k == name] for name in ("augmented", "streets")}
    assert not set(mine["augmented"]) & set(yours["augmented"]) and not set(mine["streets"]) & set(yours["streets"])
    assert not set(mine["augmented"]) & set(mine["streets"]), "or a sample's style would follow from its colours"
    from_drives, theirs_from = ([str(t).startswith("drive") for t in found] for found in (tokens, others))
    assert from_drives != theirs_from, "which samples are unlabelled"
    assert [t for t in tokens if str(t).startswith("toy")] != [t for t in others if str(t).startswith("toy")]
    chances = [np.random.default_rng((3, kind, number)).random() < 0.4 for kind in (2, 3) for number in range(12)]
    assert from_drives == chances[12:] != chances[:12], "by a chance of its own, not by the augmentation's"


def test_a_process_takes_every_so_manieth_sample_of_each_batch():
    """Of batches of two times three from the third on, which begins with sample 12."""
    shares = [iter(sample_order.OwnShare(2, 3, rank, 2)) for rank in (0, 1)]
    assert [next(shares[0]), next(shares[0])] == [[12, 14, 16], [18, 20, 22]]
    assert [next(shares[1]), next(shares[1])] == [[13, 15, 17], [19, 21, 23]]
