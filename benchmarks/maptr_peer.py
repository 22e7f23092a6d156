"""MapTR-nano's forward beside the public plain-PyTorch one, with the same weights and images, in turn.

    python benchmarks/maptr_peer.py CHECKOUT --out benchmarks/results/maptr_peer.md

CHECKOUT is one of github.com/tenstorrent/tt-forge-models (Apache-2.0), whose maptr/pytorch/src/maptr.py is imported
from there; it needs the packages `addict` and `loguru`. Its random weights become ours by the table of `mapkd import`.
Each round runs all once; what is reported is processor time, which other work on the machine stretches least, and the
ratio. The exported graphs run in ONNX Runtime and, where it is installed, in OpenVINO. A product of matrices runs in
each round too: what the forward's operations would take at its rate is called the floor.
"""
from __future__ import annotations

import argparse
import copy
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mapkd_core.artifact import ModelCard, load_model, note_graph, save_artifact
from mapkd_core.benchmark.machine import command_line, describe, markdown_table
from mapkd_core.data.images import PixelImage
from mapkd_core.export.int8 import export_int8
from mapkd_core.export.onnx_graph import export_onnx
from mapkd_core.files import write_atomic
from mapkd_core.grid import GRID_60X30
from mapkd_core.model.build import build_model
from mapkd_core.model.vector_student import VectorStudent
from mapkd_core.published.maptr_keys import maptr
from mapkd_core.runtime import RuntimeOptions, fold_batch_norms, graph_path, open_runtime
from mapkd_core.runtime.forward import Eager, Scripted
from mapkd_core.types import CAMERAS, CLASSES, CameraView, Frame

SIZE = (320, 192)
"""Images as the peer gets them, padded."""
SIDE = 2000
"""Of the square matrices whose product tells the machine's rate."""
OPENVINO = importlib.util.find_spec("openvino") is not None
_PLACE = "third_party.tt_forge_models.pointpillars.pytorch.src.utils"


def peer_network(checkout: Path) -> nn.Module:
    """The peer's MapTR-nano with random weights, in eval mode."""
    if not (checkout / "maptr/pytorch/src/maptr.py").is_file():
        raise FileNotFoundError(f"{checkout} has no maptr/pytorch/src/maptr.py; expected a checkout of tt-forge-models")
    for place in [_PLACE[: at if at > 0 else None] for at in (*(k for k, c in enumerate(_PLACE) if c == "."), -1)]:
        sys.modules.setdefault(place, ModuleType(place))
    sys.modules[_PLACE].hard_voxelize = None  # type: ignore[attr-defined] # of its LiDAR network
    sys.path.insert(0, str(checkout / "maptr/pytorch/src"))
    import maptr as peer  # type: ignore[import-not-found]

    config = copy.deepcopy(peer.model_cfg)
    head, transformer = config["pts_bbox_head"], config["pts_bbox_head"]["transformer"]
    transformer["encoder"]["transformerlayers"]["attn_cfgs"][1] = copy.deepcopy(peer.gkt_cfg)
    config["img_backbone"]["depth"], config["img_neck"]["in_channels"] = 18, [512]
    head["num_vec"], head["bev_h"], head["bev_w"] = 100, 80, 40
    head["positional_encoding"].update(row_num_embed=80, col_num_embed=40)
    transformer["decoder"]["num_layers"] = 2
    transformer["decoder"]["transformerlayers"]["attn_cfgs"][0]["num_heads"] = 4
    network: nn.Module = peer.build_model(peer.ConfigDict(config))
    for name, parameter in network.named_parameters():
        if name.endswith(("cams_embeds", "level_embeds")):  # whatever was in memory; a checkpoint would fill them
            nn.init.normal_(parameter)
    return network.eval()


def our_network(theirs: nn.Module) -> VectorStudent:
    """Ours with the peer's weights."""
    network = build_model("vector_student", GRID_60X30, SIZE, {"variant": "maptr_nano"})
    assert isinstance(network, VectorStudent)
    network.load_state_dict(maptr("maptr_nano").converted(theirs.state_dict(), network.state_dict()))
    return network.eval()


def rig() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intrinsics and mountings of six cameras in the LiDAR's frame, and the peer's `lidar2img`."""
    intrinsics, poses, projections = [], [], []
    for yaw in np.radians([55.0, 0, -55, 110, 180, -110]):
        pose = np.eye(4)
        pose[:3, :3] = np.stack([[np.sin(yaw), -np.cos(yaw), 0], [0, 0, -1], [np.cos(yaw), np.sin(yaw), 0]], 1)
        pose[2, 3] = -0.3
        matrix = np.array([[250.0, 0, 160], [0, 250, 90], [0, 0, 1]])
        full = np.eye(4)
        full[:3, :3] = matrix
        projections.append(full @ np.linalg.inv(pose))
        intrinsics.append(matrix)
        poses.append(pose)
    return np.stack(intrinsics), np.stack(poses), np.stack(projections)


def forwards(checkout: Path) -> tuple[dict[str, Callable[[], Any]], dict[str, str], float, float]:
    """Both forwards on the same input, what `graphs` tells, the difference of their vertices (m), GFLOP of ours."""
    torch.manual_seed(0)
    peer = peer_network(checkout)
    ours = our_network(peer)
    intrinsics, poses, projections = rig()
    images = torch.randn(1, 6, 3, SIZE[1], SIZE[0])
    order = [1, 2, 0, 4, 3, 5]  # the peer's cameras among ours
    meta = {"img_shape": [(SIZE[1], SIZE[0], 3)] * 6, "lidar2img": list(projections[order]), "can_bus": np.zeros(18),
            "scene_token": "one"}
    given = images[:, order].contiguous()
    kept: dict[str, Any] = {}
    head: Any = peer.pts_bbox_head
    head.register_forward_hook(lambda _, __, output: kept.update(output))
    weights = copy.deepcopy(ours.state_dict())
    fold_batch_norms(ours)
    ours = ours.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    tensors = [torch.from_numpy(value).float()[None] for value in (intrinsics, poses)]
    with torch.inference_mode():
        lookup = ours.lookup(*tensors, None, torch.zeros(1, 18), torch.eye(4)[None])
    eager = Eager(ours).eval()
    eager.lookup_type = type(lookup)
    scripted = Scripted(eager)

    def theirs() -> Any:
        meta["can_bus"] = np.zeros(18)
        return peer(img_metas=[[meta]], img=[given])

    runs = {
        "peer": theirs, "ours, eager": lambda: eager(images[0], *lookup), "ours": lambda: scripted(images[0], *lookup)
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        exported, apart = graphs(Path(folder), weights, images[0], intrinsics, poses)
        runs.update(exported)
    with torch.inference_mode():
        theirs()
        found = runs["ours"]()[:, 3:].unflatten(1, (-1, 2))
        places = kept["all_pts_preds"][-1, 0]
        difference = float((ours.plane.metres(places) - found).abs().max())
        with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):  # whose products are counted
            eager(images[0], *lookup)
    return runs, apart, difference, counted.get_total_flops() / 1e9


def graphs(
    folder: Path, weights: dict[str, Tensor], images: Tensor, intrinsics: np.ndarray, poses: np.ndarray
) -> tuple[dict[str, Callable[[], Any]], dict[str, str]]:
    """The exported graphs, in float32 and in eight bits with the ranges of other random images.

    Also how far each is from PyTorch, eager, on the same calibration: scores, and vertices in metres.
    """
    card = ModelCard("maptr_nano", "0", "vector_student", {"variant": "maptr_nano"}, GRID_60X30, SIZE)
    path = folder / "maptr_nano.json"
    save_artifact(path, card, weights)
    student, card = load_model(path)
    assert isinstance(student, VectorStudent)
    export_onnx(student, graph_path(path), card)
    note_graph(path, graph_path(path))
    views = [CameraView(CAMERAS[k], 0, SIZE, intrinsics[k], poses[k], PixelImage(noise))
             for k, noise in enumerate(np.random.default_rng(1).integers(0, 256, (6, SIZE[1], SIZE[0], 3), np.uint8))]
    export_int8(path, [Frame("noise", "noise", 0, tuple(views))])
    options = RuntimeOptions(device="cpu", backend="torch", threads=torch.get_num_threads())
    expected = open_runtime(path, options).infer(images, intrinsics, poses)
    found: dict[str, Callable[[], Any]] = {}
    apart = {}
    backends = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}
    for backend, precision in [(b, p) for b in backends if b == "onnx" or OPENVINO for p in ("fp32", "int8")]:
        runtime = open_runtime(path, replace(options, backend=backend, precision=precision))
        name = f"ours, {backends[backend]} {precision}"
        found[name] = partial(runtime.infer, images.numpy(), intrinsics, poses)
        scores, vertices = np.split(np.abs(found[name]() - expected), [len(CLASSES)], 1)
        apart[name] = f"{scores.max():.1g}; {np.median(vertices):.1g}, {vertices.max():.1g}"
    return found, apart


def main() -> None:
    """Runs the rounds and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    runs, apart, difference, gflop = forwards(args.checkout)
    square = torch.rand(SIDE, SIDE)
    runs["product"] = lambda: square @ square
    took: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for _ in range(2):
            for run in runs.values():
                run()
        for _ in range(args.rounds):
            for name, run in runs.items():
                start = time.process_time()
                run()
                took[name].append(1e3 * (time.process_time() - start))
    times = {name: np.array(values) for name, values in took.items()}
    rate = 2 * SIDE**3 / 1e6 / times.pop("product")
    shares = {name: np.percentile(times["peer"] / values, (50, 25, 75)) for name, values in times.items()}
    rows = [
        [name, f"{np.median(values):.0f}", f"{values.min():.0f}", f"{shares[name][0]:.2f}",
         f"{shares[name][1]:.2f} to {shares[name][2]:.2f}", apart.get(name, "")]
        for name, values in times.items()
    ]  # fmt: skip
    header = ["forward", "median ms", "least ms", "peer's time / its time, median of rounds", "quartiles",
              "from PyTorch: score, most; vertex m, median, most"]  # fmt: skip
    text = "\n".join([
        "# MapTR-nano's forward beside the public plain-PyTorch one", "",
        f"{describe()}; {args.threads} thread(s), {args.rounds} rounds, processor time. `{command_line()}`", "",
        f"Same weights, same images; the largest difference of a vertex is {1e3 * difference:.2f} mm.", "",
        markdown_table(header, rows), "",
        f"Ours has {gflop:.1f} GFLOP. Products of {SIDE} x {SIDE} matrices ran at {np.median(rate):.0f} GFLOP/s: the "
        f"floor is {1e3 * gflop / np.median(rate):.0f} ms.", "",
    ])  # fmt: skip
    print(text)
    if args.out:
        write_atomic(args.out, text)


if __name__ == "__main__":
    main()
