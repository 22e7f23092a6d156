"""Merging by time."""
from mapkd_core.bags.time_order import in_time_order


def test_sources_are_merged_and_opened_only_when_it_is_their_turn():
    opened = []

    def source(name, *times):
        def read():
            opened.append(name)
            yield from ((time, name) for time in times)

        return times[0] if times else 0, read

    sources = [source("c", 7, 9), source("a", 1, 3, 8), source("empty"), source("b", 3, 4)]
    merged = in_time_order(sources, lambda item: item[0])
    assert next(merged) == (1, "a") and set(opened) == {"empty", "a"}
    assert list(merged) == [(3, "a"), (3, "b"), (4, "b"), (7, "c"), (8, "a"), (9, "c")]
    assert opened[-1] == "c"
