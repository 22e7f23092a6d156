"""Merges what several sources hold in order of time, none opened before its turn."""
from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def in_time_order(
    sources: Iterable[tuple[int, Callable[[], Iterator[T]]]], time_of: Callable[[T], int]
) -> Iterator[T]:
    """The items of all sources by their time; each source is (its earliest time, what opens it) and in order itself.

    Items of the same time come in the order of the sources. A bag of a hundred files has one or two open at a time.
    """
    waiting = sorted(((begin, place, open_) for place, (begin, open_) in enumerate(sources)), reverse=True)
    heap: list[tuple[int, int, T, Iterator[T]]] = []

    def push(place: int, items: Iterator[T]) -> None:
        item = next(items, None)
        if item is not None:
            heapq.heappush(heap, (time_of(item), place, item, items))

    while waiting or heap:
        while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
            _, place, open_ = waiting.pop()
            push(place, open_())
        if heap:
            _, place, item, items = heapq.heappop(heap)
            yield item
            push(place, items)
