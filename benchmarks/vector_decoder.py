"""Trains the vector student's decoder on stored BEV features, which a frozen trunk gives once and for all.

    python benchmarks/vector_decoder.py --train runs/simdrive/train_bodies --val runs/simdrive/val --out first.json \\
        --steps 800 --of 3200 --rate 1e-2 --repeats 3 --loss element_class=2 edges=0.1
    python benchmarks/vector_decoder.py --train runs/simdrive/train_bodies --val runs/simdrive/val --out vector.json \\
        --init first.json --steps 1800 --rate 4e-3 --loss element_class=4 edges=0.3 likeness_m=2

A step takes the decoder's time alone, less than half of that with frozen images (config/train/vector_nano.yaml). The
price: images are not changed; features and labels are mirrored at random. The rate falls as a cosine that is zero at
step --of, by default the last. Every 400 steps it prints the AP of the validation frames by averaged weights.
"""
from __future__ import annotations

import argparse
import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mapkd_core.artifact import ModelCard, card_path, load_card, save_artifact
from mapkd_core.benchmark.machine import command_line
from mapkd_core.config import DataConfig, LossConfig, TrainConfig
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


class Stored:
    """Features of a cache's frames in a file (float16), their labels in memory."""

    def __init__(self, cache: Path, network: PillarVectorStudent, config: TrainConfig, folder: Path) -> None:
        source, collate = open_samples(f"cache:{cache}", config), collate_for(config)
        rows, cols = network.plane.size
        place, shape = folder / f"{cache.name}.npy", (len(source), network.vector_config.bev_width, rows, cols)
        fresh = not place.is_file()
        self.features = np.lib.format.open_memmap(place, "w+" if fresh else "r", np.float16, shape if fresh else None)
        self.targets: list[VectorTargets] = []
        self.labels: list[Batch] = []
        for first in range(0, len(source), AT_ONCE):
            batch = collate([source[k] for k in range(first, min(first + AT_ONCE, len(source)))])
            if fresh:
                self.features[first : first + AT_ONCE] = read(network, batch).numpy()
            known = batch_targets(batch, config.grid, network.vector_config.points)
            self.targets += [of_frame for of_frame in known if of_frame]
            self.labels.append(replace(batch, images=batch.images[:, :, :, :1, :1], semantic=None, instance=None))

    def __len__(self) -> int:
        return len(self.targets)


@torch.inference_mode()
def read(network: PillarVectorStudent, batch: Batch) -> torch.Tensor:
    """B F Y X of frames as they are."""
    lookup = Student.lookup(network, batch.intrinsics, batch.base_from_camera)
    features = network.trunk(batch.images.flatten(0, 1)).unflatten(0, batch.images.shape[:2])
    return network._scales(features, lookup)["fine"].half()


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
def scores(network: PillarVectorStudent, stored: Stored, config: TrainConfig) -> str:
    """AP of the stored frames."""

    class Alone:
        world_size = 1

    validation = VectorValidation(config)
    for number, batch in enumerate(stored.labels):
        part = stored.features[number * AT_ONCE : number * AT_ONCE + len(batch.images)].astype(np.float32)
        validation.see(batch, network._elements(torch.from_numpy(part), network.decoder.start(), deep=False))
    found = validation.result(Alone())  # type: ignore[arg-type]
    return ", ".join(f"{name} {100 * value:.1f}" for name, value in found.items())


def train(
    network: PillarVectorStudent, stored: Stored, val: Stored, config: TrainConfig, args: argparse.Namespace
) -> None:
    """The network's decoder then holds averaged weights."""
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
            falling = 0.5 * (1 + math.cos(math.pi * step / (args.of or args.steps)))
            group["lr"] = config.learning_rate * min(1, step / 100) * falling
        loss, found = config.loss, network._elements(features, decoder.start())
        terms = vector_terms(found, targets, loss, config.grid, loss.repeats)
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
        if step % 400 == 0:
            network.decoder = average
            print(f"step {step}: {scores(network, val, config)}", flush=True)
            network.decoder = decoder
    network.decoder = average


def main() -> None:
    """Trains and writes the artifact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, metavar="CACHE")
    parser.add_argument("--val", type=Path, required=True, metavar="CACHE")
    parser.add_argument("--out", type=Path, required=True, metavar="CARD")
    parser.add_argument("--features", type=Path, default=Path("runs/vector_features"), metavar="DIR")
    parser.add_argument("--init", default="nano", metavar="CARD", help="weights to start from (%(default)s)")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--of", type=int, default=0, metavar="STEPS")
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--repeats", type=int, default=1, help="elements that answer for each true one")
    parser.add_argument("--loss", nargs="*", default=[], metavar="NAME=WEIGHT")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    args.features.mkdir(parents=True, exist_ok=True)
    weights = {name: float(value) for name, value in (pair.split("=") for pair in args.loss)}
    config = TrainConfig(
        model="vector_student", data=DataConfig(image_size=(352, 128)), batch_size=4, learning_rate=args.rate,
        weight_decay=1e-2, ema=0.995, seed=args.seed, loss=LossConfig(repeats=args.repeats, **weights),
    )
    network = PillarVectorStudent(config.grid, config.data.image_size, vector_config(OPTIONS))
    start_from(network, args.init)
    network.eval()
    stored, val = (Stored(cache, network, config, args.features) for cache in (args.train, args.val))
    train(network, stored, val, config, args)
    print(f"{args.steps} steps: {scores(network, val, config)}")
    facts = {"step": args.steps, "command": command_line()}
    card = ModelCard("vector-nano", "0.1.0", config.model, OPTIONS, config.grid, config.data.image_size, training=facts)
    save_artifact(args.out, replace(card, cameras=load_card(card_path("nano")).cameras), network.state_dict())


if __name__ == "__main__":
    main()
