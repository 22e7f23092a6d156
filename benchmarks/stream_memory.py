"""Measures what a vector student's memory of its drive is worth: trained and scored beside single frames.

    python benchmarks/stream_memory.py --train runs/simdrive/train_bodies --test runs/simdrive/test --out stream.json

What the frozen trunk and BEV network give is computed once for each frame of the first --drives drives. A decoder of
single frames learns for --first steps from `nano`'s features. From its weights two decoders learn on for --steps steps
by the same losses and rates, each step of as many frames: one on single frames in random order, one with a memory on
windows of consecutive frames. All are scored on whole drives in their order, the second also with its memory switched
off. Frames and labels are mirrored at random, nothing else is changed.
"""
from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mapkd_core.benchmark.machine import command_line
from mapkd_core.config import DataConfig, LossConfig, TrainConfig
from mapkd_core.data.drive_order import FramePose, current_from_previous, drives_in_order, windows
from mapkd_core.losses import weigh
from mapkd_core.model.build import build_model
from mapkd_core.model.pillar_vectors import PillarVectorStudent
from mapkd_core.training.batches import collate_for, open_samples
from mapkd_core.training.drive_batches import joined, single_frames
from mapkd_core.training.muon import Muon
from mapkd_core.training.sample_order import poses_of
from mapkd_core.training.stages import start_from
from mapkd_core.training.validation import VectorValidation
from mapkd_core.types import Batch
from mapkd_core.vector_loss.terms import map_terms

AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class Features:
    """Frames of whole drives, one after the other: what the BEV network gives in the place of images, and labels."""

    frames: list[Batch]
    poses: list[FramePose]

    def batch(self, which: Sequence[int], follow: bool) -> Batch:
        """These frames; with `follow` they are told which follows the one before it."""
        made = joined([self.frames[k] for k in which])
        if not follow:
            return made
        pairs = zip([None, *which[:-1]], which, strict=True)
        motions = [None if a is None else current_from_previous(self.poses[a], self.poses[b]) for a, b in pairs]
        known = [np.eye(4) if motion is None else motion for motion in motions]
        made.follows = torch.tensor([motion is not None for motion in motions])
        made.current_from_previous = torch.from_numpy(np.stack(known)).float()
        return made


@torch.inference_mode()
def features(network: PillarVectorStudent, cache: Path, config: TrainConfig, drives: int) -> Features:
    """Of a cache's first drives."""
    source, collate = open_samples(f"cache:{cache}", config), collate_for(config)
    poses = poses_of(source, str(cache))
    order = [frame for drive in drives_in_order(poses)[:drives] for frame in drive]
    frames: list[Batch] = []
    for first in range(0, len(order), AT_ONCE):
        batch = collate([source[k] for k in order[first : first + AT_ONCE]])
        with torch.autocast("cpu", torch.bfloat16):
            fine = network._seen(batch)[1]["fine"]
        light = replace(batch, images=fine.half(), semantic=None, instance=None, direction=None)
        frames += [replace(one, images=one.images.clone()) for one in single_frames(light)]
    return Features(frames, [poses[k] for k in order])


def reading_features(network: PillarVectorStudent) -> PillarVectorStudent:
    """The network with a batch's images taken for what its BEV network would have given."""
    network._seen = lambda batch: (batch.images, {"fine": batch.images.float()})  # type: ignore[method-assign]
    return network


def mirrored(batch: Batch) -> Batch:
    """Left and right swapped."""
    assert batch.elements is not None and batch.outlines is not None
    swap = np.array([1, -1, 1], np.float32)
    lines, rings = (
        [tuple(replace(e, points_m=e.points_m * swap[: e.points_m.shape[1]]) for e in sample) for sample in part]
        for part in (batch.elements, batch.outlines)
    )
    motion, flip = batch.current_from_previous, torch.diag(torch.tensor([1.0, -1, 1, 1]))
    return replace(
        batch, images=batch.images.flip(-2), elements=lines, outlines=rings,
        current_from_previous=None if motion is None else flip @ motion @ flip,
    )


def draws(stored: Features, size: int, window: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Endless batches of windows, each epoch in another order; each batch mirrored or not."""
    found = windows(stored.poses, window)
    order: list[int] = []
    while True:
        while len(order) < size // window:
            order += rng.permutation(len(found)).tolist()
        taken, order = order[: size // window], order[size // window :]
        parts = [stored.batch(found[k], follow=window > 1) for k in taken]
        batch = joined(parts)
        yield mirrored(batch) if rng.random() < 0.5 else batch


def train(
    network: PillarVectorStudent, batches: Iterator[Batch], config: TrainConfig, steps: int
) -> PillarVectorStudent:
    """The network after so many steps, its weights averaged."""
    average = copy.deepcopy(network)
    parameters = [p for name, p in network.named_parameters() if name.startswith(("decoder.", "memory."))]
    means = [p for name, p in average.named_parameters() if name.startswith(("decoder.", "memory."))]
    optimizer = Muon(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    for step in range(1, steps + 1):
        batch = next(batches)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1, step / 30) * 0.5 * (1 + math.cos(math.pi * step / steps))
        prediction = network(batch)
        prediction.semantic = None
        terms: dict[str, Tensor] = map_terms(prediction, batch, config.loss, config.grid)
        optimizer.zero_grad()
        weigh(terms, config.loss).backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        optimizer.step()
        decay = min(config.ema, step / (9 + step))
        with torch.no_grad():
            for mean, value in zip(means, parameters, strict=True):
                mean.lerp_(value, 1 - decay)
        if step % 50 == 0:
            listed = {name: round(float(term.detach()), 2) for name, term in terms.items()}
            print(f"step {step}, {time.process_time():.0f} s of processor time: {listed}", flush=True)
    return reading_features(average)


@torch.inference_mode()
def scores(network: PillarVectorStudent, stored: Features, config: TrainConfig, follow: bool) -> dict[str, Any]:
    """AP of whole drives, and of their frames without the first of each drive."""
    seen, drives = VectorValidation(config), drives_in_order(stored.poses)
    for drive in drives:
        batch = stored.batch(drive, follow)
        seen.see(batch, network(batch))
    firsts, place = set(), 0
    for drive in drives:
        firsts.add(place)
        place += len(drive)
    later = [frame for k, frame in enumerate(seen.frames) if k not in firsts]
    found = {}
    for name, frames in (("all", seen.frames), ("after the first", later)):
        total = seen.definition.total(frames)
        found[name] = {"mean": round(100 * total.mean, 2)} | {k: round(100 * v, 2) for k, v in total.per_class.items()}
    return found


def main() -> None:
    """Trains, scores and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, metavar="CACHE")
    parser.add_argument("--test", type=Path, required=True, metavar="CACHE")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON")
    parser.add_argument("--init", default="nano", metavar="CARD", help="weights to start from (%(default)s)")
    parser.add_argument("--options", type=json.loads, default={}, metavar="JSON", help="what differs from vector_nano")
    parser.add_argument("--drives", type=int, nargs=2, default=(80, 16), metavar="N", help="to train and to score on")
    parser.add_argument("--first", type=int, default=600, metavar="STEPS", help="of single frames")
    parser.add_argument("--steps", type=int, default=400, help="of each of the two")
    parser.add_argument("--rates", type=float, nargs=2, default=(1e-2, 5e-3), help="of the first steps, and of these")
    parser.add_argument("--batch", type=int, default=4, metavar="FRAMES")
    parser.add_argument("--window", type=int, default=4, metavar="FRAMES")
    parser.add_argument("--memory", type=int, default=10, metavar="ELEMENTS")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    options = {"variant": "vector_nano", **args.options}
    config = TrainConfig(
        model="vector_student", data=DataConfig(image_size=(352, 128)), weight_decay=1e-2, ema=0.98,
        learning_rate=args.rates[0], loss=LossConfig(semantic=0, element_class=4, edges=0.3, likeness_m=1, repeats=3),
    )
    later = replace(config, learning_rate=args.rates[1], loss=replace(config.loss, repeats=1))

    def fresh(memory: int) -> Any:
        torch.manual_seed(args.seed)
        made = build_model(config.model, config.grid, config.data.image_size, {**options, "memory": memory})
        start_from(made, args.init)
        return made.eval()

    single = fresh(0)
    test, learned = (features(single, cache, config, n) for cache, n in zip((args.test, args.train), args.drives[::-1],
                                                                          strict=True))
    print(f"{len(learned.frames)} and {len(test.frames)} frames stored, {time.process_time():.0f} s", flush=True)
    rngs = [np.random.default_rng((args.seed, k)) for k in range(3)]
    start = train(reading_features(single), draws(learned, args.batch, 1, rngs[0]), config, args.first)
    result: dict[str, Any] = {"command": command_line(), "start": scores(start, test, config, False)}
    print(json.dumps(result["start"]), flush=True)
    for name, memory in (("single", 0), ("memory", args.memory)):
        network, began = reading_features(fresh(memory)), time.process_time()
        network.load_state_dict(start.state_dict(), strict=False)
        drawn = draws(learned, args.batch, args.window if memory else 1, rngs[1 if memory else 2])
        taught = train(network, drawn, later, args.steps)
        result[name] = {"seconds": round(time.process_time() - began), **scores(taught, test, config, bool(memory))}
        if memory:
            result["memory switched off"] = scores(taught, test, config, False)
        print(json.dumps({name: result[name]}), flush=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
