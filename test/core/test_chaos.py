"""A fixed part of `make chaos`: what is killed and started again ends as if nothing had happened."""
import os
import subprocess
import sys

import pytest
from chaos_jobs import JOBS


def chaos(root, *words):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(root / "benchmarks" / "chaos.py"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)

@pytest.mark.slow
@pytest.mark.parametrize("job", [job.name for job in JOBS if job.name not in ("bag --overwrite", "sim export")])
def test_killed_refused_and_twice_at_once(job, root):
    """`--only bag` and `--only export` run the two that are left out above as well."""
    pytest.importorskip("lightning_fabric", reason="training needs: pip install '.[train]'")
    done = chaos(root, "--only", job, "--kills", "3", "--seed", "1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "killed" in done.stdout

def test_a_command_dies_just_before_the_change_that_is_named(tmp_path):
    """The proof can fail: the change does not happen, those before it do."""
    program = f"""
import sys; sys.path[:0] = {sys.path!r}
from pathlib import Path
from chaos_process import start
command = start(["sim", "sheet", "--out", "new/a.png", "--scenes", "1", "--size", "32x16"], Path({str(tmp_path)!r}),
                Path({str(tmp_path)!r}) / "chaos.log", kill_before=int(sys.argv[1]))
print(command.wait(), command.output[-300:])
"""
    def run(kill_before):
        words = [sys.executable, "-c", program, str(kill_before)]
        return subprocess.run(words, capture_output=True, text=True, timeout=300, check=True).stdout

    assert run(0).startswith("0 ")
    changes = (tmp_path / "chaos.changes").read_text().splitlines()
    rename = next(number for number, line in enumerate(changes, 1) if line.startswith("os.rename"))
    whole = (tmp_path / "new" / "a.png").read_bytes()
    (tmp_path / "new" / "a.png").unlink()
    assert run(rename).startswith("-9 ")
    (partial,) = (tmp_path / "new").iterdir()
    assert partial.name.startswith(".a.png.") and partial.read_bytes() == whole
