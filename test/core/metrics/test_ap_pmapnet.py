import numpy as np
import pytest
from reference_frames import reference_frames, shipped

from mapkd_core.grid import BevGrid
from mapkd_core.metrics.ap_pmapnet import ap_pmapnet, pmapnet_definition
from mapkd_core.types import MapElement

GRID = BevGrid()


def line(points, score=1.0):
    return MapElement("divider", np.array(points, float), score)


def test_compatible_form_equals_the_published_evaluator_on_the_shipped_frames():
    predictions, truths, thresholds, expected = shipped()
    np.testing.assert_allclose(
        ap_pmapnet(predictions, truths, GRID, thresholds).ap, expected["ap_pmapnet"], atol=1.01e-7
    )


@pytest.mark.slow
def test_compatible_form_equals_the_printed_values_of_the_reference():
    predictions, truths, golden = reference_frames(200)
    table = golden["ap_pmapnet one-way, IoU gate 0.1 [class][threshold]"]["0.5/1.0/1.5"]
    np.testing.assert_allclose(ap_pmapnet(predictions, truths, GRID).ap, table, atol=1.5e-7)


def test_short_piece_of_a_line_is_near_but_overlaps_too_little():
    truth = [line([(-29, 0), (29, 0)])]
    short = [line([(0, 0), (4, 0)])]  # distance 0 one way, 7 % of the pixels
    half = [line([(-29, 0), (0, 0)])]
    for corrected in (False, True):
        assert ap_pmapnet([short], [truth], GRID, corrected=corrected).mean == 0
        assert ap_pmapnet([half], [truth], GRID, corrected=corrected).mean == 1


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize(("length_m", "counts"), [(4.6, 0), (6.2, 1)])
def test_a_tenth_of_the_pixels_in_common_is_enough(length_m, counts, corrected):
    """The pen makes both lines 0.75 m longer: 9.1 and 11.8 % of 58.75 m."""
    piece = [line([(0, 0), (length_m, 0)])]
    assert ap_pmapnet([piece], [[line([(-29, 0), (29, 0)])]], GRID, corrected=corrected).mean == counts


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize(("shared", "allowed"), [(4, True), (3, True), (2, False)])
def test_the_pixels_in_common_are_a_share_of_all_that_either_has(shared, allowed, corrected):
    """Of 20 and 13 pixels three are a tenth of the thirty that are in either; of twice counted ones they would not."""
    drawn, wanted = np.zeros((2, 1, 40), np.uint8)
    drawn[0, :20], wanted[0, 20 - shared : 33 - shared] = 1, 1
    found, true = ({1: np.flatnonzero(canvas)} for canvas in (drawn, wanted))
    overlap = pmapnet_definition(GRID, corrected=corrected)._overlap_allowed(drawn, wanted, found, true)
    assert overlap.tolist() == [[allowed]]


def test_pair_without_overlap_is_struck_out_all_the_same():
    # The short piece is nearest and fails the overlap; with it goes the truth that the second prediction would match.
    truth = [line([(-29, 0), (29, 0)])]
    found = [line([(0, 0), (4, 0)], 0.9), line([(-29, 0.4), (29, 0.4)], 0.8)]
    assert ap_pmapnet([found[1:]], [truth], GRID).mean == 1
    assert ap_pmapnet([found], [truth], GRID).mean == 0
