"""A table of the vector student with every row of the shipped plan, at a tiny size: that it can be made."""
import json
from pathlib import Path

import pytest
import yaml
from invented_frames import Drive

from mapkd_core.commands.main import main
from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import write_cache

ROOT = Path(__file__).parents[3]
GRID = {"x_range_m": [-12.0, 12.0], "y_range_m": [-6.0, 6.0], "cell_m": 0.3}
NARROW = {
    "encoder": "small", "camera_channels": 8, "lidar_channels": 8, "pillar_width": 8, "view": "pillars", "bev_width": 8,
    "mae_dim": 16, "mae_layers": 1, "mae_heads": 2, "outputs": ["semantic"],
}  # fmt: skip
VECTOR = {
    "variant": "vector_nano", "image_width": 8, "view_channels": 8, "bev_width": 8, "width": 16, "hidden": 16,
    "vectors": 5, "points": 4, "layers": 2, "heads": 4, "sampling_heads": 4,
}  # fmt: skip


def written(folder, name, values, **changes):
    """The config with one step on the tiny cache, written for the plan; returns its path."""
    tiny = {"grid": GRID, "steps": 1, "batch_size": 1, "val_every": 1, "val_batches": 1, "warmup_steps": 0,
            "out": str(folder / "runs"), "accelerator": "cpu", "init": []}  # fmt: skip
    data = {**values["data"], "train": f"cache:{folder / 'frames'}", "val": f"cache:{folder / 'frames'}", "workers": 0}
    (folder / name).write_text(yaml.safe_dump({**values, **tiny, "data": data, **changes}))
    return str(folder / name)


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


@pytest.mark.slow
def test_every_row_of_the_plan_can_be_made(tmp_path):
    write_cache(Drive(2), tmp_path / "frames", CacheOptions((176, 64), (60.0, 40.0), lidar=True), progress=False)
    plan, runs = read("config/train/small/benchmark_vector.yaml"), tmp_path / "runs" / "small_vector"
    tiny = {"teacher": ("pmapnet_cl_sd", NARROW), "coach": ("coach_sd", NARROW),
            "vector_teacher": ("vector_student", VECTOR)}  # fmt: skip
    networks = {}
    for name, (model, options) in tiny.items():
        values = read(plan["networks"][name]["config"])
        networks[name] = {"config": written(tmp_path, f"{name}.yaml", values, model=model, model_options=options)}
    rows = {row: {**changes, **({"teacher": str(runs / "vector_teacher")} if "teacher" in changes else {})}
            for row, changes in plan["rows"].items()}  # fmt: skip
    places = {"teacher": str(runs / "teacher"), "coach": str(runs / "coach")}
    base = written(tmp_path, "distill.yaml", read(plan["distill"]), model_options=VECTOR, **places)
    changed = {**plan, "networks": networks, "rows": rows, "test": "", "distill": base}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(changed))
    assert main(["benchmark", "distill", "--plan", str(tmp_path / "plan.yaml")]) == 0
    table = (runs / "table.md").read_text()
    assert "Not run" not in table and "the same network, parameter by parameter" in table
    found = {entry["row"] for entry in json.loads((runs / "table.json").read_text())}
    assert found == {"none", "mapkd", "mapdistill", "matched_queries", *tiny}
