"""Reference lines of OpenDRIVE: every shape against its definition, integrated step by step."""
from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest

from mapkd_core.map_formats.opendrive_plan import Plan, plan_of, polynomial
from mapkd_core.schema import FileFault

X, Y, HEADING = 3.0, -2.0, 0.7
AT = np.linspace(0.0, 40.0, 9)


def plan(shape: str, more: str = "", elevation: str = "", length: float = 40.0) -> Plan:
    geometry = f'<geometry s="0" x="{X}" y="{Y}" hdg="{HEADING}" length="40">{shape}</geometry>{more}'
    profile = f"<elevationProfile>{elevation}</elevationProfile>"
    text = f'<road length="{length}"><planView>{geometry}</planView>{profile}</road>'
    return plan_of(ElementTree.fromstring(text), "a.xodr: road 1")


def integrated(heading: Callable[[np.ndarray], np.ndarray], until: float) -> np.ndarray:
    """Where one comes to who goes by headings, in many small steps."""
    s = (np.arange(100_000) + 0.5) * until / 100_000
    return np.array([np.cos(heading(s)).mean(), np.sin(heading(s)).mean()]) * until


def placed(uv: np.ndarray) -> np.ndarray:
    """From the frame of the piece's begin into the road's."""
    c, s = np.cos(HEADING), np.sin(HEADING)
    return np.array([X, Y]) + uv @ np.array([[c, s], [-s, c]])


@pytest.mark.parametrize(("shape", "heading"), [
    ("<line/>", lambda s: 0 * s),
    ('<arc curvature="-0.03"/>', lambda s: -0.03 * s),
    ('<spiral curvStart="0.02" curvEnd="-0.06"/>', lambda s: 0.02 * s - 0.08 / 40 * s * s / 2),
])  # fmt: skip
def test_what_is_told_by_curvature_bends_so(shape: str, heading: Callable[[np.ndarray], np.ndarray]) -> None:
    road = plan(shape)
    expected = placed(np.array([integrated(heading, s) for s in AT]))
    assert road.points(AT, 0 * AT)[:, :2] == pytest.approx(expected, abs=1e-5)
    assert [road.heading(s) for s in AT] == pytest.approx(HEADING + heading(AT))


Curve = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@pytest.mark.parametrize(("shape", "curve", "ends"), [
    ('<poly3 a="1" b="0.2" c="-0.01" d="0.0003"/>', lambda p: (p, 1 + 0.2 * p - 0.01 * p**2 + 0.0003 * p**3), False),
    ('<paramPoly3 aU="1" bU="30" cU="8" dU="-2" aV="-1" bV="3" cV="9" dV="-4" pRange="normalized"/>',
     lambda p: (1 + 30 * p / 40 + 8 * (p / 40) ** 2 - 2 * (p / 40) ** 3,
                -1 + 3 * p / 40 + 9 * (p / 40) ** 2 - 4 * (p / 40) ** 3), True),
    ('<paramPoly3 aU="0" bU="1" cU="0" dU="-0.0001" aV="0" bV="0.1" cV="0.01" dV="0" pRange="arcLength"/>',
     lambda p: (p - 0.0001 * p**3, 0.1 * p + 0.01 * p**2), True),
])  # fmt: skip
def test_cubics_run_and_head_as_they_say(shape: str, curve: Curve, ends: bool) -> None:
    """By the distance along them, of which the end is where the parameter ends."""
    road, step, fine = plan(shape), 1e-4, np.linspace(0, 60, 600_001)
    so_far = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve(fine))))])
    p = np.interp(AT * (np.interp(40, fine, so_far) / 40 if ends else 1.0), so_far, fine)
    inner = AT[1:-1] if ends else AT[1:-2]
    p = p[: len(inner) + 1]
    at = AT[: len(p)]
    assert road.points(at, 0 * at)[:, :2] == pytest.approx(placed(np.stack(curve(p), 1)), abs=2e-3)
    u, v = (np.stack(curve(p[1:] + step)) - np.stack(curve(p[1:] - step))) / (2 * step)
    way = HEADING + np.arctan2(v, u)
    assert [road.heading(s) for s in inner] == pytest.approx(way, abs=1e-3)
    left = road.points(inner, np.full(len(inner), 2.0))[:, :2] - road.points(inner, 0 * inner)[:, :2]
    assert left == pytest.approx(2 * np.stack([-np.sin(way), np.cos(way)], 1), abs=2e-3)


def test_pieces_and_heights_begin_at_their_stations() -> None:
    more = '<geometry s="40" x="100" y="50" hdg="0" length="20"><arc curvature="0.05"/></geometry>'
    heights = '<elevation s="0" a="2" b="0.1" c="0" d="0"/><elevation s="30" a="5" b="0" c="0.01" d="-0.001"/>'
    road = plan("<line/>", more, heights, 60.0)
    assert road.points(np.array([40.0, 50.0]), np.zeros(2))[:, :2] == pytest.approx(
        np.array([[100, 50], [100 + 20 * np.sin(0.5), 50 + 20 * (1 - np.cos(0.5))]])
    )
    s = np.array([0.0, 10, 29, 30, 40, 60])
    up = np.where(s < 30, 2 + 0.1 * s, 5 + 0.01 * (s - 30) ** 2 - 0.001 * (s - 30) ** 3)
    assert road.points(s, 0 * s)[:, 2] == pytest.approx(up)
    assert polynomial((), s, "s", "nowhere").tolist() == [0] * 6


def test_a_road_of_no_length_is_refused() -> None:
    with pytest.raises(FileFault, match=r"a\.xodr: road 1 is -1 m long; expected 0 to 100000"):
        plan("<line/>", length=-1.0)
