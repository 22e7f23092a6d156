"""Engines of TensorRT: what was built here is given to it again, anything else is not."""
import json

import pytest

from mapkd_core.runtime.engine_cache import NOTE, EngineCache


@pytest.fixture
def built(tmp_path):
    """A folder of two engines that were built and noted."""
    cache = EngineCache(tmp_path / "engines")
    for name in ("a.engine", "b.profile"):
        (cache.folder / name).write_bytes(name.encode())
    cache.note()
    return cache.folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_built_here_stays_and_the_folder_is_the_users_alone(built, caplog):
    EngineCache(built)
    assert names(built) == ["a.engine", "b.profile", NOTE] and not caplog.text
    assert built.stat().st_mode & 0o777 == 0o700


def test_a_changed_an_unknown_and_a_linked_engine_are_deleted(built, caplog, tmp_path):
    (built / "a.engine").write_bytes(b"a.engind")
    (built / "c.engine").write_bytes(b"from elsewhere")
    elsewhere = tmp_path / "elsewhere"
    (built / "b.profile").rename(elsewhere)
    (built / "b.profile").symlink_to(elsewhere)  # the same bytes, but others may change them between look and use
    EngineCache(built)
    assert names(built) == [NOTE] and elsewhere.is_file()
    assert caplog.text.count("is not the engine that was built here") == 3


@pytest.mark.parametrize("note", [None, "", "[]", '{"a.engine": 5}'])
def test_without_a_sound_note_nothing_is_trusted(built, note):
    (built / NOTE).unlink() if note is None else (built / NOTE).write_text(note)
    assert not [name for name in names(EngineCache(built).folder) if name != NOTE]


def test_an_engine_that_is_built_later_is_noted(built):
    cache = EngineCache(built)
    cache.note()
    written = (built / NOTE).stat().st_mtime_ns
    cache.note()
    assert (built / NOTE).stat().st_mtime_ns == written
    (built / "c.engine").write_bytes(b"for five cameras")
    cache.note()
    assert set(json.loads((built / NOTE).read_text())) == {"a.engine", "b.profile", "c.engine"}
    assert "c.engine" in names(EngineCache(built).folder)
