import cv2
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from mapkd_core.distance import distance_cells


@pytest.fixture(params=[1, 2])
def opencv_threads(request):
    before = cv2.getNumThreads()
    cv2.setNumThreads(request.param)
    yield
    cv2.setNumThreads(before)


def free_cells(size: int) -> np.ndarray:
    free = np.ones((size, size), np.uint8)
    free[size // 2 - size // 20 : size // 2 + size // 20 + 1] = 0
    return free


@pytest.mark.parametrize("size", [7, 100, 640, 1280])
def test_distances_are_exact_with_any_number_of_threads(opencv_threads, size):
    free = free_cells(size)
    np.testing.assert_array_equal(distance_cells(free), distance_transform_edt(free).astype(np.float32))


def test_distances_do_not_depend_on_where_the_raster_lies(opencv_threads):
    free = free_cells(640)
    first = distance_cells(free)
    memory, kept = np.zeros(free.size + 64, np.uint8), []
    for offset in range(0, 64, 7):
        moved = memory[offset : offset + free.size].reshape(free.shape)
        moved[:] = free
        kept.append(distance_cells(moved))  # kept, so that the next lies elsewhere too
        np.testing.assert_array_equal(kept[-1], first)


def test_nothing_is_near_where_every_cell_is_free():
    assert np.isinf(distance_cells(np.ones((3, 4), np.uint8))).all()
