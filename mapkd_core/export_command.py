"""Turn a training run into the artifact that the predictor, the node and `mapkd evaluate` load.

example:
  mapkd export runs/student --out student.json --name student-small --version 1.0.0

Writes student.json (the card: grid, classes, input size, how it was trained) and student.safetensors (float16), with
--onnx also student.onnx, whose output is compared with PyTorch's first.
"""
from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("run", type=Path, help="folder of a training run")
    parser.add_argument("--out", type=Path, required=True, help="card to write; the weights go beside it")
    parser.add_argument("--name", default="", help="name of the model; by default the run's")
    parser.add_argument("--version", default="0.1.0", help="version of these weights")
    parser.add_argument("--onnx", action="store_true", help="also write NAME.onnx and prove that it gives the same")
    parser.add_argument("--which", choices=("best", "last"), default="best", help="checkpoint to take")


def run(args: argparse.Namespace) -> int:
    """Writes the artifact and loads it again before saying done."""
    from mapkd_core.artifact import load_model, save_artifact
    from mapkd_core.trained import load_run

    network, card = load_run(args.run, args.which, args.name, args.version)
    save_artifact(args.out, card, network.state_dict())
    again, card = load_model(args.out)
    worst = max(
        float((mine - theirs).abs().max())
        for mine, theirs in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )
    size = args.out.with_suffix(".safetensors").stat().st_size / 1e6
    print(f"{args.out}: {card.name} {card.version}, {size:.1f} MB, largest rounding of a weight {worst:.1e}")
    if args.onnx:
        from mapkd_core.export import OPSET, export_onnx
        from mapkd_core.model.student import Student

        if not isinstance(again, Student):
            raise ValueError(f"only the model 'student' exports as ONNX, this run trained {card.model!r}")
        graph = args.out.with_suffix(".onnx")
        difference, operators = export_onnx(again, graph, len(card.cameras))
        listed = ", ".join(f"{name} {count}" for name, count in sorted(operators.items()))
        print(f"{graph}: opset {OPSET}, largest difference of a probability {difference:.1e}; operators: {listed}")
    return 0
