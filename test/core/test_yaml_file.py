"""YAML is read within bounds: every size here is harmless, just over our own."""
import pytest

from mapkd_core import yaml_file
from mapkd_core.schema import FileFault
from mapkd_core.yaml_file import DEEPEST, read_yaml


def read(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path, "a config", "ask for another")


def test_plain_values_and_aliases_are_read(tmp_path):
    assert read(tmp_path, "\ufeffa: &x {k: 1}\nb: [*x, *x]\nc: {<<: *x, d: 2}\n") == {
        "a": {"k": 1}, "b": [{"k": 1}, {"k": 1}], "c": {"k": 1, "d": 2}
    }  # fmt: skip
    assert read(tmp_path, "") is None
    assert read(tmp_path, "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)) is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not YAML"),
        (b"a: \xff", "no text in UTF-8"),
        ("a: {b: 1, c: 2, b: 3}", "b stands twice below one key"),
        ("a: !!bool x", "not YAML"),
        ("a: !!int ''", "not YAML"),
        ("a: !!timestamp x", "not YAML"),
        ("a: 2020-99-99", "not YAML"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("? [a]\n: b", "unhashable key"),
        ("a: *b", "alias \\*b stands before"),
        ("&a [*a]", "alias \\*a stands before or inside"),
        ("[" * DEEPEST, "nested more than 32 deep"),
        ("- " * DEEPEST + "a", "nested more than 32 deep"),
    ],
)
def test_what_cannot_be_is_told(tmp_path, text, words):
    with pytest.raises(FileFault, match=rf"a\.yaml is not a config: .*{words}.*; ask for another"):
        read(tmp_path, text)


def test_what_aliases_stand_for_is_counted_and_so_are_bytes(tmp_path, monkeypatch):
    text = "a: &a [1, 2, 3]\nb: &b [*a, *a]\nc: [*b, *b]\n"  # 3 keys and 4 + 9 + 19 values
    monkeypatch.setattr(yaml_file, "MOST_NODES", 36)
    assert len(read(tmp_path, text)["c"]) == 2
    monkeypatch.setattr(yaml_file, "MOST_NODES", 35)
    with pytest.raises(FileFault, match="more than 35 values"):
        read(tmp_path, text)
    monkeypatch.setattr(yaml_file, "MOST_BYTES", len(text) - 1)
    with pytest.raises(FileFault, match="bytes, at most"):
        read(tmp_path, text)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml does not exist; expected a config"):
        read_yaml(tmp_path / "none.yaml", "a config")
