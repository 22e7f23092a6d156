import json
import os
import signal
import socket
import stat
import subprocess
import sys

import pytest

from mapkd_core import files
from mapkd_core.files import (
    LOCK,
    FolderInUseError,
    FolderLock,
    fingerprint,
    inside,
    keep_inputs,
    replacing,
    write_atomic,
)

HOLDER = """
import sys, time
from mapkd_core.files import FolderLock
with FolderLock(sys.argv[1], *sys.argv[2:]):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder, *name):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder), *name], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_written_whole_with_its_folder(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_atomic(path, "äö")
    assert path.read_text(encoding="utf-8") == "äö"
    write_atomic(path, b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert names(path.parent) == ["b.txt"]


def test_an_error_in_between_keeps_the_old_file_and_leaves_no_part(tmp_path):
    path = tmp_path / "a.txt"
    write_atomic(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as partial:
        partial.write_text("half")
        assert path.read_text() == "old"
        raise RuntimeError
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_atomic(path, "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.txt'"):
        write_atomic(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_link_keeps_pointing_and_a_device_is_written_to(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "disk" / "real.txt")
    write_atomic(tmp_path / "link.txt", "x")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "disk" / "real.txt").read_text() == "x"
    write_atomic("/dev/null", "x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/../../b", "a/..", "/etc/passwd", "a\0b", None, 7, ["a"]])
def test_a_name_that_leaves_its_folder_is_refused(name):
    with pytest.raises(ValueError, match=r"scene name .* is no place in /data; expected a relative path"):
        inside("/data", name, "scene name")


@pytest.mark.parametrize("name", ["a", "samples/CAM_FRONT/a.jpg", "..a", "a..b/c", "scene-0103", "./a"])
def test_a_name_below_its_folder_is_joined(name):
    assert inside("/data", name).as_posix() == os.path.normpath(f"/data/{name}")


def test_a_fingerprint_is_that_of_the_content(tmp_path):
    for folder in ("one", "two"):
        write_atomic(tmp_path / folder / "sub" / "a.bin", b"a" * 3_000_000)
        write_atomic(tmp_path / folder / "b.txt", "b")
    one = fingerprint(tmp_path / "one")
    assert len(one) == 32 and one == fingerprint(tmp_path / "two")
    with FolderLock(tmp_path / "two"):
        assert one == fingerprint(tmp_path / "two"), "a lock is no content"
    (tmp_path / "two" / "b.txt").rename(tmp_path / "two" / "c.txt")
    assert one != fingerprint(tmp_path / "two")
    write_atomic(tmp_path / "one" / "sub" / "a.bin", b"a" * 2_999_999 + b"b")
    assert one != fingerprint(tmp_path / "one")
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    with pytest.raises(FileNotFoundError):
        fingerprint(tmp_path / "three")


def test_a_folder_has_one_writer_and_the_second_is_told_who(tmp_path):
    folder = tmp_path / "run"
    with FolderLock(folder):
        assert json.loads((folder / LOCK).read_text())["pid"] == os.getpid()
        with pytest.raises(FolderInUseError, match="in use by this very process"), FolderLock(tmp_path / "." / "run"):
            pass
    assert not folder.exists(), "a folder that nothing was written to is not left behind"
    process = holder(folder)
    try:
        expected = f"run is in use by process {process.pid} on {socket.gethostname()} since 2.*; wait for it"
        with pytest.raises(FolderInUseError, match=expected), FolderLock(folder):
            pass
    finally:
        process.kill()
        process.wait()


def test_what_a_dead_process_left_is_taken_over_with_a_notice(tmp_path, monkeypatch):
    folder, said = tmp_path / "run", []
    monkeypatch.setattr(files._LOG, "warning", lambda text, *values: said.append(text % values))
    process = holder(folder)
    (folder / "sub").mkdir()
    for name in ("sub/.a.jpg.123.partial", ".b.json.77.partial", "own.partial", ".hidden"):
        (folder / name).write_text("half")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with FolderLock(folder):
        assert len(said) == 1 and f"left by process {process.pid}" in said[0]
        assert names(folder) == [".hidden", LOCK, "own.partial", "sub"] and names(folder / "sub") == []
    with FolderLock(folder):
        assert len(said) == 1
    assert LOCK not in names(folder)


def test_a_lock_of_another_host_stands_until_somebody_deletes_it(tmp_path):
    (tmp_path / LOCK).write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": "yesterday"}))
    with pytest.raises(FolderInUseError, match=r"process 1 on elsewhere since yesterday; .* delete .*mapkd\.lock"):
        FolderLock(tmp_path).__enter__()
    (tmp_path / LOCK).write_text("\x00 garbage")
    with FolderLock(tmp_path):
        pass


def test_where_the_kernel_keeps_no_locks_a_living_process_counts(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(files.fcntl, "lockf", none)
    for pid, free in ((os.getppid(), False), (2**22 + 1, True)):
        (tmp_path / LOCK).write_text(json.dumps({"pid": pid, "host": socket.gethostname(), "since": "now"}))
        if free:
            with FolderLock(tmp_path):
                pass
        else:
            with pytest.raises(FolderInUseError, match=f"process {pid} on"):
                FolderLock(tmp_path).__enter__()


def test_a_lock_on_one_name_leaves_its_neighbours_alone(tmp_path):
    process = holder(tmp_path, ".student.lock")
    try:
        with FolderLock(tmp_path, ".teacher.lock"):
            pass
        with pytest.raises(FolderInUseError):
            FolderLock(tmp_path, ".student.lock").__enter__()
        (tmp_path / ".other.json.1.partial").write_text("")
        (tmp_path / f".student.json.{process.pid}.partial").write_text("")
    finally:
        process.kill()
        process.wait()
    with FolderLock(tmp_path, ".student.lock"):
        assert names(tmp_path) == [".other.json.1.partial", ".student.lock"]


def test_a_child_of_the_holder_does_not_keep_the_lock(tmp_path):
    """After kill -9 loader processes live on for some seconds."""
    code = HOLDER.replace("    print", "    import os\n    if os.fork() == 0: time.sleep(30); os._exit(0)\n    print")
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.wait()
    with FolderLock(tmp_path):
        pass


def test_inputs_are_recognised_by_whatever_path(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    keep_inputs([tmp_path / "a"], [tmp_path / "c"])
    for path in (tmp_path / "b", tmp_path / "x" / ".." / "a"):
        with pytest.raises(ValueError, match=r"would be written over .*a, which is read here"):
            keep_inputs([tmp_path / "a"], [path])


def test_text_of_a_name_that_is_not_utf8_is_written(tmp_path):
    write_atomic(tmp_path / "a", "of \udcff\n")
    assert (tmp_path / "a").read_bytes() == b"of \\udcff\n"
