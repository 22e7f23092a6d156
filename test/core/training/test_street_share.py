"""What real images add to a sample: how often, and what excludes what."""
from dataclasses import replace

import numpy as np
import pytest
from toy import ToySamples

from mapkd_core.config import AugmentConfig, DataConfig, TrainConfig
from mapkd_core.grid import BevGrid
from mapkd_core.training import street_share
from mapkd_core.training.street_share import StreetShare

GRID = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3)


class Streets:
    """In the place of a folder of images."""

    def __init__(self, *given):
        self.given = given

    def draw(self, count, rng):
        return count

    def style(self, rng):
        return "a style"


@pytest.fixture
def seen(monkeypatch):
    """The shares of styles, and how many collages were made."""
    shares, collages = [], []
    monkeypatch.setattr(street_share, "line_views", lambda sample: "lines")
    monkeypatch.setattr(street_share, "with_style", lambda images, style, share: shares.append(share) or images + 1)
    monkeypatch.setattr(
        street_share, "collage", lambda sample, images, grid, rng: collages.append(grid) or replace(sample, token="c")
    )
    return shares, collages


def added(samples=400, **options):
    share = StreetShare(Streets(), **{"count": 2, "style": 0.0, **options})
    rng, sample = np.random.default_rng(0), ToySamples()[0]
    return sample, [share.added(sample, rng) for _ in range(samples)]


def test_half_of_the_samples_get_a_style_of_up_to_the_share(seen):
    sample, found = added(style=0.6)
    styled = [not np.array_equal(one.images, sample.images) for one in found]
    assert 0.4 < np.mean(styled) < 0.6 and sum(styled) == len(seen[0])
    assert 0 <= min(seen[0]) < 0.05 and 0.55 < max(seen[0]) <= 0.6
    assert {one.line_views for one in found} == {"lines"} and {one.streets for one in found} == {2}


def test_without_a_style_images_stay_and_without_a_count_no_real_image_comes(seen):
    sample, found = added(20, count=0)
    assert seen == ([], []) and all(one.streets is None and one.line_views == "lines" for one in found)
    assert all(np.array_equal(one.images, sample.images) for one in found)


def test_collages_come_by_their_share_and_keep_their_own_images_and_lines(seen):
    _, found = added(style=1.0, collages=0.25, grid=GRID)
    made = [one for one in found if one.token == "c"]
    assert 0.19 < len(made) / 400 < 0.31 and set(seen[1]) == {GRID}
    assert all(one.line_views is None and one.streets == 2 for one in made)
    assert 0.4 < len(seen[0]) / (400 - len(made)) < 0.6


def test_what_a_config_says(monkeypatch):
    monkeypatch.setattr(street_share, "StreetImages", Streets)
    data = DataConfig(streets=("a", "b"), street_masks="m", image_size=(88, 32), streets_a_sample=3, collage_share=0.2)
    config = TrainConfig(data=data, grid=GRID, augment=AugmentConfig(photometric=0.4, style=0.7))
    share = StreetShare.of(config)
    assert share.images.given == (("a", "b"), "m", (88, 32), 0.4)
    assert (share.count, share.style, share.collages, share.grid) == (3, 0.7, 0.2, GRID)
    assert StreetShare.of(TrainConfig()) is None and StreetShare(Streets(), 1, 0.0).grid == BevGrid()
