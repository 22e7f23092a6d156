"""Options that name a file to write refuse a folder when they are read."""
from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

import pytest

from mapkd_core.output_file import check_writable, output_file

OPTIONS = {
    **{f"benchmark.{name}": ("--out",) for name in (
        "distill", "evaluate", "latency", "pipeline_options", "robustness", "streets", "vectorize"
    )},
    "benchmark.mapping": ("--out", "--image"), "benchmark.training": ("--report",),
    "commands.cache_bag": ("--image",), "commands.map": ("--image",), "commands.map_convert": ("--report",),
    "commands.render": ("--video",), "commands.report": ("--out",), "commands.view": ("--save",),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_a_folder_is_refused_before_the_work(name: str, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    import_module(f"mapkd_core.{name}").configure(parser)
    for option in OPTIONS[name]:
        action = next(action for action in parser._actions if option in action.option_strings)
        assert callable(action.type)
        with pytest.raises(argparse.ArgumentTypeError, match=f"{tmp_path} is a folder; expected the name of a file"):
            action.type(str(tmp_path))


def test_what_lies_below_a_file_is_refused_and_a_new_folder_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(argparse.ArgumentTypeError, match=f"{tmp_path / 'file'} is no folder; choose another place"):
        output_file(str(tmp_path / "file" / "deeper" / "report.md"))
    assert output_file(str(tmp_path / "new" / "report.md")) == tmp_path / "new" / "report.md"
    assert output_file("/dev/stdout") == Path("/dev/stdout") and output_file(str(tmp_path / "file"))


def test_looking_whether_a_file_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "map.osm")
    assert not list(tmp_path.iterdir())
    with pytest.raises(IsADirectoryError, match="expected the name of a file"):
        check_writable(tmp_path)
