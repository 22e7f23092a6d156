"""Schemas: what fits passes, what does not is told by place, value and expectation."""
import json

import pytest

from mapkd_core.schema import (
    FileFault,
    Misfit,
    anything,
    flag,
    integer,
    list_of,
    mapping,
    number,
    numbers,
    optional,
    parse_json,
    read_json,
    record,
    text,
    unique,
)  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (anything, [None, 3], []),
        (flag, [True, False], [0, 1, None, "true"]),
        (text(), ["", "a"], [None, 3, ["a"]]),
        (text(empty=False), ["a", "\U0001f600"], ["", None, "\ud800"]),
        (text("a", "b"), ["a", "b"], ["c", ""]),
        (number(0, 1), [0, 1, 0.5], [-1e-9, 1.1, True, "0.5", float("nan"), float("inf"), None, 10**400]),
        (number(), [1e9, -3], [1e10]),
        (integer(0, 5), [0, 5], [6, -1, 1.0, True, "1"]),
        (numbers(2), [[1, 2.5]], [[1], [1, 2, 3], [1, "2"], [1, None], [[1, 2]], [True, False], 5, [1, float("nan")]]),
        (numbers(2, 2), [[[1, 0], [0, 1]]], [[[1, 0], [0]], [[1, 0]], [1, 0, 0, 1], [[1, 0], [0, 10**400]]]),
        (numbers(None, (2, 3)), [[], [[1, 2]], [[1, 2, 3], [1, 2, 3]]], [[[1]], [[1, 2], [1, 2, 3]], [[]], [1, 2]]),
        (numbers(None, 2, at_least=2), [[[1, 2], [3, 4]]], [[], [[1, 2]]]),
        (optional(number()), [None, 3], ["a"]),
        (list_of(integer(), 1, 2), [[1], (1, 2)], [[], ["a"], [1, 2, 3], {}]),
        (mapping(integer(), 1), [{"a": 1}], [{}, {"a": "b"}, [1]]),
        (record({"a": integer()}, {"b": text()}), [{"a": 1}, {"a": 1, "b": "c", "d": 5}], [{}, {"a": 1, "b": 2}, 3]),
    ],
)
def test_what_fits(schema, good, bad):
    for value in good:
        schema(value)
    for value in bad:
        with pytest.raises(Misfit):
            schema(value)


def test_the_place_is_told_from_the_outside_in(tmp_path):
    schema = record({"results": mapping(list_of(record({"score": number(0, 1)})))})
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"results": {"tok": [{"score": 1}, {"score": "high"}]}}))
    with pytest.raises(FileFault) as error:
        read_json(path, "a list of scores", schema, "predict again")
    assert str(error.value) == (
        f"{path} is not a list of scores: results.tok[1].score is 'high'; expected a number from 0 to 1; predict again"
    )


def test_long_values_and_keys_are_cut():
    with pytest.raises(FileFault) as error:
        parse_json(json.dumps({"k" * 1000: "v" * 1000}), "x", "y", mapping(number()), "z")
    assert len(str(error.value)) < 250


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b'{"a": 1}}'])
def test_what_is_no_json_is_told(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(FileFault, match=r"a\.json is not a card: not JSON .*; fetch it again"):
        read_json(path, "a card", anything, "fetch it again")


def test_a_file_that_is_not_there_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a card"):
        read_json(tmp_path / "a.json", "a card", anything, "")
    with pytest.raises(FileFault, match="cannot be read"):
        read_json(tmp_path, "a card", anything, "")


def test_a_key_that_comes_twice_is_refused_where_asked():
    assert parse_json('{"a": 1, "a": 2}', "x", "y", anything, "z") == {"a": 2}
    with pytest.raises(FileFault, match="is a, which came before"):
        parse_json('{"a": 1, "a": 2}', "x", "y", anything, "z", unique_keys=True)
    with pytest.raises(Misfit):
        unique(["a", "b", "a"], "token")


def test_a_byte_order_mark_is_no_fault():
    assert parse_json(b"\xef\xbb\xbf[1]", "x", "y", list_of(integer()), "z") == [1]


def test_a_fault_is_one_line_whatever_a_library_says() -> None:
    words = "a.db3 is not readable: malformed schema (EY,\n      ) \x1b[31m\u2028at  byte 3\n"
    assert str(FileFault(words)) == "a.db3 is not readable: malformed schema (EY, ) [31m at  byte 3"
