"""The pipeline benchmark's tables."""
from __future__ import annotations

from mapkd_core.benchmark.machine import Summary
from mapkd_core.benchmark.process_usage import Usage
from mapkd_ros.pipeline_benchmark.statistics import RunFigures
from mapkd_ros.pipeline_benchmark.tables import Line, evenly, markdown


def samples(cpu_share: float) -> list[Usage]:
    return [Usage(i * 10**9, cpu_share * i, 400.0 + i, 250.0 + i / 60, 9) for i in range(-2, 121)]


def line(rate: str, mapped: int = 97) -> Line:
    times = Summary(101.4, 139.6, 180.2)
    figures = RunFigures(100, 5.0, mapped, 4.85, times, times if mapped else None, None,
                         {"wait": 1.25, "network": 60.0}, 8.0, {"missing CAM_BACK": 1, "overtaken": 2})  # fmt: skip
    used = {"sender": samples(0.03), "node": samples(0.9)}
    return Line("compressed", rate, figures, used, (0, 120 * 10**9), samples(1.33))


def rows(text: str, title: str) -> list[list[str]]:
    section = text.split(f"## {title}")[1].split("##")[0]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in section.splitlines() if row.startswith("|")]


def test_every_case_has_a_row_in_every_table() -> None:
    lines = [line("5 Hz"), line("flat out", mapped=0)]
    text = markdown(lines, "mapkd benchmark pipeline --rates 5 max", ["threads:=1"])
    assert "`mapkd benchmark pipeline --rates 5 max`" in text and "node parameters: threads:=1" in text
    head, _, first, second = rows(text, "Latency")
    assert dict(zip(head, first, strict=True)) == {
        "transport": "compressed", "rate": "5 Hz", "sent": "100", "sent Hz": "5.0", "mapped": "97", "mapped Hz": "4.8",
        "front: median / p95 / max": "101 / 140 / 180", "complete: median / p95 / max": "101 / 140 / 180",
        "markers, from front": "-",
    }  # fmt: skip
    assert second[1] == "flat out" and second[-2] == "-"
    lost = ["compressed", "5 Hz", "3", "2 overtaken; 1 missing CAM_BACK", "0.0", "0"]
    assert rows(text, "Sets without a map")[2] == lost
    assert rows(text, "Where the time goes")[2] == ["compressed", "5 Hz", "1.2", "60.0", "8.0"]
    assert rows(text, "Processor")[2] == ["compressed", "5 Hz", "3", "90", "40"]
    memory = dict(zip(*(rows(text, "Memory")[i] for i in (0, 2)), strict=True))
    assert memory["resident at start"] == "398.0" and memory["after warm-up"] == "400.0"
    assert memory["at the end"] == "520.0" and memory["slope of private [MB/min]"] == "+1.00"
    assert memory["private, first to last"] == "250 250 250 251 251 251 251 251 252 252 252"


def test_samples_are_thinned_evenly() -> None:
    assert evenly(samples(0.5), 3) == [samples(0.5)[place] for place in (0, 61, 122)]
    assert evenly(samples(0.5)[:2], 3) == samples(0.5)[:2]


def test_many_reasons_are_summed_up() -> None:
    drops = {"a": 1, "b": 9, "c": 2, "d": 8, "e": 3, "f": 7}
    many = Line("raw", "flat out", RunFigures(40, 20.0, 10, 5.0, None, None, None, drops=drops), {"node": []}, (0, 1))
    assert rows(markdown([many], "x"), "Sets")[2][3] == "9 b; 8 d; 7 f; 3 e; 3 for 2 other reasons"


def test_a_run_too_short_to_be_sampled_has_no_figures_of_memory() -> None:
    short = Line("raw", "20 Hz", RunFigures(1, 20.0, 0, 0.0, None, None, None), {"node": []}, (0, 1))
    assert rows(markdown([short], "x"), "Memory")[2] == ["raw", "20 Hz", "-"]
    assert rows(markdown([short], "x"), "Processor")[2] == ["raw", "20 Hz", "-", "-"]
