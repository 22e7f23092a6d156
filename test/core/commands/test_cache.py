"""`mapkd cache` takes its folder before anything slow."""
import pytest

from mapkd_core import frame_sources
from mapkd_core.commands.main import main
from mapkd_core.files import FolderLock


def test_a_folder_in_use_is_refused_before_the_source_is_opened(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(frame_sources, "open_frames", lambda *_, **__: pytest.fail("the source was opened"))
    with FolderLock(tmp_path / "cache"):
        assert main(["cache", "simdrive-v1:val:small:1", str(tmp_path / "cache")]) == 2
    assert "in use by" in capsys.readouterr().err


def test_a_cache_that_was_not_begun_leaves_no_folder(tmp_path):
    assert main(["cache", "nowhere:x", str(tmp_path / "cache")]) == 2
    assert not (tmp_path / "cache").exists()
