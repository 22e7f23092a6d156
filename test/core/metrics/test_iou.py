import numpy as np
import pytest
import torch
from reference_frames import reference

from mapkd_core.metrics.iou import IouMeter


def random_frames(count, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, 4, 30, 40)).astype(np.float32)
    return logits, rng.uniform(size=(count, 4, 30, 40)) < 0.3


def test_by_hand():
    logits = np.zeros((4, 1, 4))
    logits[[0, 1, 1, 2], 0, range(4)] = 1  # predicted: background, divider, divider, crossing
    truth = np.zeros((4, 1, 4), bool)
    truth[[0, 0, 1, 1], 0, range(4)] = True
    meter = IouMeter()
    meter.update(logits, truth)
    assert meter.background == pytest.approx(1 / 2)
    result = meter.result()
    assert result["divider"] == pytest.approx(1 / 3) and result["ped_crossing"] == 0 and result["boundary"] == 0
    assert result["miou"] == pytest.approx(1 / 9)


def test_equals_the_executable_definition():
    protocols = reference("protocols")
    logits, truth = random_frames(5)
    meter = IouMeter()
    meter.update(logits, truth)
    expected = protocols.iou(list(logits), list(truth))
    assert meter.background == pytest.approx(expected[0], rel=1e-12)
    assert list(meter.result().values()) == pytest.approx([expected[1:].mean(), *expected[1:]], rel=1e-12)


def test_sums_are_over_the_dataset_in_any_split():
    logits, truth = random_frames(6)
    whole, parts = IouMeter(), [IouMeter(), IouMeter()]
    whole.update(logits, truth)
    for k in range(6):
        parts[k % 2].update(logits[k], truth[k])
    parts[0].merge(parts[1])
    assert parts[0].result() == whole.result()
    assert whole.result()["miou"] != pytest.approx(
        np.mean([_alone(logit, true)["miou"] for logit, true in zip(logits, truth, strict=True)]), abs=1e-6
    )


def _alone(logits, truth):
    meter = IouMeter()
    meter.update(logits, truth)
    return meter.result()


def test_torch_and_numpy_agree():
    logits, truth = random_frames(3)
    meter = IouMeter()
    meter.update(torch.from_numpy(logits), torch.from_numpy(truth).float())
    whole = IouMeter()
    whole.update(logits, truth)
    assert meter.result() == whole.result()


def test_unknown_classes_and_cells_outside_are_not_counted():
    predicted, truth = np.ones((2, 2), np.uint8), np.zeros((4, 2, 2), bool)
    truth[1, :, 0] = True
    meter = IouMeter()
    meter.update_classes(predicted, truth, within=np.array([[True, False], [True, False]]))
    assert meter.result()["divider"] == pytest.approx(1)
    meter = IouMeter()
    meter.update_classes(predicted, truth, known=("boundary",))
    assert meter.union[1] == 0


def test_some_cells_and_classes_of_several_frames_cell_by_cell():
    rng = np.random.default_rng(2)
    predicted, truth = rng.integers(0, 4, (3, 6, 7)), rng.uniform(size=(3, 4, 6, 7)) < 0.4
    within = rng.uniform(size=(6, 7)) < 0.5
    meter = IouMeter()
    meter.update_classes(predicted, truth, within, known=("divider", "boundary"))
    both, either = np.zeros(4, int), np.zeros(4, int)
    for frame, row, col in np.ndindex(3, 6, 7):
        for channel in (0, 1, 3) if within[row, col] else ():
            ours, theirs = predicted[frame, row, col] == channel, truth[frame, channel, row, col]
            both[channel] += ours and theirs
            either[channel] += ours or theirs
    assert meter.intersection.tolist() == both.tolist() and meter.union.tolist() == either.tolist()
    assert meter.union[2] == 0 and (meter.intersection[[0, 1, 3]] > 0).all()


def test_sums_over_ranks():
    class TwoEqualRanks:
        device = "cpu"

        def all_reduce(self, tensor, reduce_op):
            assert reduce_op == "sum"
            return tensor * 2

    logits, truth = random_frames(1)
    meter = IouMeter()
    meter.update(logits, truth)
    union = meter.union.copy()
    meter.reduce(TwoEqualRanks())
    np.testing.assert_array_equal(meter.union, 2 * union)
    meter.update(logits, truth)
    np.testing.assert_array_equal(meter.union, 3 * union)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected"):
        IouMeter().update_classes(np.zeros((3, 4)), np.zeros((4, 4, 4)))
