"""The planter of named faults (`make faults`): which tests it chooses, what it refuses, what it reports."""
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

import faults
from faults_lines import chosen_tests

SOURCE = """LIMIT = 3


def first(x):
    if x > LIMIT:
        return (
            x + 1
        )
    return x


def second(x):
    return x * 2
"""
KNOWN = {
    "slow": (9.0, {"a/one.py": [5, 6, 13]}), "all": (0.3, {"a/one.py": [4, 5, 6, 7, 9, 12, 13]}),
    "low": (0.1, {"a/one.py": [4, 5, 9]}), "high": (0.2, {"a/one.py": [4, 5, 7]}), "other": (0.1, {"a/two.py": [5, 9]}),
}


@pytest.mark.parametrize(("text", "chosen"), [
    ("x > LIMIT", ["low", "high", "all"]), ("x + 1", ["high", "all"]), ("return x\n", ["low", "all"]),
    ("x * 2", ["all"]), ("LIMIT = 3", ["low", "high", "all"]),
])  # fmt: skip
def test_the_tests_that_run_a_statement_come_shortest_first(text, chosen):
    begin = SOURCE.index(text)
    assert chosen_tests(SOURCE, "a/one.py", begin, begin + len(text.rstrip()), KNOWN, 5.0) == chosen


def test_what_is_executed_at_import_is_left_to_the_files_own_tests_first():
    known = {"test/test_two.py::quick": KNOWN["low"], "test/test_one.py::slower": KNOWN["all"]}
    assert chosen_tests(SOURCE, "a/one.py", 0, 9, known, 5.0) == ["test/test_one.py::slower", "test/test_two.py::quick"]
    assert chosen_tests("A = 1\n", "a/none.py", 0, 5, known, 5.0) == list(known), "a file without functions"


def test_what_cannot_be_planted_is_told(tmp_path):
    listed = tmp_path / "faults.txt"
    listed.write_text("# a remark\n\nlosses.py: _SURE = 20.0 => _SURE = 5.0\nlosses.py: ) ** 2\\n => )\\n\n")
    sure, square = faults.read_faults(listed)
    changed, begin, end = sure.text()
    assert "_SURE = 5.0" in changed and (faults.ROOT / sure.path).read_text()[begin:end] == "_SURE = 20.0"
    assert square.old == ") ** 2\n"
    with pytest.raises(ValueError, match="stands there 2 times, expected once"):
        square.text()
    with pytest.raises(ValueError, match="faults are planted in mapkd_core/distill"):
        faults.part_of("mapkd_core/schema.py")
    listed.write_text("losses.py: nothing changes\n")
    with pytest.raises(ValueError, match=r"faults.txt:1: .*expected 'path below mapkd_core: old => new'"):
        faults.read_faults(listed)


@pytest.mark.slow
def test_a_fault_is_found_and_what_changes_nothing_is_left(tmp_path, root):
    listed = tmp_path / "faults.txt"
    listed.write_text(
        "loss_config.py: dice: float = 0.0 => dice: float = 0.5\n"
        "loss_config.py: distance: float = 0.1 => distance: float = 1e-1\n"
        "loss_config.py: no such text => or another\n"
    )
    command = [sys.executable, str(root / "scripts" / "faults.py"), str(listed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert [line.partition(":")[0] for line in done.stdout.splitlines()[:3]] == ["found", "left", "not planted"]
    assert done.stdout.splitlines()[-1] == "1 found, 1 left, 0 not finished, 1 not planted" and done.returncode == 1
