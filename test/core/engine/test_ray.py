"""Units on a Ray cluster of local processes: each result once, in order, whatever is killed and whoever comes late."""
from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path

import pytest
from counted_work import Square, log
from ray_cluster import ROOT, ray_cluster
from tiny_student import save_tiny_student

from mapkd_core.commands.main import main
from mapkd_core.engine import EngineFault, EngineOptions, open_engine, ray_unit, ray_worker
from mapkd_core.engine.ray_engine import _why_not

pytest.importorskip("ray", reason="a cluster needs Ray: pip install '.[cluster]'")
SUPPORT = f"{ROOT}{os.pathsep}{ROOT / 'test' / 'support'}"
CACHE = ["--size", "96x48", "--reach", "40", "25", "--shard-frames", "5"]


def begun(folder: Path, number: int) -> list[list[str]]:
    return [words for words in log(folder) if words[:2] == ["begun", str(number)]]


def whole(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def one_node():
    with ray_cluster() as cluster:
        cluster.start_head(2, SUPPORT)
        yield cluster


@pytest.mark.slow  # a head that starts on a busy machine may take longer than Ray's client waits
def test_a_cluster_gives_the_bytes_of_one_machine_and_loses_nothing_with_a_worker(one_node, tmp_path, capsys):
    with open_engine(EngineOptions(one_node.address)) as engine:
        assert engine.workers() == 2 and not engine.alone
        assert list(engine.map(Square(tmp_path, wait_s=0.2, kills_at=5), range(12))) == [n * n for n in range(12)]
        assert (tmp_path / "killed").exists() and len(begun(tmp_path, 5)) == 2, "begun again after its worker was lost"
        assert all(len(begun(tmp_path, n)) == 1 for n in range(12) if n != 5)
        with pytest.raises(ValueError, match=r"^number 3 is damaged$"):
            list(engine.map(Square(tmp_path, fails_at=3), range(6)))
        with pytest.raises(EngineFault, match=r"workers were lost 4 times at a unit of work \(5\)"):
            list(engine.map(Square(tmp_path, kills_at=5, always=True), range(6)))
    for name, more in (("one", []), ("many", ["--engine", one_node.address])):
        assert main(["cache", "simdrive-v1:val:small:2", str(tmp_path / name), *CACHE, *more]) == 0
    assert whole(tmp_path / "one") == whole(tmp_path / "many") and len(whole(tmp_path / "many")) > 2


@pytest.mark.slow
def test_a_node_that_comes_late_helps_and_one_that_dies_costs_nothing(tmp_path):
    with ray_cluster() as cluster:
        cluster.start_head(1, SUPPORT)
        nodes = []
        adding = threading.Thread(target=lambda: nodes.append(cluster.add_node("late", 1, SUPPORT)))
        with open_engine(EngineOptions(cluster.address)) as engine:
            results = engine.map(Square(tmp_path, wait_s=0.4), range(200))
            done = [next(results)]
            adding.start()
            for result in results:
                done.append(result)
                if nodes and sum(words[-1] == "late" for words in log(tmp_path)) > 3:
                    nodes.pop().kill()
        adding.join()
    assert done == [n * n for n in range(200)] and not nodes, "the late node came, helped and died"
    late = {int(words[1]) for words in log(tmp_path) if words[0] == "begun" and words[-1] == "late"}
    again = {n for n in range(200) if len(begun(tmp_path, n)) > 1}
    assert len(late) >= 3 and len(again) <= 2 and again <= late, "only what was under way there is done again"


@pytest.mark.slow
def test_every_command_gives_the_bytes_of_one_machine_on_two_nodes(tmp_path):
    weights = save_tiny_student(tmp_path)
    export = ["sim", "export", "--drives", "2", "--frames", "3", "--size", "96x54"]
    with ray_cluster() as cluster:
        cluster.start_head(1, SUPPORT)
        cluster.add_node("second", 1, SUPPORT)
        for name, more in (("one", []), ("many", ["--engine", cluster.address])):
            assert main([*export, "--out", str(tmp_path / name / "data"), *more]) == 0
            assert main(["cache", str(tmp_path / "one" / "data"), str(tmp_path / name / "cache"), *CACHE, *more]) == 0
            data = ["--data", f"cache:{tmp_path / 'one' / 'cache'}", "--out", str(tmp_path / name / "scores")]
            assert main(["evaluate", "--weights", str(weights), *data, "--images", "0", *more]) == 0
    one, many = whole(tmp_path / "one"), whole(tmp_path / "many")
    assert one.keys() == many.keys() and len(one) > 50
    assert [name for name in one if one[name] != many[name]] == []


def test_workers_that_differ_are_told(monkeypatch):
    assert ray_worker._differs(ray_worker.here()) is None
    told = ray_worker._differs({**ray_worker.here(), "Python": "3.9", "code": "abc"})
    differs = r"\(code \w{12}, here abc, Python 3\.\d+, here 3\.9\)"
    assert re.search(rf"node \S+ has another build of mapkd_core {differs}", told)
    monkeypatch.setitem(sys.modules, "mapkd_core.engine.ray_worker", None)
    kind, told = ray_unit.begin("job", [], b"")
    assert kind == ray_worker.DIFFERS and "cannot import mapkd_core" in told and "\n" not in told
    error = RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.1")
    told = _why_not("ray://host:10001", error)
    late = RuntimeError("The current node timed out.\nTraceback: ...")
    assert _why_not("ray://local-2", late).startswith("Ray does not start on this machine (The current node timed")
    assert _why_not("ray://localhost:1", late).startswith("no Ray cluster answers at ray://localhost:1 (The current")
    assert "another version of Ray or Python" in told and "Ray: 2.9.0 Python: 3.10.1" in told


def test_an_error_that_cannot_travel_comes_as_its_words():
    class Local(Exception):
        pass

    error = ray_worker._that_travels(Local("no\nway"))
    assert isinstance(error, EngineFault) and str(error) == "Local: no way"


def test_no_cluster_is_told_in_a_line(tmp_path, capsys):
    words = ["cache", "simdrive-v1:val:small:1", str(tmp_path / "c"), *CACHE, "--engine", "ray://127.0.0.1:9"]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("mapkd cache: no Ray cluster answers at ray://127.0.0.1:9 (") and told.count("\n") == 1
    words[-1] = "ray://localhost:9"  # a host, not a Ray of its own
    assert main(words) == 2 and "answers at ray://localhost:9 (" in capsys.readouterr().err
