"""scripts/env.sh in the shells of careful scripts."""
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def test_it_may_be_sourced_twice_by_a_script_that_stops_at_the_first_failure(root: Path, tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(root / "scripts" / "env.sh", tmp_path / "scripts")
    script = f"""
set -euo pipefail
export PYTHONPATH={tmp_path}/install/lib LD_LIBRARY_PATH=/opt/cuda/lib:{tmp_path}/install/lib:/usr/lib
. {tmp_path}/scripts/env.sh
. {tmp_path}/scripts/env.sh
echo "${{PYTHONPATH-none}} $LD_LIBRARY_PATH"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["none", "/opt/cuda/lib:/usr/lib"]
