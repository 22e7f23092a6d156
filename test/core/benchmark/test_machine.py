"""The machine's description and the summary of times."""
import numpy as np
import pytest
import torch

from mapkd_core.benchmark import machine


def test_summary_of_a_known_list():
    assert machine.summary([1.0] * 19 + [100.0]) == pytest.approx((1.0, np.percentile([1.0] * 19 + [100.0], 95), 100.0))
    with pytest.raises(ValueError, match="at least one round"):
        machine.summary([])


def test_description_names_what_a_reader_needs():
    text = machine.describe(threads=2, packages=("torch", "no-such-package"))
    assert machine.cpu_name() in text and "2 threads" in text and "torch " in text and "load average" in text
    assert "no-such-package" not in text
    assert machine.cores() >= 1 and machine.peak_memory_mb() > 10


def test_limits_are_positive_and_leave_the_thread_count():
    before = torch.get_num_threads()
    assert machine.matmul_gflops(threads=1, size=64) > 0
    assert torch.get_num_threads() == before
    assert machine.memory_gbs(megabytes=1) > 0


def test_table():
    assert machine.markdown_table(("a", "b"), [("x", 1.26), (2, "y")]) == "| a | b |\n|---|---|\n| x | 1.3 |\n| 2 | y |"
