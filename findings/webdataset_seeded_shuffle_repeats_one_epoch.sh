#!/usr/bin/env bash
# Seen: 2026-11-29 with webdataset 1.0.2, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: A shuffled WebDataset gives another order in each epoch, a seeded one the same orders again in the next run.
# Happens: Shards are shuffled with one number drawn when the object is made, samples by shuffle(n, seed=s) with s, and both
#   start anew in each epoch: every epoch has the same order. with_epoch(n) starts at the front as well, also after repeat(),
#   so of 15 samples in epochs of 7 the same 7 are seen for ever.
# Matters: Training with a seed, for the sake of repeatable runs, and a fixed epoch length learns from a part of the drives
#   only; the loss looks fine.
# Do instead: WebDataset(..., shardshuffle=n, detshuffle=True, seed=s).compose(webdataset.detshuffle(n, seed=s)): it counts
#   epochs, and a new run gives the same ones. Count the keys seen in the first epochs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check webdataset==1.0.2 numpy==2.2.6
FOLDER=$folder "$folder/venv/bin/python" -W ignore - <<'END'
import os
import sys
from collections.abc import Callable

import webdataset
from webdataset import WebDataset

EPOCHS = 12
SHARDS = [os.path.join(os.environ["FOLDER"], f"drive-{shard}.tar") for shard in range(3)]
for shard, path in enumerate(SHARDS):
    with webdataset.TarWriter(path) as writer:
        for sample in range(5):
            writer.write({"__key__": f"{shard}_{sample}", "cls": sample})


def plain() -> WebDataset:
    return WebDataset(SHARDS, shardshuffle=3)


def seeded() -> WebDataset:
    return WebDataset(SHARDS, shardshuffle=3, seed=1).shuffle(10, seed=1)


def counting() -> WebDataset:
    return WebDataset(SHARDS, shardshuffle=3, detshuffle=True, seed=1).compose(webdataset.detshuffle(10, seed=1))


def epochs_of(make: Callable[[], WebDataset]) -> list[tuple[str, ...]]:
    dataset = make()
    return [tuple(sample["__key__"] for sample in dataset) for _ in range(EPOCHS)]


wrong = False
for name, make, several_orders, keys in (
    ("shards shuffled, no seed", plain, False, 15),
    ("seeded", seeded, False, 15),
    ("seeded, epochs of 7", lambda: seeded().with_epoch(7), False, 7),
    ("seeded, repeated, epochs of 7", lambda: seeded().repeat().with_epoch(7), False, 7),
    ("detshuffle, epochs of 7", lambda: counting().with_epoch(7), True, 15),
):
    epochs = epochs_of(make)
    orders, seen = len(set(epochs)), len({key for epoch in epochs for key in epoch})
    print(f"{name}: {orders} orders in {EPOCHS} epochs, {seen} of 15 samples seen")
    if (orders > 1) != several_orders or seen != keys:
        print(f"changed: it was {'several orders' if several_orders else 'one order'} and {keys} samples")
        wrong = True
if epochs_of(counting) != epochs_of(counting):
    print("changed: a new detshuffle with the same seed gave the same epochs")
    wrong = True
sys.exit(wrong)
END
echo "as described"
