"""Trains the vector student's decoder on stored BEV features, which a frozen trunk gives once and for all.

    python benchmarks/vector_decoder.py --train runs/simdrive/train_bodies --val runs/simdrive/val --out vector.json \\
        --steps 2400 --rate 6e-3 --copies 3 --repeats 3 --until 500 --loss element_class=4 edges=0.3 likeness_m=1

A step takes the decoder's time alone, about half of that with frozen images (config/train/vector_nano.yaml). Features
are stored of --copies of each frame, whose images, calibration and labels are changed as in training (photometric,
zoom, turn, shift; in bfloat16 where the processor has it), and mirrored with their labels at random. The rate falls as
a cosine. Every --val-every steps it prints the AP of validation frames by averaged weights, and writes the best.
"""
from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mapkd_core.artifact import ModelCard, card_path, load_card, save_artifact
from mapkd_core.benchmark.machine import command_line
from mapkd_core.config import AugmentConfig, DataConfig, LossConfig, TrainConfig
from mapkd_core.data.augment import augment
from mapkd_core.losses import weigh
from mapkd_core.model.pillar_vectors import PillarVectorStudent
from mapkd_core.model.student import Student
from mapkd_core.model.vector_config import vector_config
from mapkd_core.training.batches import collate_for, open_samples
from mapkd_core.training.muon import Muon
from mapkd_core.training.stages import start_from
from mapkd_core.training.validation import VectorValidation
from mapkd_core.types import Batch
from mapkd_core.vector_loss.targets import VectorTargets, batch_targets
from mapkd_core.vector_loss.terms import vector_terms

OPTIONS = {"variant": "vector_nano"}
AT_ONCE = 8
CHANGES = AugmentConfig(photometric=0.4, scale=0.1, yaw_degrees=12, shift_m=4)
"""Of the copies."""


class Stored:
    """Features of a cache's frames in a file (float16), their labels in memory; with `copies` of changed frames."""

    def __init__(
        self, cache: Path, network: PillarVectorStudent, config: TrainConfig, folder: Path, copies: int = 0
    ) -> None:
        source, collate = open_samples(f"cache:{cache}", config), collate_for(config)
        rows, cols = network.plane.size
        count = len(source) * max(copies, 1)
        planes = network.decoder.get_parameter("layers.0.read.value").shape[1]
        place, shape = folder / f"{cache.name}_{copies}.npy", (count, planes, rows, cols)
        fresh = not place.is_file()
        stored = np.lib.format.open_memmap(
            place.with_suffix(".partial") if fresh else place, "w+" if fresh else "r", np.float16,
            shape if fresh else None,
        )
        self.features: NDArray[np.float16] = stored
        self.targets: list[VectorTargets] = []
        self.labels: list[Batch] = []
        for first in range(0, count, AT_ONCE):
            samples = [source[k % len(source)] for k in range(first, min(first + AT_ONCE, count))]
            if copies:
                rngs = (np.random.default_rng((config.seed, first, k)) for k in range(len(samples)))
                samples = [augment(sample, CHANGES, rng) for sample, rng in zip(samples, rngs, strict=True)]
            batch = collate(samples)
            if fresh:
                with torch.autocast("cpu", torch.bfloat16, enabled=bool(copies)):
                    stored[first : first + AT_ONCE] = read(network, batch).numpy()
            known = batch_targets(batch, config.grid, network.vector_config.points)
            self.targets += [of_frame for of_frame in known if of_frame]
            if not copies:
                self.labels.append(replace(batch, images=batch.images[:, :, :, :1, :1], semantic=None, instance=None))
        if fresh:
            stored.flush()
            place.with_suffix(".partial").rename(place)

    def __len__(self) -> int:
        return len(self.targets)


@torch.inference_mode()
def read(network: PillarVectorStudent, batch: Batch) -> torch.Tensor:
    """B F Y X of frames: what the decoder reads."""
    lookup = Student.lookup(network, batch.intrinsics, batch.base_from_camera)
    features = network.trunk(batch.images.flatten(0, 1)).unflatten(0, batch.images.shape[:2])
    return network.read(network._scales(features, lookup)["fine"]).half()


def drawn(stored: Stored, which: list[int], rng: np.random.Generator) -> tuple[torch.Tensor, list[VectorTargets]]:
    """Features and targets of these frames, mirrored with a chance of a half."""
    features, targets = [], []
    for frame in which:
        feature, known = torch.from_numpy(stored.features[frame].astype(np.float32)), stored.targets[frame]
        if rng.random() < 0.5:
            turned = known.places.clone()
            turned[..., 1] = 1 - turned[..., 1]
            feature, known = feature.flip(-2), replace(known, places=turned)
        features.append(feature)
        targets.append(known)
    return torch.stack(features), targets


@torch.inference_mode()
def scores(network: PillarVectorStudent, stored: Stored, config: TrainConfig) -> tuple[dict[str, float], float | None]:
    """AP of the stored frames, and the least score to show."""

    class Alone:
        world_size = 1

    validation = VectorValidation(config)
    for number, batch in enumerate(stored.labels):
        part = stored.features[number * AT_ONCE : number * AT_ONCE + len(batch.images)].astype(np.float32)
        validation.see(batch, network._elements(torch.from_numpy(part), network.decoder.start(), deep=False))
    found = validation.result(Alone())  # type: ignore[arg-type]
    return {name: round(float(value), 4) for name, value in found.items()}, validation.least_score


def train(
    network: PillarVectorStudent, stored: Stored, val: Stored, config: TrainConfig, args: argparse.Namespace
) -> Iterator[int]:
    """Yields the step when averaged weights are to be looked at, which the network's decoder then holds."""
    rng, order = np.random.default_rng(config.seed), list[int]()
    decoder, average = network.decoder, copy.deepcopy(network.decoder)
    parameters = list(decoder.parameters())
    optimizer = Muon(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    for step in range(1, args.steps + 1):
        if len(order) < config.batch_size:
            order += rng.permutation(len(stored)).tolist()
        which, order = order[: config.batch_size], order[config.batch_size :]
        features, targets = drawn(stored, which, rng)
        for group in optimizer.param_groups:
            falling = 0.5 * (1 + math.cos(math.pi * step / args.steps))
            group["lr"] = config.learning_rate * min(1, step / 100) * falling
        loss, found = config.loss, network._elements(features, decoder.start())
        terms = vector_terms(found, targets, loss, config.grid, loss.repeats if step <= args.until else 1)
        optimizer.zero_grad()
        weigh(terms, loss).backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        optimizer.step()
        decay = min(config.ema, step / (9 + step))
        with torch.no_grad():
            for mean, value in zip(average.parameters(), parameters, strict=True):
                mean.lerp_(value, 1 - decay)
        if step % 100 == 0:
            print(step, {name: round(float(term.detach()), 2) for name, term in terms.items()}, flush=True)
        if step % args.val_every == 0 or step == args.steps:
            network.decoder = average
            yield step
            network.decoder = decoder


def main() -> None:
    """Trains and writes the artifact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, metavar="CACHE")
    parser.add_argument("--val", type=Path, required=True, metavar="CACHE")
    parser.add_argument("--out", type=Path, required=True, metavar="CARD")
    parser.add_argument("--features", type=Path, default=Path("runs/vector_features"), metavar="DIR")
    parser.add_argument("--init", default="nano", metavar="CARD", help="weights to start from (%(default)s)")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rate", type=float, default=6e-3)
    parser.add_argument("--copies", type=int, default=3, help="changed copies of each frame; 0: as they are")
    parser.add_argument("--repeats", type=int, default=1, help="elements that answer for each true one, ...")
    parser.add_argument("--until", type=int, default=0, metavar="STEP", help="... up to this step; one after it")
    parser.add_argument("--val-every", type=int, default=400, metavar="STEPS")
    parser.add_argument("--loss", nargs="*", default=[], metavar="NAME=WEIGHT")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    args.features.mkdir(parents=True, exist_ok=True)
    weights: dict[str, Any] = {name: float(value) for name, value in (pair.split("=") for pair in args.loss)}
    config = TrainConfig(
        model="vector_student", data=DataConfig(image_size=(352, 128)), batch_size=4, learning_rate=args.rate,
        weight_decay=1e-2, ema=0.995, seed=args.seed, loss=LossConfig(repeats=args.repeats, **weights),
    )
    network = PillarVectorStudent(config.grid, config.data.image_size, vector_config(OPTIONS))
    start_from(network, args.init)
    network.eval()
    val = Stored(args.val, network, config, args.features)
    stored = Stored(args.train, network, config, args.features, args.copies)
    print(f"features stored, {time.process_time():.0f} s of processor time", flush=True)
    best = -1.0
    for step in train(network, stored, val, config, args):
        found, least_score = scores(network, val, config)
        listed = ", ".join(f"{name} {100 * value:.1f}" for name, value in found.items())
        print(f"step {step}, {time.process_time():.0f} s: {listed}", flush=True)
        if found["ap_chamfer"] > best:
            best = found["ap_chamfer"]
            facts = {"step": step, "command": command_line(), "val": found}
            card = ModelCard(
                "vector-nano", "0.1.0", config.model, OPTIONS, config.grid, config.data.image_size, training=facts,
                least_score=least_score,
            )
            save_artifact(args.out, replace(card, cameras=load_card(card_path("nano")).cameras), network.state_dict())


if __name__ == "__main__":
    main()
