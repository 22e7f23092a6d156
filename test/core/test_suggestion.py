"""Misspelt words and old names."""
from __future__ import annotations

import argparse

import pytest

from mapkd_core.suggestion import RenamedOption, did_you_mean


def test_the_nearest_known_word() -> None:
    assert did_you_mean("devise", ["device", "rate"]) == ", did you mean 'device'?"
    assert did_you_mean("devise", ["device"], "; ") == "; did you mean 'device'?"
    assert did_you_mean("zzz", ["device"]) == ""


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mapkd")
    parser.add_argument("--image-size", default="small")
    parser.add_argument(
        "--size", dest="image_size", action=RenamedOption, words={"tiny": "small"}, choices=("tiny", "small", "large")
    )
    parser.add_argument("--sizes", nargs="+", dest="image_sizes", action=RenamedOption, words={"tiny": "small"})
    return parser.parse_args(words)


def test_an_old_option_still_works_with_one_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed().image_size == "small"
    assert parsed("--size", "large").image_size == "large"
    assert capsys.readouterr().err == (
        "mapkd: --size is called --image-size now; the old name will go with the next version\n"
    )
    assert parsed("--sizes", "large", "tiny").image_sizes == ["large", "small"]
    assert capsys.readouterr().err.startswith("mapkd: --sizes large tiny is called --image-sizes large small now;")
    with pytest.raises(SystemExit):
        parsed("--size", "huge")
