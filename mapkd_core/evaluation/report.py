"""One self-contained HTML page about a trained model: card, scores, training curves, latency, images."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.evaluation.page import Cell, Charts, Image, Notes, Part, Section, Table, Text, render
from mapkd_core.evaluation.result_file import read_result
from mapkd_core.evaluation.side_by_side import frames_beside, latencies_beside, models_beside
from mapkd_core.files import inside
from mapkd_core.metrics.tables import percent
from mapkd_core.schema import anything, mapping, read_json
from mapkd_core.types import CLASSES

if TYPE_CHECKING:
    from mapkd_core.artifact import ModelCard


def build_report(weights: Path | None, run_folder: Path | None, evaluations: Sequence[Path]) -> str:
    """The page as one string. Raises FileNotFoundError for a part that is not there, ValueError for one unfit."""
    results = {name: (folder, read_result(folder / "result.json")) for name, folder in _named(evaluations).items()}
    sections, title = [], "Evaluation"
    if weights is not None:
        from mapkd_core.artifact import load_card

        card = load_card(weights)
        title = f"{card.name} {card.version}"
        sections.append(Section("Model", [_card(card)]))
    elif run_folder is not None:
        title = run_folder.resolve().name
        sections.append(Section("Model", [_configured(run_folder)]))
    if results:
        scores = {name: result for name, (_, result) in results.items()}
        if len(results) > 1:
            title = ", ".join(results) if title == "Evaluation" else title
            sections.append(Section("Models", models_beside(scores)))
        sections.append(Section("Scores", _scores(scores)))
        sections.append(Section("By distance from the vehicle", _distances(scores)))
        sections.append(Section("By condition", _conditions(scores)))
        sections.append(Section("Latency", _latencies(scores)))
    if run_folder is not None:
        from mapkd_core.evaluation.training_curves import chart, grouped, read_curves, read_images
        from mapkd_core.training.validation_images import TAG

        charts = [chart(name, curves) for name, curves in grouped(read_curves(run_folder)).items()]
        sections.append(Section("Training", [Charts(charts)]))
        sections.append(Section("Validation frames", _validation(read_images(run_folder, TAG))))
    if len(results) > 1:
        sections.append(Section("The same frames, side by side", frames_beside(results)))
    for name, (folder, result) in results.items():
        sections.append(Section(f"Frames of {name}" if len(results) > 1 else "Frames", _images(folder, result)))
    return render(title, sections)


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by name, with as many parents as tell them apart. Raises ValueError if one is given twice."""
    whole = [folder.resolve() for folder in folders]
    if len(set(whole)) < len(whole):
        raise ValueError(f"an evaluation is given twice: {', '.join(map(str, folders))}")
    depth = 1
    while len({folder.parts[-depth:] for folder in whole}) < len(whole):
        depth += 1
    return {"/".join(folder.parts[-depth:]): folder for folder in whole}


def _card(card: ModelCard) -> Table:
    grid = card.grid
    x, y = (high - low for low, high in (grid.x_range_m, grid.y_range_m))
    return _facts({
        "network": f"{card.model} {json.dumps(card.options)}",
        "grid": f"{x:g} x {y:g} m, cells of {grid.cell_m:g} m",
        "images": f"{len(card.cameras)} of {card.input_size[0]} x {card.input_size[1]}",
        "weights' SHA-256": card.weights_sha256,
        **{f"training: {key}": value for key, value in card.training.items()},
    })


def _configured(run_folder: Path) -> Table:
    """The config that a run was started with, one row a key."""
    path = run_folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected the folder of a `mapkd train` run")
    return _facts(read_json(path, "the config of a run", mapping(anything), "name the folder of a `mapkd train` run"))


def _facts(values: Mapping[str, Any]) -> Table:
    return Table([
        [Cell(key), Cell(value if isinstance(value, str) else json.dumps(value), "code")]
        for key, value in values.items()
    ])


def _validation(images: Mapping[int, bytes]) -> list[Part]:
    """The first and the last of a run's validation images."""
    steps = dict.fromkeys([*list(images)[:1], *list(images)[-1:]])
    what = "of each pair, prediction left and truth right"
    return [Image(images[step], "image/png", f"step {step}; {what}") for step in steps]


def _scores(results: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    rows: list[tuple[Cell, str, list[float | None]]] = []
    for name, result in results.items():
        for key, label in (("iou", "IoU"), ("iou_exact_lines", "IoU, exact lines")):
            if result.get(key):
                rows.append((Cell(label), name, [result[key][c] for c in CLASSES] + [result[key]["miou"]]))
        for definition, sets in result["ap"].items():
            for thresholds, ap in sets.items():
                values = [ap["per_class"][c] for c in CLASSES] + [ap["mAP"]]
                rows.append((Cell(f"{definition} {thresholds} m", "code"), name, values))
        if result.get("openlane_v2"):
            area = result["openlane_v2"]
            rows.append((
                Cell("det_a_openlane_v2 0.5/1/1.5 m", "code"), name,
                [area["per_class"][c] for c in CLASSES] + [area["mAP"]],
            ))  # fmt: skip
    order = list(dict.fromkeys(label for label, _, _ in rows))
    rows.sort(key=lambda row: order.index(row[0]))
    numbers = []
    for metric, name, values in rows:
        peers = [v for other, _, v in rows if other == metric]
        numbers.append([metric, Cell(name), *_best_marked(values, peers)])
    frames = ", ".join(f"{name}: {result['frames']} frames" for name, result in results.items())
    notes = list(dict.fromkeys(note for result in results.values() for note in result.get("notes", [])))
    parts: list[Part] = [Text(f"Percent. {frames}."), Table(numbers, ["metric", "model", *CLASSES, "mean"])]
    return [*parts, Notes(notes)] if notes else parts


def _best_marked(values: Sequence[float | None], peers: Sequence[Sequence[float | None]]) -> list[Cell]:
    cells = []
    for column, value in enumerate(values):
        others = [other for v in peers if (other := v[column]) is not None]
        best = value is not None and value == max(others) > min(others)
        cells.append(Cell(percent(value), "best" if best else ""))
    return cells


def _distances(results: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    rows, sets = [], []
    for name, result in results.items():
        for band, scores in result.get("by_distance", {}).items():
            ap = scores["ap_chamfer_corrected"]
            miou = percent(scores["iou"]["miou"]) if scores["iou"] else "-"
            rows.append([band, name, miou, *(percent(a["mAP"]) for a in ap.values())])
            sets = list(ap)
    order = list(dict.fromkeys(row[0] for row in rows))
    rows.sort(key=lambda row: order.index(row[0]))
    return _plain(rows, ["distance", "model", "mIoU", *(f"ap_chamfer_corrected {s} m" for s in sets)])


def _conditions(results: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    rows, sets = [], []
    for name, result in results.items():
        for word, scores in result.get("by_condition", {}).items():
            miou = percent(scores["iou"]["miou"]) if scores["iou"] else "-"
            ap = scores["ap"]["ap_chamfer"]
            rows.append([word, name, str(scores["frames"]), miou, *(percent(a["mAP"]) for a in ap.values())])
            sets = list(ap)
    rows.sort(key=lambda row: row[0])
    return _plain(rows, ["condition", "model", "frames", "mIoU", *(f"ap_chamfer {s} m" for s in sets)])


def _plain(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> list[Part]:
    """A table of plain text; nothing where there are no rows."""
    return [Table([[Cell(text) for text in row] for row in rows], headings)] if rows else []


def _latencies(results: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    measured = {name: result for name, result in results.items() if result.get("latency_ms")}
    if len(measured) > 1:
        return latencies_beside(measured)
    parts: list[Part] = []
    for name, result in measured.items():
        longest = max(result["latency_ms"].values())
        rows = [
            [Cell(stage), Cell(f"{value:.1f}"), Cell(f"{300 * value / longest:.0f}", "bar")]
            for stage, value in result["latency_ms"].items()
        ]
        where = result.get("machine", "machine not noted")
        parts += [
            Text(f"{name}: median milliseconds a frame while evaluating ({where})"), Table(rows, ["stage", "ms", ""])
        ]
    return parts


def _images(folder: Path, result: Mapping[str, Any]) -> list[Part]:
    figures: list[Part] = []
    for group, tokens in result.get("examples", {}).items():
        for place, token in enumerate(tokens, 1):
            path = inside(folder / "images", f"{group}-{place}.jpg", "group of examples")
            if path.is_file():
                figures.append(Image(path.read_bytes(), "image/jpeg", f"{group} {place}: {token}"))
    return figures
