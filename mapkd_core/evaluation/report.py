"""One self-contained HTML page about a trained model: card, scores, training curves, latency, images."""
from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mapkd_core.metrics.tables import percent
from mapkd_core.types import CLASSES

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;background:#15171c;color:#e1e4eb;margin:0 auto;max-width:1200px;padding:2em}
h1{margin:0}h2{border-bottom:1px solid #333843;padding-bottom:.2em;margin-top:2em}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .8em;text-align:right;border-bottom:1px solid #2a2e37}
td:first-child,th:first-child{text-align:left}td b{color:#16c79a}code{color:#9ecbff}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(360px,1fr));gap:1em}
figure{margin:0 0 1em}img,svg{max-width:100%;height:auto}figcaption{color:#9aa0ad;font-size:14px}
svg text{fill:#9aa0ad;font:11px system-ui}details{margin:.5em 0}.bar{background:#5aa9ff;height:1em;display:inline-block}
"""


def build_report(weights: Path | None, run_folder: Path | None, evaluations: Sequence[Path]) -> str:
    """The page as one string. Raises FileNotFoundError for a part that is not there, ValueError for one unfit."""
    results = {name: (folder, _read_result(folder)) for name, folder in _named(evaluations).items()}
    sections, title = [], "Evaluation"
    if weights is not None:
        from mapkd_core.artifact import load_card

        card = load_card(weights)
        title = f"{card.name} {card.version}"
        sections.append(_section("Model", _card(card)))
    elif run_folder is not None:
        title = run_folder.resolve().name
        sections.append(_section("Model", _configured(run_folder)))
    if results:
        scores = {name: result for name, (_, result) in results.items()}
        sections.append(_section("Scores", _scores(scores)))
        sections.append(_section("By distance from the vehicle", _distances(scores)))
        sections.append(_section("By condition", _conditions(scores)))
        sections.append(_section("Latency", _latencies(scores)))
    if run_folder is not None:
        from mapkd_core.evaluation.training_curves import chart, grouped, read_curves, read_images
        from mapkd_core.training.validation_images import TAG

        charts = [chart(name, curves) for name, curves in grouped(read_curves(run_folder)).items()]
        sections.append(_section("Training", f'<div class="charts">{"".join(charts)}</div>'))
        sections.append(_section("Validation frames", _validation(read_images(run_folder, TAG))))
    for name, (folder, result) in results.items():
        sections.append(_section(f"Frames of {name}" if len(results) > 1 else "Frames", _images(folder, result)))
    page = "".join(part for part in sections if part)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1>{page}</html>\n"
    )


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by name, with as many parents as tell them apart. Raises ValueError if one is given twice."""
    whole = [folder.resolve() for folder in folders]
    if len(set(whole)) < len(whole):
        raise ValueError(f"an evaluation is given twice: {', '.join(map(str, folders))}")
    depth = 1
    while len({folder.parts[-depth:] for folder in whole}) < len(whole):
        depth += 1
    return {"/".join(folder.parts[-depth:]): folder for folder in whole}


def _read_result(folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    try:
        result = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist; expected the output folder of mapkd evaluate") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); evaluate again") from error
    if "ap" not in result or "frames" not in result:
        raise ValueError(f"{path} is not a result of mapkd evaluate: it has no 'ap' or 'frames'")
    return dict(result)


def _section(title: str, body: str) -> str:
    return f"<h2>{html.escape(title)}</h2>{body}" if body else ""


def _card(card: Any) -> str:
    grid = card.grid
    x, y = (high - low for low, high in (grid.x_range_m, grid.y_range_m))
    rows = [
        ("network", f"{card.model} {json.dumps(card.options)}"),
        ("grid", f"{x:g} x {y:g} m, cells of {grid.cell_m:g} m"),
        ("images", f"{len(card.cameras)} of {card.input_size[0]} x {card.input_size[1]}"),
        ("weights' SHA-256", card.weights_sha256),
        *((f"training: {key}", value if isinstance(value, str) else json.dumps(value))
          for key, value in card.training.items()),
    ]
    return _table(None, [[html.escape(str(k)), f"<code>{html.escape(str(v))}</code>"] for k, v in rows])


def _configured(run_folder: Path) -> str:
    """The config that a run was started with, one row a key."""
    path = run_folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected the folder of a `mapkd train` run")
    rows = [[html.escape(key), f"<code>{html.escape(value if isinstance(value, str) else json.dumps(value))}</code>"]
            for key, value in json.loads(path.read_text()).items()]
    return _table(None, rows)


def _validation(images: Mapping[int, bytes]) -> str:
    """The first and the last of a run's validation images."""
    steps = list(dict.fromkeys([*list(images)[:1], *list(images)[-1:]]))
    return "".join(
        f'<figure><img src="data:image/png;base64,{base64.b64encode(images[step]).decode()}" alt="">'
        f"<figcaption>step {step}; of each pair, prediction left and truth right</figcaption></figure>"
        for step in steps
    )


def _scores(results: Mapping[str, Mapping[str, Any]]) -> str:
    rows, numbers = [], []
    for name, result in results.items():
        for key, label in (("iou", "IoU"), ("iou_exact_lines", "IoU, exact lines")):
            if result.get(key):
                rows.append((label, name, [result[key][c] for c in CLASSES] + [result[key]["miou"]]))
        for definition, sets in result["ap"].items():
            for thresholds, ap in sets.items():
                values = [ap["per_class"][c] for c in CLASSES] + [ap["mAP"]]
                rows.append((f"<code>{definition}</code> {thresholds} m", name, values))
    order = list(dict.fromkeys(label for label, _, _ in rows))
    rows.sort(key=lambda row: order.index(row[0]))
    for label, name, values in rows:
        peers = [v for other, _, v in rows if other == label]
        numbers.append([label, html.escape(name), *_best_marked(values, peers)])
    frames = ", ".join(f"{html.escape(name)}: {result['frames']} frames" for name, result in results.items())
    notes = "".join(f"<li>{html.escape(note)}" for note in dict.fromkeys(
        note for result in results.values() for note in result.get("notes", [])))
    return f"<p>Percent. {frames}.</p>" + _table(["metric", "model", *CLASSES, "mean"], numbers) + f"<ul>{notes}</ul>"


def _best_marked(values: Sequence[float | None], peers: Sequence[Sequence[float | None]]) -> list[str]:
    cells = []
    for column, value in enumerate(values):
        others = [v[column] for v in peers]
        best = len(peers) > 1 and value is not None and value >= max(v for v in others if v is not None)
        cells.append(f"<b>{percent(value)}</b>" if best else percent(value))
    return cells


def _distances(results: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, result in results.items():
        for band, scores in result.get("by_distance", {}).items():
            ap = scores["ap_chamfer_corrected"]
            miou = percent(scores["iou"]["miou"]) if scores["iou"] else "-"
            rows.append([band, html.escape(name), miou, *(percent(a["mAP"]) for a in ap.values())])
            sets = list(ap)
    if not rows:
        return ""
    return _table(["distance", "model", "mIoU", *(f"ap_chamfer_corrected {s} m" for s in sets)], rows)


def _conditions(results: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, result in results.items():
        for word, scores in result.get("by_condition", {}).items():
            miou = percent(scores["iou"]["miou"]) if scores["iou"] else "-"
            ap = scores["ap"]["ap_chamfer"]
            rows.append([html.escape(word), html.escape(name), str(scores["frames"]), miou,
                         *(percent(a["mAP"]) for a in ap.values())])
            sets = list(ap)
    if not rows:
        return ""
    rows.sort(key=lambda row: row[0])
    return _table(["condition", "model", "frames", "mIoU", *(f"ap_chamfer {s} m" for s in sets)], rows)


def _latencies(results: Mapping[str, Mapping[str, Any]]) -> str:
    parts = []
    for name, result in results.items():
        stages = result.get("latency_ms") or {}
        if not stages:
            continue
        longest = max(stages.values())
        bar = '<span class="bar" style="width:{:.0f}px"></span>'
        rows = [
            [html.escape(stage), f"{value:.1f}", bar.format(300 * value / longest)] for stage, value in stages.items()
        ]
        where = html.escape(result.get("machine", "machine not noted"))
        parts.append(f"<p>{html.escape(name)}: median milliseconds a frame while evaluating ({where})</p>")
        parts.append(_table(["stage", "ms", ""], rows))
    return "".join(parts)


def _images(folder: Path, result: Mapping[str, Any]) -> str:
    figures = []
    for group, tokens in result.get("examples", {}).items():
        for place, token in enumerate(tokens, 1):
            path = folder / "images" / f"{group}-{place}.jpg"
            if path.is_file():
                data = base64.b64encode(path.read_bytes()).decode()
                caption = html.escape(f"{group} {place}: {token}")
                image = f'<img src="data:image/jpeg;base64,{data}" alt="">'
                figures.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
    return "".join(figures)


def _table(headings: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> str:
    head = "<tr>" + "".join(f"<th>{h}</th>" for h in headings) + "</tr>" if headings else ""
    return "<table>" + head + "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows) + "</table>"
