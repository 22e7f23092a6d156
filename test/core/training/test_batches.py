"""Which sample comes when: the same for a seed, whatever the processes, and after a resume."""
import os
import signal
import time
from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from toy import SIZE, ToySamples

from mapkd_core.config import AugmentConfig, DataConfig, TrainConfig
from mapkd_core.grid import BevGrid
from mapkd_core.training import batches as loading

CONFIG = TrainConfig(
    grid=BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.6), data=DataConfig(image_size=SIZE), batch_size=2,
    augment=AugmentConfig(photometric=0.5, flip=True),
)


@pytest.fixture(autouse=True)
def toy_data(monkeypatch):
    monkeypatch.setattr(loading, "open_samples", opened)


def opened(spec, config, labels=True):
    """Five samples; of the source `drives`, with names of their own and labels only if asked for."""
    if spec != "drives":
        return ToySamples(5)
    samples = [replace(sample, token=f"drive{k}") for k, sample in enumerate(ToySamples(5)[i] for i in range(5))]
    return samples if labels else [replace(sample, elements=(), labelled=False) for sample in samples]


def first(count, **arguments):
    return list(islice(loading.training_batches(CONFIG, **arguments), count))


def far_off(count):
    """Labelled samples whose lines lie beyond the grid."""
    samples = [ToySamples(count)[index] for index in range(count)]
    return [replace(s, elements=tuple(replace(e, points_m=e.points_m + 500.0) for e in s.elements)) for s in samples]


def test_data_without_a_line_in_the_grid_are_refused_before_the_first_step(monkeypatch):
    assert loading.open_validation(CONFIG) is not None
    monkeypatch.setattr(loading, "open_samples", lambda *_: far_off(5))
    with pytest.raises(ValueError, match=r"validation data .*: none of 5 frames has a map line in the grid"):
        loading.open_validation(replace(CONFIG, val_batches=0))
    with pytest.raises(ValueError, match=r"training data .*: none of 5 frames has a map line in the grid"):
        first(1)
    monkeypatch.setattr(loading, "open_samples", lambda *_: [*far_off(4), ToySamples(5)[4]])
    assert first(1)
    with pytest.raises(ValueError, match="none of 2 frames"):  # the one with lines is never looked at
        loading.open_validation(replace(CONFIG, val_batches=1))


def test_an_epoch_shows_every_sample_once_and_epochs_differ():
    tokens = [t for batch in first(10) for t in batch.tokens]
    assert sorted(tokens[:5]) == sorted(tokens[5:10]) == sorted(set(tokens))
    assert tokens[:5] != tokens[5:10]


def test_resuming_continues_the_same_stream():
    whole, later = first(6), list(islice(loading.training_batches(CONFIG, first_batch=3), 3))
    for a, b in zip(whole[3:], later, strict=True):
        assert a.tokens == b.tokens and torch.equal(a.images, b.images)


def test_an_augmentation_is_drawn_anew_in_every_epoch():
    batches = first(5)
    seen = {}
    for batch in batches:
        for token, images in zip(batch.tokens, batch.images, strict=True):
            seen.setdefault(token, []).append(images)
    twice = [images for images in seen.values() if len(images) == 2]
    assert twice and all(not torch.equal(*images) for images in twice)


def test_loader_processes_change_nothing():
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((900, 1600, 3), np.uint8), (31, 31), 5)  # OpenCV's threads run before the fork
    alone = first(4)
    config = replace(CONFIG, data=replace(CONFIG.data, workers=2))
    helped = list(islice(loading.training_batches(config), 4))
    for a, b in zip(alone, helped, strict=True):
        assert a.tokens == b.tokens and torch.equal(a.images, b.images) and torch.equal(a.semantic, b.semantic)


def test_two_ranks_share_what_one_would_read():
    config = replace(CONFIG, batch_size=1)
    ranks = [list(islice(loading.training_batches(config, rank=r, world_size=2), 3)) for r in (0, 1)]
    alone = first(3)
    for one, a, b in zip(alone, *ranks, strict=True):
        assert one.tokens == a.tokens + b.tokens


MIXED = replace(CONFIG, data=replace(CONFIG.data, unlabelled="drives", unlabelled_share=0.4))


def test_frames_without_labels_come_by_their_share_and_show_none():
    batches = list(islice(loading.training_batches(MIXED), 100))
    tokens = [token for batch in batches for token in batch.tokens]
    drives = [token.startswith("drive") for token in tokens]
    assert 0.3 < np.mean(drives) < 0.5 and len({t for t in tokens if t.startswith("drive")}) == 5
    for batch in batches:
        known = [not token.startswith("drive") for token in batch.tokens]
        assert (batch.labelled is None) if all(known) else (batch.labelled.tolist() == known)
        for sees, lines, drawn in zip(known, batch.elements, batch.semantic, strict=True):
            assert sees == bool(lines) == bool(drawn[1:].any())


def test_mixed_batches_are_the_same_after_a_resume_and_for_any_number_of_processes():
    whole, later = (list(islice(loading.training_batches(MIXED, first_batch=k), 8 - k)) for k in (0, 3))
    assert [b.tokens for b in whole[3:]] == [b.tokens for b in later]
    ranks = [list(islice(loading.training_batches(replace(MIXED, batch_size=1), 0, r, 2), 8)) for r in (0, 1)]
    assert [b.tokens for b in whole] == [a.tokens + b.tokens for a, b in zip(*ranks, strict=True)]


def test_a_share_that_leaves_one_source_out_is_refused():
    with pytest.raises(ValueError, match="unlabelled_share is 1"):
        DataConfig(unlabelled="drives", unlabelled_share=1)


def test_validation_shows_every_frame_once_unchanged():
    seen = [t for batch in loading.validation_batches(CONFIG) for t in batch.tokens]
    assert seen == [f"toy{i}" for i in range(5)]
    halves = [[t for b in loading.validation_batches(CONFIG, r, 2) for t in b.tokens] for r in (0, 1)]
    assert sorted(halves[0] + halves[1]) == seen and not set(halves[0]) & set(halves[1])


def test_names_that_are_not_understood(monkeypatch):
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError, match="simdrive-v1:SPLIT"):
        loading.open_samples("kitti", CONFIG)


class Failing(ToySamples):
    """Samples whose process is killed, as the system does where shared memory or memory is full, or never answers."""

    def __init__(self, how):
        super().__init__(5)
        self.how = how

    def __getitem__(self, index):
        if torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL) if self.how == "killed" else time.sleep(60)
        return super().__getitem__(index)


@pytest.mark.parametrize("kind", ["training_batches", "validation_batches"])
@pytest.mark.parametrize("how", ["killed", "silent"])
def test_loader_processes_that_hand_nothing_over_are_told_with_the_remedy(monkeypatch, how, kind):
    monkeypatch.setattr(loading, "open_samples", lambda *_, **__: Failing(how))
    monkeypatch.setattr(loading, "LONGEST_WAIT_S", 1 if how == "silent" else 60)
    config = replace(CONFIG, data=replace(CONFIG.data, workers=1))
    with pytest.raises(OSError, match=r"gave no batch \(DataLoader .*df -h /dev/shm.*--data\.workers 0"):
        next(getattr(loading, kind)(config))


class Stream(torch.utils.data.IterableDataset):
    """In the place of a streamed cache: numbered samples, and what it was asked for."""

    def __init__(self, place, options, seed, rank, world, batch_size, start_batch):
        self.asked = (place, seed, rank, world, batch_size, start_batch)
        Stream.made, self.options = self, options

    def __iter__(self):
        return iter((number, ToySamples(5)[number % 5]) for number in range(100))


def test_a_streamed_cache_is_read_by_place_seed_and_share_and_changed_by_number(monkeypatch):
    monkeypatch.setattr(loading, "StreamedSamples", Stream)
    config = replace(CONFIG, seed=3, data=replace(CONFIG.data, train="cache:https://example.org/train"))
    batches = list(islice(loading.training_batches(config, 4, rank=1, world_size=2), 3))
    assert Stream.made.asked == ("https://example.org/train", 3, 1, 2, 2, 4)
    assert Stream.made.options.grid == CONFIG.grid and Stream.made.options.labels
    assert [batch.tokens for batch in batches] == [[f"toy{k}", f"toy{k + 1}"] for k in (0, 2)] + [["toy4", "toy0"]]
    again = next(loading.training_batches(config))
    other = next(loading.training_batches(replace(config, seed=4)))
    assert torch.equal(batches[0].images, again.images) and not torch.equal(batches[0].images, other.images)
    assert not torch.equal(batches[0].images[0], batches[2].images[1]), "the same frame under another number"


@pytest.mark.parametrize("more", [{"unlabelled": "drives"}, {"streets": ("images",)}])
def test_a_streamed_cache_stands_alone(more):
    data = replace(CONFIG.data, train="cache:https://example.org/train", **more)
    with pytest.raises(ValueError, match=r"is streamed; with data\.unlabelled, data\.streets or data\.window it must"):
        loading.training_batches(replace(CONFIG, data=data))


def test_loading_takes_no_random_numbers_from_the_networks():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first(2)
    list(loading.validation_batches(CONFIG))
    assert torch.equal(torch.get_rng_state(), before)
