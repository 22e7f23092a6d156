from dataclasses import replace

import numpy as np
import pytest
import torch
from invented_frames import TOWN, frame

from mapkd_core.data.dataset import Collate
from mapkd_core.data.frame_sample import SampleOptions, sample_from_frame
from mapkd_core.data.images import normalise
from mapkd_core.data.labels import map_elements, resample_1m
from mapkd_core.data.raster import rasterize
from mapkd_core.data.sample import SeenMap
from mapkd_core.grid import GRID_60X30, GRID_60X30_COARSE

OPTIONS = SampleOptions(GRID_60X30, (160, 64), lidar=True, sd_map=True)


@pytest.fixture(scope="module")
def samples():
    return [sample_from_frame(frame(k), OPTIONS) for k in range(2)]


def test_a_batch_holds_what_the_samples_held(samples):
    batch = Collate(GRID_60X30, lidar_points=60)(samples)
    assert batch.tokens == ["token-0", "token-1"]
    assert batch.images.shape == (2, 6, 3, 64, 160) and batch.images.dtype == torch.float32
    np.testing.assert_array_equal(batch.images[1], normalise(list(samples[1].images)))
    np.testing.assert_allclose(batch.intrinsics[1], samples[1].intrinsics, rtol=1e-6)
    assert batch.base_from_camera.shape == (2, 6, 4, 4)
    assert batch.lidar.shape == (2, 60, 5) and batch.lidar_mask.sum(1).tolist() == [50, 51]
    assert batch.sd_map.shape == (2, 1, 200, 400) and set(batch.sd_map.unique().tolist()) == {-1, 1}


def test_a_batch_tells_which_cameras_are_missing(samples):
    assert Collate(GRID_60X30)(samples).alive is None
    alive = Collate(GRID_60X30)([samples[0], replace(samples[1], lost=(4,))]).alive
    assert alive.tolist() == [[True] * 6, [True] * 4 + [False, True]]


def test_labels_that_were_seen_lie_over_those_that_were_drawn(samples):
    drawn = Collate(GRID_60X30)(samples)
    semantic, known = np.zeros((4, 200, 400), np.uint8), np.zeros((200, 400), bool)
    semantic[0], known[:50] = 1, True
    batch = Collate(GRID_60X30)([samples[0], replace(samples[1], seen=SeenMap(semantic, known))])
    assert drawn.known_cells is None and batch.known_cells[0].all()
    np.testing.assert_array_equal(batch.known_cells[1], known)
    np.testing.assert_array_equal(batch.semantic[0], drawn.semantic[0])
    np.testing.assert_array_equal(batch.semantic[1], semantic)


def test_labels_are_those_of_the_map(samples):
    for hdmapnet in (False, True):
        batch = Collate(GRID_60X30, hdmapnet_vertices=hdmapnet)(samples)
        for k in range(2):
            elements = map_elements(TOWN, frame(k).map_from_base, GRID_60X30)
            expected = rasterize(resample_1m(elements) if hdmapnet else elements, GRID_60X30)
            np.testing.assert_array_equal(batch.semantic[k], expected.semantic)
            np.testing.assert_array_equal(batch.instance[k], expected.instance)
            np.testing.assert_array_equal(batch.direction[k], expected.direction)
    assert batch.semantic.dtype == batch.direction.dtype == torch.uint8 and batch.instance.dtype == torch.int16


def test_the_grid_is_free(samples):
    batch = Collate(GRID_60X30_COARSE)(samples)
    assert batch.semantic.shape == (2, 4, 100, 200) and batch.sd_map.shape == (2, 1, 100, 200)


def test_parts_nobody_asked_for_are_none():
    bare = [sample_from_frame(frame(0, None, lidar=False), SampleOptions(GRID_60X30, (160, 64), labels=False))]
    batch = Collate(GRID_60X30, labels=False)(bare)
    assert all(getattr(batch, name) is None for name in ("lidar", "lidar_mask", "sd_map", "semantic", "instance"))


def test_mixed_batches_are_refused(samples):
    with pytest.raises(ValueError, match="1 of 2 samples of a batch have LiDAR"):
        Collate(GRID_60X30)([samples[0], replace(samples[1], lidar=None)])
    with pytest.raises(ValueError, match="differ in shape"):
        Collate(GRID_60X30)([samples[0], replace(samples[1], images=samples[1].images[:, :32])])
