"""How rerun's viewer is laid out at first: the cameras around, the drive in space, the map from above, the curves."""
from __future__ import annotations

from collections.abc import Sequence

import rerun.blueprint as rrb

from mapkd_core.viewing.rerun_log import (
    BEV,
    DRIVE,
    ELEMENTS,
    FRAME,
    LATENCY,
    PATH,
    PREDICTED,
    TIME,
    TRUE,
    VEHICLE,
    entity_of,
)

_BACK = ("back", "rear")
"""Words in the name of a camera that looks behind."""
_BACKGROUND, _GRID = (22, 24, 29), (60, 64, 74)


def blueprint(cameras: Sequence[str], truth: bool) -> rrb.Blueprint:
    """The layout for these cameras; `truth` says whether there is a true map."""
    lines = [f"{PREDICTED}/**", *([f"{TRUE}/**"] if truth else [])]
    behind = [name for name in cameras if any(word in name.lower() for word in _BACK)]
    ahead = [name for name in cameras if name not in behind]
    rows = [
        rrb.Horizontal(
            *(
                rrb.Spatial2DView(
                    origin=entity_of(name), contents=["$origin/**", *lines], name=_title(name), background=_BACKGROUND
                )
                for name in sorted(row, key=_from_the_left)
            )
        )
        for row in (ahead, behind) if row
    ]  # fmt: skip
    space = rrb.Spatial3DView(
        origin=VEHICLE,  # what moves is the street, so that the eye stays with the vehicle
        contents=[f"{DRIVE}/**"],
        name="drive",
        background=_BACKGROUND,
        line_grid=rrb.LineGrid3D(visible=True, spacing=10.0, stroke_width=1.0, color=_GRID),
        eye_controls=rrb.EyeControls3D(
            kind=rrb.Eye3DKind.Orbital, position=(-26.0, 0.0, 19.0), look_target=(4.0, 0.0, 0.0), eye_up=(0.0, 0.0, 1.0)
        ),
        overrides={PATH: [rrb.VisibleTimeRanges([_whole_past(TIME), _whole_past(FRAME)])]},
    )
    above = [
        rrb.Spatial2DView(origin=f"{BEV}/{panel}", name=f"{panel}, from above", background=_BACKGROUND)
        for panel in ("predicted", *(("true",) if truth else ()))
    ]
    legend = rrb.PlotLegend(rrb.Corner2D.LeftTop)
    curves = rrb.Vertical(
        rrb.TimeSeriesView(origin=LATENCY, name="milliseconds by stage", plot_legend=legend),
        rrb.TimeSeriesView(origin=ELEMENTS, name="elements", plot_legend=legend),
    )
    middle = rrb.Horizontal(space, *above, curves, column_shares=[3.0, *(1.2 for _ in above), 1.8])
    parts = [*rows[:1], middle, *rows[1:]]
    return rrb.Blueprint(
        rrb.Vertical(*parts, row_shares=[2.6 if part is middle else 1.7 for part in parts]),
        rrb.BlueprintPanel(state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
        rrb.TimePanel(state="collapsed", timeline=TIME),
        auto_views=False,
    )


def _whole_past(timeline: str) -> rrb.VisibleTimeRange:
    """What came before stays in sight."""
    return rrb.VisibleTimeRange(
        timeline, start=rrb.TimeRangeBoundary.infinite(), end=rrb.TimeRangeBoundary.cursor_relative()
    )


def _title(camera: str) -> str:
    return camera.removeprefix("CAM_").replace("_", " ").lower()


def _from_the_left(camera: str) -> int:
    return ("right" in camera.lower()) - ("left" in camera.lower())
