"""Turn a training run into the artifact that the predictor, the node and `mapkd evaluate` load; or add graphs to one.

examples:
  mapkd export runs/student --out student.json --name student-small --version 1.0.0
  mapkd export runs/student --out student.json --data /data/nuscenes --frames 20
  mapkd export runs/student --out student.json --about 'licence_of_data=CC BY-NC-SA 4.0' --about 'rig=our van, 2026'
  mapkd export student.json --out student.json --int8 --calibrate /data/nuscenes
  mapkd export runs/finish_student_robust --out student.json --blend runs/finish_student=0.25
  mapkd export nano --out student.json --norms-from /data/street_images

Writes student.json (the card: grid, classes, input size, how it was trained), student.safetensors (float16) and, of a
student, student.onnx. The card holds the SHA-256 of each, so that a graph of other weights is refused. Before it says
done it runs both on frames, those of --data or simulated ones: the largest difference of a probability must stay below
1e-4 and the map elements must be identical to the millimetre, or nothing is written and the exit code is 2. It prints
the opset and the operators; there are no custom ones.

--int8 also writes student.int8.onnx, about twice as fast on a CPU with VNNI or dot-product instructions. Its ranges
come from 16 frames of --calibrate, which should look like what the cameras will see; by default they are simulated. It
draws another map, so the command says how far both agree (intersection over union of each class's cells on the frames
of the proof) and writes nothing below 0.8. What it costs in accuracy: mapkd evaluate --precision int8.
"""
from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.commands.options import number

if TYPE_CHECKING:
    from torch import nn

    from mapkd_core.artifact import ModelCard

EXTRA = "export"
_CALIBRATION = "simdrive-v1:train:full:4"
"""Frames to calibrate with where the user names none: four simulated drives that no score is taken on."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("run", type=Path, help="folder of a training run, or the card of an artifact")
    parser.add_argument("--out", type=Path, required=True, help="card to write; the weights go beside it")
    parser.add_argument("--name", default="", help="name of the model; by default the run's")
    parser.add_argument("--version", default="", help="version of these weights (0.1.0; an artifact keeps its own)")
    parser.add_argument(
        "--about", action="append", type=_fact, default=[], metavar="KEY=TEXT",
        help="a fact for the card, such as licence_of_data=...; may be given several times",
    )
    parser.add_argument(
        "--blend", type=_share, metavar="CARD=SHARE",
        help="move the weights by SHARE (0..1) to those of another card or run of the same network, such as the stage "
        "before: less of what was learned last, less of what that cost",
    )
    parser.add_argument(
        "--norms-from", action="append", type=Path, default=[], metavar="DIR",
        help="take the image trunk's norm statistics from the real images in a folder; may be given several times",
    )
    parser.add_argument("--which", choices=("best", "last"), default="best", help="checkpoint to take")
    parser.add_argument(
        "--onnx", action=argparse.BooleanOptionalAction, default=None,
        help="write NAME.onnx, or not; by default it is written of a student",
    )
    parser.add_argument(
        "--least-score", type=number(0, 1), metavar="SCORE",
        help="of a vector student: do not show elements below this score (0..1); by default the one with the highest "
        "F1 on the validation frames of its training",
    )
    parser.add_argument("--int8", action="store_true", help="write NAME.int8.onnx as well")
    parser.add_argument("--calibrate", metavar="NAME", help="frames that show int8 its ranges; simulated ones else")
    parser.add_argument("--data", metavar="NAME", help="frames of the proof, named as for mapkd evaluate")
    parser.add_argument("--frames", type=int, default=4, metavar="N", help="frames of the proof (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Writes the artifact, and proves each file before saying done; until then the old one stays."""
    from mapkd_core.artifact import SHIPPED, card_to_write, load_card, load_model
    from mapkd_core.files import FolderLock, replacing_together
    from mapkd_core.training.trained import is_artifact, load_run

    if str(args.out) in SHIPPED:
        raise ValueError(f"--out {args.out} is the name of a student that ships; write --out {args.out}.json")
    place = card_to_write(args.out)
    if is_artifact(args.run):
        network, card = load_model(args.run)
        card = replace(card, name=args.name or card.name, version=args.version or card.version)
    else:
        network, card = load_run(args.run, args.which, args.name, args.version or "0.1.0")
    card = replace(card, training={**card.training, **_added(card, dict(args.about))})
    if args.least_score is not None:
        if card.model != "vector_student":
            raise ValueError(f"--least-score is for a vector student, this is a {card.model}; leave it out")
        card = replace(card, least_score=args.least_score)
    if args.blend:
        from mapkd_core.training.blending import blend

        card = replace(card, training={**card.training, "blend": blend(network, *args.blend)})
    if args.norms_from:
        from mapkd_core.training.adapt_norms import IMAGES, adapt_norms

        count = adapt_norms(network, args.norms_from)
        fact = f"the image trunk's, from {IMAGES} cuts of {count} real images: {', '.join(map(str, args.norms_from))}"
        card = replace(card, training={**card.training, "norms": fact})
    possible = _exports(card)
    graph_wanted = args.int8 or (args.onnx if args.onnx is not None else possible)
    if graph_wanted:
        _check_graph_possible(card, possible, args)
    with FolderLock(place.parent, f".{place.stem}.lock"):
        before = load_card(place).weights_sha256 if place.is_file() else ""
        with replacing_together(place.parent, place.name) as folder:
            lines = _write(folder / place.name, card, network, args, graph_wanted)
        card = load_card(place)
        if before != card.weights_sha256:
            _forget_graphs(place, card)
    for name, line in lines:
        print(f"{place.parent / name}: {line}")
    return 0


def _write(
    place: Path, card: ModelCard, network: nn.Module, args: argparse.Namespace, graph_wanted: bool
) -> list[tuple[str, str]]:
    """Writes card, weights and graphs, proved, and says what they are: file and words."""
    from mapkd_core.artifact import load_model, save_artifact

    save_artifact(place, card, network.state_dict())
    again, card = load_model(place)
    worst = max(
        float((mine - theirs).abs().max() / mine.abs().max().clamp(min=1e-12))
        for mine, theirs in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )
    size = place.with_suffix(".safetensors").stat().st_size / 1e6
    words = f"{card.name} {card.version}, {size:.1f} MB, weights rounded by at most {worst:.1e} of a tensor's largest"
    lines = [(place.name, words)]
    if graph_wanted:
        lines += write_graph(place, card, args.data, args.frames)
    if args.int8:
        lines += write_int8_graph(place, args.calibrate, args.data, args.frames)
    return lines


def _forget_graphs(place: Path, card: ModelCard) -> None:
    """Removes graphs of the weights that were there before."""
    from mapkd_core.runtime import graph_path

    for precision in ("fp32", "int8"):
        graph = graph_path(place, precision)
        if graph.name.removeprefix(f"{place.stem}.") not in card.graphs_sha256:
            graph.unlink(missing_ok=True)


def _fact(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=TEXT")
    return key, value


def _share(text: str) -> tuple[str, float]:
    place, _, share = text.rpartition("=")
    try:
        return place, float(share)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not CARD=SHARE, such as runs/before=0.25") from None


def _added(card: ModelCard, about: dict[str, str]) -> dict[str, str]:
    """Facts for the card; raises ValueError if one would hide what the run itself recorded."""
    taken = sorted(set(about) & set(card.training))
    if taken:
        raise ValueError(f"--about {taken[0]}: the card has {card.training[taken[0]]!r} there; choose another key")
    return about


def _exports(card: ModelCard) -> bool:
    """Whether a graph can be made of this network."""
    if card.model == "vector_student":
        return _vector_exports(card)
    return card.model == "student" and card.options.get("view", "pillars") == "pillars"


def _vector_exports(card: ModelCard) -> bool:
    from mapkd_core.model.vector_config import vector_config
    from mapkd_core.runtime.kernel_lookup import MOST_VIEW_BYTES, KernelTables

    config = vector_config(card.options)
    if config.memory:
        return False
    if config.view != "kernel":
        return config.view == "pillars"
    return KernelTables(card.grid, card.input_size, config).bytes(len(card.cameras)) <= MOST_VIEW_BYTES


def _check_graph_possible(card: ModelCard, possible: bool, args: argparse.Namespace) -> None:
    """What would fail fails before anything is written."""
    if not possible:
        raise ValueError(
            "only a student with the view 'pillars', or a vector student without memory and with that view or a small "
            f"view 'kernel', exports as ONNX, this run trained {card.model!r} with {card.options}; leave out --onnx"
        )
    if args.frames < 1:
        raise ValueError(f"--frames {args.frames}; expected at least 1, for the proof")
    if args.int8 and args.onnx is False:
        raise ValueError("--int8 is made from NAME.onnx; leave out --no-onnx")
    import onnxscript  # noqa: F401

    from mapkd_core.runtime.graph_face import check_int8_instructions

    if args.int8:
        check_int8_instructions()  # eight bits are measured here before they are kept


def write_graph(path: Path, card: ModelCard, data: str | None, frames: int) -> list[tuple[str, str]]:
    """Writes NAME.onnx beside the card `path` and proves it: file and words, line by line. Raises ExportError."""
    from mapkd_core.artifact import load_model, note_graph
    from mapkd_core.export.onnx_graph import OPSET, TOLERANCE, ExportedStudent, ExportError, export_onnx
    from mapkd_core.export.parity import compare, proof_frames
    from mapkd_core.predictor import MapPredictor
    from mapkd_core.runtime import graph_path

    graph = graph_path(path)
    student, _ = load_model(path)
    assert isinstance(student, ExportedStudent)
    _, operators = export_onnx(student, graph, card)
    note_graph(path, graph)
    eager = MapPredictor.from_artifact(path, device="cpu", backend="torch")
    exported = MapPredictor.from_artifact(path, device="cpu", backend="onnx")
    parity = compare(eager, exported, proof_frames(data, card.input_size, frames))
    if not parity.probability_error < TOLERANCE:
        raise ExportError(
            f"a probability of {graph.name} differs by {parity.probability_error:.1e} from PyTorch's; "
            f"expected less than {TOLERANCE:g}"
        )
    if parity.differences:
        raise ExportError(f"{graph.name} gives other map elements than PyTorch: {'; '.join(parity.differences)}")
    listed = ", ".join(f"{name} {count}" for name, count in sorted(operators.items()))
    held = f"all {parity.elements} map elements are identical" if parity.elements else "the network draws no line there"
    return [
        (graph.name, f"opset {OPSET}, no custom operators: {listed}"),
        (graph.name, f"on {parity.frames} frames ({data or 'simulated'}) the largest difference of a probability is "
                     f"{parity.probability_error:.1e}, {held}"),
    ]  # fmt: skip


def write_int8_graph(path: Path, calibrate: str | None, data: str | None, frames: int) -> list[tuple[str, str]]:
    """Writes NAME.int8.onnx beside NAME.onnx and measures it: file and words. Raises ExportError for another map."""
    from mapkd_core.export.int8 import LEAST_AGREEMENT, export_int8
    from mapkd_core.export.onnx_graph import ExportError
    from mapkd_core.export.parity import agreement, proof_frames
    from mapkd_core.predictor import MapPredictor

    plain = MapPredictor.from_artifact(path, device="cpu", backend="onnx", precision="fp32")
    graph = export_int8(path, proof_frames(calibrate or _CALIBRATION, plain.card.input_size, 16))
    coarse = MapPredictor.from_artifact(path, device="cpu", backend="onnx", precision="int8")
    shares = agreement(plain, coarse, proof_frames(data, plain.card.input_size, frames))
    worst = min(shares, key=shares.__getitem__)
    if shares[worst] < LEAST_AGREEMENT:
        raise ExportError(
            f"{graph.name} and the network agree on {shares[worst]:.2f} of the cells of class {worst}; expected at "
            f"least {LEAST_AGREEMENT:g}: calibrate with frames like those of the vehicle (--calibrate)"
        )
    listed = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
    return [(graph.name, f"{graph.stat().st_size / 1e6:.1f} MB; cells that it shares with the network: {listed}")]
