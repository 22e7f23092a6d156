"""Which blocks of a parameter file a node takes, and what is wrong with a file."""
from __future__ import annotations

from pathlib import Path

import pytest

from mapkd_ros.params_file import parameters_for


def written(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("block", "nodes", "others"),
    [
        ("/**", ["/mapper", "/car/mapper", "/a/b/mapper"], []),
        ("mapper", ["/mapper"], ["/car/mapper", "/map"]),
        ("/*", ["/mapper"], ["/car/mapper"]),
        ("/*/mapper", ["/car/mapper"], ["/mapper", "/a/b/mapper"]),
        ("/**/mapper", ["/mapper", "/a/b/mapper"], ["/a/b/other"]),
        ("/car/mapper", ["/car/mapper"], ["/mapper"]),
    ],
)
def test_a_block_is_for_the_nodes_that_ros_gives_it_to(tmp_path, block, nodes, others):
    path = written(tmp_path, f"{block}:\n  ros__parameters:\n    rate: 2.0\n")
    for node in nodes:
        assert parameters_for(path, node) == {"rate": 2.0}
    for node in others:
        with pytest.raises(ValueError, match=f"says nothing to {node}: its blocks are for"):
            parameters_for(path, node)


def test_the_last_fitting_block_wins_and_names_are_joined(tmp_path):
    text = "/mapper: {ros__parameters: {a: 1, b: {c: 2}}}\n/**: {ros__parameters: {a: 3}}\n"
    assert parameters_for(written(tmp_path, text), "/mapper") == {"a": 3, "b.c": 2}
    assert parameters_for(written(tmp_path, "/**: {ros__parameters: }"), "/mapper") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "is not a parameter file: not YAML"), ("- 1", "no parameter file"), ("a: 3", "no parameter file"),
     ("a: {ros__parameters: [1]}", "no parameter file")],
)
def test_what_is_no_parameter_file_is_refused(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        parameters_for(written(tmp_path, text), "/mapper")
    with pytest.raises(ValueError, match="does not exist; expected a parameter file"):
        parameters_for(tmp_path / "nowhere.yaml", "/mapper")
