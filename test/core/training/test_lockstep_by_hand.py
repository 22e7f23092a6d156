"""Students side by side, by hand: what a step is said to cost, whose numbers it draws, which batches come."""
import contextlib
from types import SimpleNamespace

import pytest
import torch

from mapkd_core.config import TrainConfig
from mapkd_core.distill.config import DistillConfig
from mapkd_core.distill.frozen import FrozenNetworks
from mapkd_core.training import lockstep
from mapkd_core.training.lockstep import Timed


class Run:
    """Holds one tensor twice for the way back."""

    def __init__(self, step=0):
        self.step, self.seen, self.alone = step, [], 0
        self.config = TrainConfig(name="a", steps=6)
        self.fabric = SimpleNamespace(device="cpu")
        self.random = SimpleNamespace(alone=self._alone)

    @contextlib.contextmanager
    def _alone(self):
        self.alone += 1
        yield

    def advance(self, batches):
        (batch,) = batches
        self.seen.append(batch)
        one, other = torch.ones(100, requires_grad=True), torch.ones(100)
        (one * other + one[:50].repeat(2) * other).sum().backward()
        self.step += 1
        return float(len(self.seen))


def test_a_steps_cost_is_its_mean_time_and_each_tensor_that_is_kept_counts_once(monkeypatch):
    clock = iter((1.0, 1.5, 10.0, 10.1, 20.0, 20.3))
    monkeypatch.setattr(lockstep.time, "thread_time", lambda: next(clock))
    student = Timed(Run(), None)
    assert [student.advance(batch) for batch in ("x", "y", "z")] == [1.0, 2.0, 3.0]
    assert student.run.seen == ["x", "y", "z"] and student.run.alone == 0
    cost = student.cost()
    assert cost["step_ms"] == pytest.approx(300) and student.steps == 3
    assert student.kept_bytes == 400 and cost["kept_mb"] == pytest.approx(4e-4), "100 floats, held by two products"
    assert Timed(Run(), None).cost()["step_ms"] == 0


def test_a_student_that_draws_numbers_draws_its_own():
    student = Timed(Run(), None, draws=True)
    student.advance("x")
    student.advance("y")
    assert student.run.alone == 2


def test_batches_begin_where_the_students_are_and_end_with_the_run(monkeypatch):
    asked = []

    class Moved(str):
        def to(self, device):
            return f"{self} on {device}"

    def batches(config, first):
        asked.append(first)
        return (Moved(k) for k in range(first, 99))

    monkeypatch.setattr(lockstep, "training_batches", batches)
    assert list(lockstep._moved(TrainConfig(steps=6), 4, "cpu")) == ["4 on cpu", "5 on cpu"] and asked == [4]
    assert list(lockstep._moved(TrainConfig(steps=6), 6, "cpu")) == []


def test_teachers_are_asked_before_the_students_step_and_those_behind_go_first(monkeypatch):
    order = []
    monkeypatch.setattr(lockstep, "_moved", lambda config, first, device: iter([f"batch{first}"]))
    students = [
        Timed(Run(2), SimpleNamespace(ask=lambda batch, name=name: order.append((name, batch)))) for name in "ab"
    ]
    for student in students:
        student.advance = lambda batch: order.append(("step", batch)) or 1.0
    pool = SimpleNamespace(map=map)
    lockstep._advance(students, pool)
    assert order == [("a", "batch2"), ("b", "batch2"), ("step", "batch2"), ("step", "batch2")]
    students[0].run.step = 6
    lockstep._advance(students[:1], pool)
    assert len(order) == 4, "a run that is at its end takes no batch"


def test_students_at_different_steps_go_on_in_groups_those_farthest_behind_first(monkeypatch):
    """Each resumes; a group goes from its step to the run's end."""
    runs, groups, resumed = {"a": Run(4), "b": Run(0), "c": Run(4)}, [], []

    @contextlib.contextmanager
    def opened(config, objective):
        run = runs[config.name]
        run.config, run.trained = config, torch.nn.Dropout(0.5 if config.name == "c" else 0.0)
        run.resume = lambda: resumed.append(config.name)
        yield run, config.name != "b"

    def advance(students, pool):
        groups.append([(student.run.config.name, student.draws) for student in students])
        for student in students:
            student.run.step, student.steps = 6, 6 - student.run.step

    monkeypatch.setattr(lockstep, "open_run", opened)
    monkeypatch.setattr(lockstep, "_advance", advance)
    rows = [DistillConfig(name=name, steps=6) for name in runs]
    assert lockstep.train_together(rows, FrozenNetworks(None)).keys() == {"a", "b", "c"}
    assert groups == [[("b", False)], [("a", False), ("c", True)]] and resumed == ["a", "c"]


@pytest.mark.parametrize("change", [{"accumulate": 2}, {"devices": 2}, {"nodes": 2}])
def test_students_of_several_processes_or_of_accumulated_batches_are_refused(change, monkeypatch):
    monkeypatch.setattr(lockstep, "open_run", None)  # before any run begins
    with pytest.raises(ValueError, match="a: students train together on one device without accumulation"):
        lockstep.train_together([DistillConfig(name="a", **change)], FrozenNetworks(None))
