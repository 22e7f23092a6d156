"""Units on workers of this machine: in order, each once, whatever becomes of a worker."""
from __future__ import annotations

import itertools
import os

import pytest
from counted_work import Square, log

from mapkd_core.engine import EngineFault, EngineOptions, open_engine
from mapkd_core.engine.local import LocalEngine

NUMBERS = range(12)
SQUARES = [n * n for n in NUMBERS]


def test_units_without_processes_are_done_here_one_by_one(tmp_path):
    with open_engine(EngineOptions()) as engine:
        results = engine.map(Square(tmp_path), NUMBERS)
        assert engine.workers() == 1 and next(results) == 0 and len(log(tmp_path)) == 2, "only what was asked for"
        assert list(results) == SQUARES[1:]
    assert {words[-1] for words in log(tmp_path)} == {str(os.getpid())}


def test_units_are_shared_out_to_processes_that_prepare_once(tmp_path):
    with open_engine(EngineOptions(processes=2)) as engine:
        assert list(engine.map(Square(tmp_path, wait_s=0.05), NUMBERS)) == SQUARES
    lines = log(tmp_path)
    prepared = [words[-1] for words in lines if words[0] == "prepared"]
    assert len(prepared) == len(set(prepared)) <= 2 and str(os.getpid()) not in prepared
    assert sorted(int(words[1]) for words in lines if words[0] == "begun") == list(NUMBERS)


def test_units_are_taken_as_workers_get_free(tmp_path):
    taken = []
    endless = (taken.append(n) or n for n in itertools.count())
    results = LocalEngine(2).map(Square(tmp_path), endless)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    results.close()
    assert len(taken) <= 3 + 2 * 2


def test_a_worker_that_is_killed_costs_no_unit(tmp_path):
    assert list(LocalEngine(2).map(Square(tmp_path, kills_at=5), NUMBERS)) == SQUARES
    assert (tmp_path / "killed").exists() and sum(words[:2] == ["begun", "5"] for words in log(tmp_path)) >= 2


def test_a_unit_that_kills_every_worker_ends_with_a_line(tmp_path):
    with pytest.raises(EngineFault, match=r"lost 4 times at a unit of work \(3\); is the machine out of memory"):
        list(LocalEngine(2).map(Square(tmp_path, kills_at=3, always=True), NUMBERS))


@pytest.mark.parametrize("processes", [0, 2])
def test_what_a_job_raises_is_raised(tmp_path, processes):
    results = LocalEngine(processes).map(Square(tmp_path, fails_at=2), NUMBERS)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match=r"^number 2 is damaged$"):
        next(results)


@pytest.mark.parametrize("name", ["ray", "ray://", "ray://host", "ray://host:1x", "dask://host:1", "ray://a b:1", ""])
def test_an_engine_that_there_is_not_is_refused(name):
    with pytest.raises(EngineFault, match="is unknown; expected local, ray://HOST:PORT"):
        EngineOptions(name)
