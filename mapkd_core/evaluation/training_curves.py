"""Training curves: scalars from TensorBoard logs, drawn as inline SVG; and the logs' images."""
from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Curve = tuple[Sequence[float], Sequence[float]]
"""Steps and values."""

_WIDTH, _HEIGHT = 460, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 30
_COLORS = ("#5aa9ff", "#ffa62b", "#16c79a", "#e86af0", "#f25f5c", "#cfd2dc")
_MOST_POINTS = 400


def read_curves(folder: Path) -> dict[str, Curve]:
    """All scalars of the TensorBoard logs below `folder`, by tag and step; what a resumed run logged again counts.

    Raises FileNotFoundError if there is no log.
    """
    values: dict[str, dict[int, tuple[float, float]]] = {}
    for log in _logs(folder, "scalars"):
        for tag in log.Tags()["scalars"]:
            known = values.setdefault(tag, {})
            for event in log.Scalars(tag):
                if event.step not in known or event.wall_time >= known[event.step][0]:
                    known[event.step] = (event.wall_time, event.value)
    return {
        tag: (sorted(points), [points[step][1] for step in sorted(points)]) for tag, points in sorted(values.items())
    }


def read_images(folder: Path, tag: str) -> dict[int, bytes]:
    """The encoded images of a tag by step, the newest of a step. Raises FileNotFoundError if there is no log."""
    found: dict[int, tuple[float, bytes]] = {}
    for log in _logs(folder, "images"):
        for event in log.Images(tag) if tag in log.Tags()["images"] else ():
            if event.step not in found or event.wall_time >= found[event.step][0]:
                found[event.step] = (event.wall_time, event.encoded_image_string)
    return {step: found[step][1] for step in sorted(found)}


def _logs(folder: Path, kind: str) -> Iterator[Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folders = sorted({path.parent for path in folder.rglob("events.out.tfevents.*")})
    if not folders:
        raise FileNotFoundError(f"no TensorBoard log below {folder}; expected the folder of a training run")
    for place in folders:
        log = EventAccumulator(str(place), size_guidance={kind: 0})  # 0: keep all
        log.Reload()
        yield log


def grouped(curves: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """One chart for all `val/...` curves, one each for the others; validation first."""
    charts: dict[str, dict[str, Curve]] = {}
    for tag, curve in curves.items():
        chart = "validation" if tag.startswith("val/") else tag
        charts.setdefault(chart, {})[tag.removeprefix("val/")] = curve
    return dict(sorted(charts.items(), key=lambda item: (item[0] != "validation", item[0])))


def chart(title: str, curves: Mapping[str, Curve]) -> str:
    """One chart as SVG, values over steps; noisy curves are drawn faint with their running mean on top."""
    points = {name: _finite(curve) for name, curve in curves.items()}
    points = {name: p for name, p in points.items() if len(p)}
    if not points:
        return f"<figure><figcaption>{html.escape(title)}: no finite value</figcaption></figure>"
    every = np.concatenate(list(points.values()))
    (x0, y0), (x1, y1) = every.min(0), every.max(0)
    y0, y1 = (y0 - 0.5, y1 + 0.5) if y0 == y1 else (y0, y1)
    span = np.array([max(x1 - x0, 1e-9), y1 - y0])
    inner = np.array([_WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM])

    def placed(p: np.ndarray) -> np.ndarray:
        share = (p - [x0, y0]) / span
        return np.stack([_LEFT + share[:, 0] * inner[0], _TOP + (1 - share[:, 1]) * inner[1]], 1)

    parts = [_axis_marks(x0, x1, y0, y1)]
    for number, (name, p) in enumerate(points.items()):
        color = _COLORS[number % len(_COLORS)]
        label = html.escape(f"{name}: last {p[-1, 1]:.4g}")
        smooth = _running_mean(p) if len(p) > 60 else None
        opacity = 0.3 if smooth is not None else 1
        parts.append(_line(placed(_thinned(p)), color, opacity, label))
        if smooth is not None:
            parts.append(_line(placed(_thinned(smooth)), color, 1, label))
        if len(p) == 1:
            x, y = placed(p)[0]
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>')
        if len(points) > 1:
            parts.append(
                f'<text x="{_WIDTH - _RIGHT - 4}" y="{_TOP + 14 + 15 * number}" text-anchor="end" fill="{color}">'
                f"{html.escape(name)}</text>"
            )
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'
    return f"<figure>{svg}<figcaption>{html.escape(title)}</figcaption></figure>"


def _finite(curve: Curve) -> np.ndarray:
    points = np.stack([np.asarray(curve[0], float), np.asarray(curve[1], float)], 1)
    return np.asarray(points[np.isfinite(points).all(1)])


def _thinned(points: np.ndarray) -> np.ndarray:
    keep = np.unique(np.linspace(0, len(points) - 1, min(len(points), _MOST_POINTS)).round().astype(int))
    return np.asarray(points[keep])


def _running_mean(points: np.ndarray) -> np.ndarray:
    width = max(len(points) // 30, 3)
    sums = np.cumsum(np.concatenate([[0.0], points[:, 1]]))
    ends = np.arange(1, len(points) + 1)
    starts = np.maximum(ends - width, 0)
    return np.stack([points[:, 0], (sums[ends] - sums[starts]) / (ends - starts)], 1)


def _line(points: np.ndarray, color: str, opacity: float, label: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.6" opacity="{opacity}">'
        f"<title>{label}</title></polyline>"
    )


def _axis_marks(x0: float, x1: float, y0: float, y1: float) -> str:
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)
        x = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        anchor = {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#333843"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{y0 + share * (y1 - y0):.3g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 10}" text-anchor="{anchor}">{x0 + share * (x1 - x0):.0f}</text>')
    return "".join(parts)
