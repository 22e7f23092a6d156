"""Training curves: scalars from TensorBoard logs, drawn as SVG; and the logs' images."""
from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.evaluation.page import Chart
from mapkd_core.schema import FileFault, read_bytes

Curve = tuple[Sequence[float], Sequence[float]]
"""Steps and values."""

_SIZE_INCHES = (4.6, 2.4)
_TEXT = "#9aa0ad"
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
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        _check_log(path)
    for place in folders:
        log = EventAccumulator(str(place), size_guidance={kind: 0})  # 0: keep all
        log.Reload()
        yield log


def _check_log(path: Path) -> None:
    """Raises FileFault for a log with a changed byte, at which TensorBoard's reader ends in silence.

    A log that is cut off is that of a run that was killed: what it holds is shown.
    """
    from tensorboard.summary.writer.record_writer import masked_crc32c

    data, at = read_bytes(path, "a TensorBoard log"), 0
    while at + 12 <= len(data):
        length, checksum = struct.unpack_from("<QI", data, at)
        begin, end = at + 12, at + 12 + length
        whole = masked_crc32c(data[at : at + 8]) == checksum
        if whole and end + 4 > len(data):
            return
        if not whole or struct.pack("<I", masked_crc32c(data[begin:end])) != data[end : end + 4]:
            raise FileFault(f"{path} is damaged: its record at byte {at} does not fit its checksum; delete it")
        at = end + 4


def grouped(curves: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """One chart for all `val/...` curves, one each for the others; validation first."""
    charts: dict[str, dict[str, Curve]] = {}
    for tag, curve in curves.items():
        chart = "validation" if tag.startswith("val/") else tag
        charts.setdefault(chart, {})[tag.removeprefix("val/")] = curve
    return dict(sorted(charts.items(), key=lambda item: (item[0] != "validation", item[0])))


def chart(title: str, curves: Mapping[str, Curve]) -> Chart:
    """Values over steps as SVG; noisy curves are drawn faint with their running mean on top."""
    points = {_printable(name): _finite(curve) for name, curve in curves.items()}
    points = {name: p for name, p in points.items() if len(p)}
    if not points:
        return Chart("", f"{title}: no finite value")
    from matplotlib import style
    from matplotlib.figure import Figure

    # Text stays text, and names inside a chart do not meet those of the page's other charts. Matplotlib's own defaults
    # come first: other packages (the nuScenes devkit is one) change them for the whole process when they are imported.
    own: Any = {"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 8, "text.parse_math": False}
    with style.context(["default", own]):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained", facecolor="none")
        axes = figure.add_subplot(facecolor="none")
        axes.grid(axis="y", color="#333843")
        axes.spines[:].set_visible(False)
        axes.tick_params(colors=_TEXT, length=0)
        for name, p in points.items():
            color = _COLORS[len(axes.get_legend_handles_labels()[1]) % len(_COLORS)]
            smooth = _running_mean(p) if len(p) > 60 else None
            if smooth is not None:
                axes.plot(*_thinned(p).T, color=color, alpha=0.3, linewidth=1.2)
            shown = _thinned(p if smooth is None else smooth)
            axes.plot(*shown.T, color=color, linewidth=1.2, marker="o" if len(p) == 1 else "", label=name)
        if len(points) > 1:
            axes.legend(frameon=False, labelcolor="linecolor")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    last = {name: f"{p[-1, 1]:.4g}" for name, p in points.items()}
    said = ", ".join(f"{name} {value}" for name, value in last.items()) if len(last) > 1 else next(iter(last.values()))
    return Chart(svg[svg.index("<svg") :], f"{title}: last {said}")


def _printable(name: str) -> str:
    """A tag as a legend can show it."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:60]


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
