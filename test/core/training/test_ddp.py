"""Two processes over gloo train as one process with both their samples does."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def trained(tmp_path, name, devices, batch_size):
    script = ROOT / "test" / "support" / "train_toy.py"
    other_runs = ("MASTER_", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(other_runs)},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(script.parent)]), "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), name, str(devices), str(batch_size)],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / name / "log"))
    events.Reload()
    tags = ("train/total", "val/divider", "val/boundary")
    return {tag: [e.value for e in events.Scalars(tag)] for tag in tags}


def test_two_processes_have_the_losses_of_one(tmp_path):
    one, two = trained(tmp_path, "one", 1, 2), trained(tmp_path, "two", 2, 1)
    assert len(one["train/total"]) == 4 and len(one["val/divider"]) == 1
    for tag, values in one.items():
        assert two[tag] == pytest.approx(values, rel=1e-4), tag
    assert one["train/total"][3] < one["train/total"][0]
