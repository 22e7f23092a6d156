import numpy as np
import torch

from mapkd_core.draw import CLASS_COLORS
from mapkd_core.grid import BevGrid
from mapkd_core.types import Batch, MapElement
from mapkd_core.validation_pictures import TAG, ValidationPictures

GRID = BevGrid((-15.0, 15.0), (-7.5, 7.5), 0.3)
LINE = MapElement("divider", np.array([(-12.0, 1.0), (12.0, 1.0)], np.float32))


def seen(pictures, frames, logits=None):
    unused = torch.zeros(frames, 1, 1, 1)
    logits = torch.zeros(frames, 4, *GRID.shape) if logits is None else logits
    pictures.see(Batch(unused, unused, unused, elements=[(LINE,)] * frames), logits)


class Log:
    def __init__(self):
        self.experiment, self.added = self, []

    def add_image(self, tag, picture, step, dataformats):
        self.added.append((tag, picture.shape, step, dataformats))


def test_the_first_frames_are_kept_prediction_beside_truth():
    pictures = ValidationPictures(GRID, count=3)
    assert pictures.picture() is None
    seen(pictures, 2)
    seen(pictures, 2)
    picture = pictures.picture()
    assert picture.dtype == np.uint8 and picture.shape[0] == 300 and picture.shape[1] // 6 in range(150, 160)
    empty, truth = picture[:, :150], picture[:, 156:306]
    orange = np.array(CLASS_COLORS["divider"])
    assert (truth == orange).all(-1).sum() > 100 and not (empty == orange).all(-1).any()


def test_predicted_lines_are_drawn_and_nonsense_does_not_stop_a_run():
    logits = torch.zeros(1, 4, *GRID.shape)
    logits[:, 0] = 5
    row = int(GRID.cells_from_metres(LINE.points_m[:1])[0, 1])
    logits[:, 1, row - 2 : row + 3, 10:90] = 10
    drawn, blank = ValidationPictures(GRID, 1), ValidationPictures(GRID, 1)
    seen(drawn, 1, logits)
    seen(blank, 1, torch.full_like(logits, float("nan")))
    assert np.abs(drawn.picture()[:, :150].astype(int) - blank.picture()[:, :150]).max() > 100


def test_it_goes_to_the_log():
    log = Log()
    ValidationPictures(GRID).write(log, 5)
    assert log.added == []
    pictures = ValidationPictures(GRID, 1)
    seen(pictures, 1)
    pictures.write(log, 5)
    assert [(tag, step, form) for tag, _, step, form in log.added] == [(TAG, 5, "HWC")]
