"""Files that many write to at once: in a folder, and in object storage (a local server that speaks S3)."""
from __future__ import annotations

import pickle

import pytest
from object_store import object_store

from mapkd_core.storage import Folder, open_storage


@pytest.fixture(scope="module")
def bucket():
    pytest.importorskip("s3fs", reason="object storage needs s3fs: pip install '.[cluster]'")
    pytest.importorskip("moto", reason="moto stands for S3: pip install -r requirements/cluster.txt")
    with object_store() as url:
        yield url


@pytest.fixture(params=["folder", "bucket"])
def storage(request, tmp_path):
    if request.param == "folder":
        return open_storage(tmp_path / "deep" / "folder")
    return open_storage(f"{request.getfixturevalue('bucket')}/{tmp_path.name}/deep/")


def test_files_come_back_whole_and_in_pieces(storage):
    assert storage.sizes() == {} and storage.sizes("parts") == {}
    storage.write("parts/a.tar", b"0123456789")
    storage.write("b", b"abc")
    storage.write("b", b"abcd")
    assert storage.read("b") == b"abcd" and storage.sizes() == {"b": 4, "parts/a.tar": 10}
    assert storage.sizes("parts") == {"parts/a.tar": 10}
    assert storage.read_pieces([("parts/a.tar", 2, 4), ("b", 0, 1), ("parts/a.tar", 9, 10)]) == [b"23", b"a", b"9"]
    assert storage.occupied() and (pickle.loads(pickle.dumps(storage))).read("b") == b"abcd"
    storage.delete(["parts/a.tar", "parts/never"])
    assert storage.sizes() == {"b": 4} and storage.occupied() == ["b"]


def test_what_is_not_there_is_named(storage):
    with pytest.raises(FileNotFoundError, match="nothing"):
        storage.read("nothing")
    with pytest.raises(FileNotFoundError, match="nothing"):
        storage.read_pieces([("nothing", 0, 1)])


def test_a_bucket_that_cannot_be_written_is_told_in_a_line(bucket, monkeypatch):
    with pytest.raises(OSError, match=r"cannot write s3://no-such-bucket/x/a.*no such bucket"):
        open_storage("s3://no-such-bucket/x").write("a", b"")

    class Unreachable:  # s3fs itself tries for a minute
        def invalidate_cache(self):
            raise RuntimeError("Could not connect to\n  the endpoint URL")

    monkeypatch.setattr("fsspec.filesystem", lambda scheme: Unreachable())
    words = r"cannot list s3://bucket/other \(RuntimeError: Could not connect to the endpoint URL\); are credentials"
    with pytest.raises(OSError, match=words) as told:
        open_storage("s3://bucket/other").sizes()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", "a/../../x"])
def test_names_stay_inside(storage, name):
    with pytest.raises(ValueError, match="no place in"):
        storage.write(name, b"")


def test_writers_of_one_file_do_not_meet_and_a_file_being_written_is_none(tmp_path, monkeypatch):
    storage = Folder(str(tmp_path))
    storage.write("x", b"old")
    seen = []
    write_bytes = type(tmp_path).write_bytes

    def interrupted(path, data):
        write_bytes(path, data)
        seen.append(path.name)
        if len(seen) == 1:  # the same unit, begun again on another machine, comes in between
            storage.write("x", b"other")
            assert storage.sizes() == {"x": 5}

    monkeypatch.setattr(type(tmp_path), "write_bytes", interrupted)
    storage.write("x", b"new")
    assert len(set(seen)) == 2 and storage.read("x") == b"new" and [p.name for p in tmp_path.iterdir()] == ["x"]
