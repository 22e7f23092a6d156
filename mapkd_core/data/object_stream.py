"""Records of shards in object storage: whole stretches by one request, the next ones fetched meanwhile."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from mapkd_core.storage import Storage

BLOCK_BYTES = 4 << 20
"""About what a request asks for; one for each record would mostly wait."""
_AHEAD = 4
"""Blocks under way or waiting; a loader process holds so many."""


class Stretch(NamedTuple):
    """Neighbouring records of a shard."""

    shard: str
    ends: Sequence[int]
    """Where each of the shard's records ends, bytes."""
    first: int
    last: int
    """The record behind the stretch."""


class Record(NamedTuple):
    """A record's bytes and where they stand."""

    data: bytes
    where: str


class _Block(NamedTuple):
    shard: str
    bounds: tuple[int, ...]
    """Where its first record begins, and where each ends."""


def records_ahead(storage: Storage, stretches: Iterable[Stretch], block_bytes: int = BLOCK_BYTES) -> Iterator[Record]:
    """The stretches' records, in order. Raises what the storage raises."""
    blocks = (block for stretch in stretches for block in _blocks(stretch, block_bytes))
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="shard") as pool:
        waiting: deque[tuple[_Block, Future[list[bytes]]]] = deque()
        try:
            while True:
                while len(waiting) < _AHEAD and (block := next(blocks, None)) is not None:
                    piece = block.shard, block.bounds[0], block.bounds[-1]
                    waiting.append((block, pool.submit(storage.read_pieces, [piece])))
                if not waiting:
                    return
                block, future = waiting.popleft()
                (data,) = future.result()
                at = block.bounds[0]
                for begin, end in zip(block.bounds, block.bounds[1:], strict=False):
                    yield Record(data[begin - at : end - at], f"{storage.location}/{block.shard} at byte {begin}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _blocks(stretch: Stretch, block_bytes: int) -> Iterator[_Block]:
    bounds = [stretch.ends[stretch.first - 1] if stretch.first else 0]
    for end in stretch.ends[stretch.first : stretch.last]:
        bounds.append(end)
        if end - bounds[0] >= block_bytes:
            yield _Block(stretch.shard, tuple(bounds))
            bounds = [end]
    if len(bounds) > 1:
        yield _Block(stretch.shard, tuple(bounds))
