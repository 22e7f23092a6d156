"""Compare distillation methods: train teacher, coach, peers and a student for every method, score all, write the table.

examples:
  mapkd benchmark distill --plan config/train/small/benchmark.yaml
  mapkd benchmark distill --plan config/train/small/benchmark.yaml --rows none mapkd ours --threads 2
  mapkd benchmark distill --plan config/train/small/benchmark.yaml --train nothing
  mapkd benchmark distill --plan config/train/small/benchmark.yaml --engine ray://head:10001 --unit-cpus 8
  mapkd benchmark distill --plan config/train/small/benchmark.yaml --split val     # while recipes are chosen

Checkpoints and recipes are chosen on the validation data, the table reports the plan's test data. The plan names the
networks that are trained first, in order, and the rows of the table. Students of one seed train side by side on the
same batches. Whatever is interrupted goes on when the same command is run again: finished runs are skipped, others
resume at their last checkpoint. The table, its JSON and every run lie below the plan's folder.
"""
from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.benchmark.distill_jobs import NOTE, ScoreRun, TrainNetwork, TrainRows, missing
from mapkd_core.engine import open_engine
from mapkd_core.engine.arguments import add_engine_options, chosen_engine
from mapkd_core.files import inside, write_atomic
from mapkd_core.output_file import output_file
from mapkd_core.progress import Progress
from mapkd_core.storage import Storage, open_storage

if TYPE_CHECKING:
    from mapkd_core.config import TrainConfig
    from mapkd_core.distill.config import DistillConfig
    from mapkd_core.engine import Engine


@dataclass(frozen=True)
class BenchmarkPlan:
    """What is trained and compared; `mapkd benchmark distill --plan FILE`."""

    name: str
    """Folder below the configs' `out` where the table goes."""
    distill: str
    """Config of a distillation run: student, teacher, coach, budget, data."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Overrides of that config for all rows."""
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Teacher, coach and peers, trained first and in this order: name -> `config`, the path of a training config, and
    overrides of it. The run is called `PLAN/NAME`."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Row -> overrides of the distillation config; a row that names no `method` is called like its method. A group
    such as `data` is overridden key by key, as everywhere here."""
    repeat: tuple[str, ...] = ()
    """Rows that are trained again under every further seed."""
    seeds: tuple[int, ...] = (0,)
    """The first seed trains all rows."""
    test: str = ""
    """`cache:DIR` whose frames the table reports. Whatever is chosen, a run's best checkpoint too, is chosen on
    `data.val`, which a plan without test data reports."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.repeat) - set(self.rows))
        if unknown or "none" not in self.rows:
            raise ValueError(f"rows are {sorted(self.rows)}; expected `none` and those of repeat ({unknown} missing)")
        for name, network in self.networks.items():
            if "config" not in network:
                raise ValueError(f"network {name} is {network}; expected `config`, a path, and overrides of it")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--plan", required=True, metavar="YAML", help="such as config/train/small/benchmark.yaml")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these rows; all by default")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="only these seeds of the plan")
    parser.add_argument("--threads", type=int, default=1, help="students that step at the same time, a core each")
    parser.add_argument("--processes", type=int, default=1, help="processes for scoring")
    parser.add_argument("--train", choices=("all", "networks", "rows", "nothing"), default="all", help="what to train")
    parser.add_argument(
        "--split", choices=("test", "val"), help="what the table reports (default: the plan's test data, if it has any)"
    )
    parser.add_argument("--rescore", action="store_true", help="score finished runs again, as after a new vectorizer")
    add_engine_options(parser, "networks, rows and scores")
    parser.add_argument("--out", type=output_file, metavar="FILE.md", help="also write the table here")


def run(args: argparse.Namespace) -> int:
    """Trains what is missing, scores it, prints the table."""
    from mapkd_core.runtime import wait_without_spinning

    wait_without_spinning()  # before torch is imported: loaders want the cores too
    from mapkd_core.benchmark.distill_table import Entry, write_table
    from mapkd_core.config import load_config
    from mapkd_core.distill.config import DistillConfig

    plan = load_config(BenchmarkPlan, args.plan)
    test = reported(plan, args.split)
    base, networks = load_config(DistillConfig, plan.distill), network_configs(plan)
    folder = inside(base.out, plan.name)
    write_atomic(folder / NOTE, Path(args.plan).read_text())
    storage = open_storage(folder)
    with open_engine(chosen_engine(args, 0)) as engine:
        if args.train in ("all", "networks"):
            for config in networks.values():
                list(engine.map(TrainNetwork(storage), [config]))  # one may start from another
        if args.train in ("all", "rows"):
            for seed in args.seeds or plan.seeds:
                _train_rows(row_configs(plan, base, seed), args.rows, args.threads, storage, engine)
        # hd_prior completes true maps: there is nothing to score
        trained = [(name, config) for name, config in networks.items() if config.model != "hd_prior"]
        rows = [pair for seed in plan.seeds for pair in row_configs(plan, base, seed).items()]
        runs: list[tuple[str, TrainConfig]] = [*trained, *rows]
        results = engine.map(ScoreRun(args.processes, args.rescore, test), [config for _, config in runs])
        scored = [Entry(name, config, result) for (name, config), result in zip(runs, results, strict=True)]
    entries, students = scored[: len(trained)], scored[len(trained) :]
    print(write_table(folder, entries, students, args.plan, test))
    if args.out:
        write_atomic(args.out, (folder / "table.md").read_text())
    return 0


def reported(plan: BenchmarkPlan, split: str | None) -> str:
    """The test data that the table reports, empty for validation data. Raises ValueError for a test without any."""
    if split == "test" and not plan.test:
        raise ValueError(f"--split test, but the plan {plan.name} names no test data; set test: cache:DIR in it")
    return "" if split == "val" else plan.test


def row_configs(plan: BenchmarkPlan, base: DistillConfig, seed: int) -> dict[str, DistillConfig]:
    """Row -> the config of its run under one seed, `PLAN/ROW` or `PLAN/ROW-seedN`."""
    from mapkd_core.config import config_dict, load_config_dict
    from mapkd_core.distill.config import DistillConfig

    configs = {}
    for row, changes in plan.rows.items():
        if seed == plan.seeds[0] or row in plan.repeat:
            name = f"{plan.name}/{row}" + (f"-seed{seed}" if seed != plan.seeds[0] else "")
            values = _changed(config_dict(base), plan.changes, {"method": row}, changes, {"name": name, "seed": seed})
            configs[row] = load_config_dict(DistillConfig, values, where=f"row {row}")
    return configs


def network_configs(plan: BenchmarkPlan) -> dict[str, TrainConfig]:
    """Name -> the config of the network's run."""
    from mapkd_core.config import TrainConfig, config_dict, load_config, load_config_dict

    configs = {}
    for name, changes in plan.networks.items():
        own = dict(changes)
        values = config_dict(load_config(TrainConfig, own.pop("config")))
        values = _changed(values, own, {"name": f"{plan.name}/{name}"})
        configs[name] = load_config_dict(TrainConfig, values, where=f"network {name}")
    return configs


def _changed(values: dict[str, Any], *layers: dict[str, Any]) -> dict[str, Any]:
    """Plain values with layers of overrides on top; only what they name of a group changes."""
    for layer in layers:
        merged = {
            key: _changed(values[key], new) if isinstance(new, dict) and isinstance(values.get(key), dict) else new
            for key, new in layer.items()
        }
        values = {**values, **merged}
    return values


def _train_rows(
    configs: dict[str, DistillConfig], only: list[str] | None, threads: int, storage: Storage, engine: Engine
) -> None:
    """On one machine all rows of a seed with the same teachers share their predictions; on several each is a unit."""
    from mapkd_core.training.lockstep import side_by_side

    unknown = sorted(set(only or ()) - set(configs))
    if unknown:
        raise ValueError(f"rows {unknown} are not in the plan, which has {sorted(configs)}")
    wanted = missing([config for row, config in configs.items() if row in (only or configs)])
    units = side_by_side(wanted) if engine.alone else [[config] for config in wanted]
    with Progress("rows", len(wanted), "row", shown=not engine.alone) as bar:
        for unit, _ in zip(units, engine.map(TrainRows(storage, threads), units), strict=True):
            bar.update(len(unit))
