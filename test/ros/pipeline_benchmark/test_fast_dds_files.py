"""Shared memory that killed processes leave."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mapkd_ros.pipeline_benchmark import fast_dds_files
from mapkd_ros.pipeline_benchmark.fast_dds_files import remove_left_over


@pytest.mark.parametrize("maker", ["fastdds", "fastrtps"])  # from version 3 on, and before
def test_only_files_that_nobody_maps_are_removed(maker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_dds_files, "SHARED", tmp_path)
    used, left, foreign = (tmp_path / f"{maker}_{name}" for name in ("used", "left", "foreign"))
    for path in (used, left, foreign):
        path.write_bytes(b"x" * 4096)
    wait = "import mmap, sys; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0); print('mapped', flush=True); "
    with subprocess.Popen(
        [sys.executable, "-c", wait + "sys.stdin.read()", used], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == b"mapped\n"
        assert fast_dds_files.shared_files(child.pid) == {used}
        assert remove_left_over({used, left}) == [left]
        assert used.exists() and foreign.exists() and not left.exists()
        child.communicate()
    assert remove_left_over(set()) == []
    assert fast_dds_files.shared_files(2**22 + 1) == set()
