import numpy as np
import torch

from mapkd_core.draw import CLASS_COLORS
from mapkd_core.grid import BevGrid
from mapkd_core.training.validation_images import TAG, ValidationImages
from mapkd_core.types import Batch, MapElement
from mapkd_core.vector_elements import LEAST_SCORE

GRID = BevGrid((-15.0, 15.0), (-7.5, 7.5), 0.3)
LINE = MapElement("divider", np.array([(-12.0, 1.0), (12.0, 1.0)], np.float32))


def seen(images, frames, logits=None):
    unused = torch.zeros(frames, 1, 1, 1)
    logits = torch.zeros(frames, 4, *GRID.shape) if logits is None else logits
    images.see(Batch(unused, unused, unused, elements=[(LINE,)] * frames), logits)


class Log:
    def __init__(self):
        self.experiment, self.added = self, []

    def add_image(self, tag, image, step, dataformats):
        self.added.append((tag, image.shape, step, dataformats))


def test_the_first_frames_are_kept_prediction_beside_truth():
    images = ValidationImages(GRID, count=3)
    assert images.image() is None
    seen(images, 2)
    seen(images, 2)
    image = images.image()
    assert image.dtype == np.uint8 and image.shape[0] == 300 and image.shape[1] // 6 in range(150, 160)
    empty, truth = image[:, :150], image[:, 156:306]
    orange = np.array(CLASS_COLORS["divider"])
    assert (truth == orange).all(-1).sum() > 100 and not (empty == orange).all(-1).any()


def test_predicted_lines_are_drawn_and_nonsense_does_not_stop_a_run():
    logits = torch.zeros(1, 4, *GRID.shape)
    logits[:, 0] = 5
    row = int(GRID.cells_from_metres(LINE.points_m[:1])[0, 1])
    logits[:, 1, row - 2 : row + 3, 10:90] = 10
    drawn, blank = ValidationImages(GRID, 1), ValidationImages(GRID, 1)
    seen(drawn, 1, logits)
    seen(blank, 1, torch.full_like(logits, float("nan")))
    assert np.abs(drawn.image()[:, :150].astype(int) - blank.image()[:, :150]).max() > 100


def test_it_goes_to_the_log():
    log = Log()
    ValidationImages(GRID).write(log, 5)
    assert log.added == []
    images = ValidationImages(GRID, 1)
    seen(images, 1)
    images.write(log, 5)
    assert [(tag, step, form) for tag, _, step, form in log.added] == [(TAG, 5, "HWC")]


def test_of_elements_those_are_kept_that_a_vehicle_would_show():
    def scored(*scores):
        return [MapElement("divider", LINE.points_m, score) for score in scores]

    images = ValidationImages(GRID, 2)
    images.see_elements([scored(0.9, LEAST_SCORE, LEAST_SCORE - 0.01)], [[LINE]])
    images.see_elements([scored(0.8), scored(0.7)], [[], [LINE, LINE]])
    assert [[e.score for e in found] for _, found, _ in images._kept] == [[0.9, LEAST_SCORE], [0.8]]
    assert [len(truth) for _, _, truth in images._kept] == [1, 0]


def test_the_frames_that_are_kept_are_the_first_ones_as_probabilities():
    images = ValidationImages(GRID, 3)
    for values in ((1.0, 2.0), (3.0, 4.0)):
        logits = torch.zeros(2, 4, *GRID.shape)
        logits[:, 1] = torch.tensor(values)[:, None, None]
        seen(images, 2, logits)
    expected = [np.exp(v) / (np.exp(v) + 3) for v in (1.0, 2.0, 3.0)]
    np.testing.assert_allclose([kept[1, 0, 0] for kept, _, _ in images._kept], expected, rtol=1e-5)
    height, width, _ = images.image().shape  # the map of 30 x 15 m stands upright
    assert (height, width) == (300, 3 * (150 + 6 + 150 + 12)), "a narrow gap within a pair, a wide one between two"
