"""Equal reasons count together, whatever their figures."""
from __future__ import annotations

import pytest

from mapkd_core.figures import without_figures


@pytest.mark.parametrize(
    ("text", "kind"),
    [("+0.12 s from the nearest pose", "# s from the nearest pose"), ("poses 5.1 s apart", "poses # s apart"),
     ("x -3, y 1e-05", "x #, y #"), ("in the frame 'cam_1', not 'base2'", "in the frame 'cam_1', not 'base2'")],
)  # fmt: skip
def test_figures_go_and_names_stay(text: str, kind: str) -> None:
    assert without_figures(text) == kind
