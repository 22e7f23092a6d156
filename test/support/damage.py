"""Damage to files, drawn by Hypothesis: what a bad disk, a cut download or another program leaves behind.

Changed, cut, missing and repeated bytes; in JSON and YAML also values of another kind, keys that are missing or come
twice, values in one another's places. Nothing is nested deeper than its file is, and nothing stands for more than it
says: bounds against that are tested one by one, just over our own.
"""
from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml
from hypothesis import strategies as st

ODD = (
    None, True, False, 0, -1, 1, 2, 7, 1.5, -0.25, 1e-300, 1e9, 1e308, -1e308, float("nan"), float("inf"),
    float("-inf"), 2**31, 2**63, -(2**63) - 1, 10**40, "", "a", "0", "NaN", "../x", "/etc/passwd", "a/b", "x" * 300,
    "\u0000", "\U0001f600", "\ud800", [], [None], [0], [1, 2], [1, 2, 3], [[]], [[1, 2], [3, 4]], ["a"], {}, {"a": 1},
)  # fmt: skip
"""Values of every kind, for the place of any other."""


def changed_bytes(data: bytes) -> st.SearchStrategy[bytes]:
    """`data` with bytes changed, cut off, left out, repeated, zeroed or put in."""
    place, length = st.integers(0, max(len(data) - 1, 0)), st.integers(1, 600)

    def flipped(changes: list[tuple[int, int]]) -> bytes:
        result = bytearray(data)
        for at, value in changes:
            result[at : at + 1] = bytes([result[at] ^ value]) if data else b""
        return bytes(result)

    return st.one_of(
        st.lists(st.tuples(place, st.integers(1, 255)), min_size=1, max_size=8).map(flipped),
        place.map(lambda at: data[:at]),
        st.tuples(place, length).map(lambda cut: data[: cut[0]] + data[sum(cut) :]),
        st.tuples(place, length).map(lambda cut: data[: sum(cut)] + data[cut[0] :]),
        st.tuples(place, length).map(
            lambda cut: data[: cut[0]] + bytes(len(data[cut[0] : sum(cut)])) + data[sum(cut) :]
        ),
        st.tuples(place, st.binary(min_size=1, max_size=16)).map(lambda put: data[: put[0]] + put[1] + data[put[0] :]),
    )


def changed_values(value: Any) -> st.SearchStrategy[Any]:
    """A tree of plain values with one to three of them replaced, removed, doubled, or put in another's place."""
    place = st.sampled_from(list(_places(value)))
    change = st.tuples(place, st.sampled_from(_CHANGES), st.sampled_from(ODD), place)

    def applied(changes: list[tuple[Any, ...]]) -> Any:
        whole = [copy.deepcopy(value)]
        for place, act, odd, other in changes:
            holder = _at(whole, place[:-1])
            if holder is not None and _has(holder, place[-1]):
                act(holder, place[-1], copy.deepcopy(odd), copy.deepcopy(_at(whole, other)))
        return whole[0]

    return st.lists(change, min_size=1, max_size=3).map(applied)


def _places(value: Any, path: tuple[Any, ...] = (0,)) -> Iterator[tuple[Any, ...]]:
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from _places(entry, (*path, key))


def _at(whole: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        if not _has(whole, key):
            return None
        whole = whole[key]
    return whole


def _has(holder: Any, key: Any) -> bool:
    if isinstance(holder, dict):
        return key in holder
    return isinstance(holder, list) and isinstance(key, int) and key < len(holder)


def _replace(holder: Any, key: Any, odd: Any, other: Any) -> None:
    holder[key] = odd


def _exchange(holder: Any, key: Any, odd: Any, other: Any) -> None:
    holder[key] = other


def _remove(holder: Any, key: Any, odd: Any, other: Any) -> None:
    if len(holder) > 1 or isinstance(holder, dict):
        del holder[key]


def _double(holder: Any, key: Any, odd: Any, other: Any) -> None:
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:
        holder[f"{key}_"] = holder.pop(key)


_CHANGES = (_replace, _replace, _exchange, _remove, _double)


def _as_json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _as_yaml(value: Any) -> bytes:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=False)).encode("utf-8", "surrogatepass")


_WRITERS: Mapping[str, Callable[[Any], bytes]] = {"json": _as_json, "yaml": _as_yaml}


def changed_file(data: bytes, kind: str) -> st.SearchStrategy[bytes]:
    """A file changed in its bytes or, where `kind` (json, jsonl, yaml) says how to read it, in its values."""
    if kind == "json" or kind == "yaml":
        value = json.loads(data) if kind == "json" else yaml.safe_load(data)
        return st.one_of(changed_bytes(data), changed_values(value).map(_WRITERS[kind]))
    if kind == "jsonl":
        lines = data.splitlines()
        changed = st.integers(0, len(lines) - 1).flatmap(
            lambda at: changed_values(json.loads(lines[at])).map(
                lambda value: b"\n".join([*lines[:at], _as_json(value), *lines[at + 1 :], b""])
            )
        )
        return st.one_of(changed_bytes(data), changed)
    return changed_bytes(data)
