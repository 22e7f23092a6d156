"""What belongs to a bag, and how a new one takes the place of an old one: whole, or not at all."""
import os
import signal
import subprocess
import sys

import pytest

from mapkd_core.bags.bag_files import check_room, is_bag, new_bag, storage_files
from mapkd_core.files import FolderInUseError

WRITER = """
import os, signal, sys
from pathlib import Path
from mapkd_core.bags import bag_files
path, moment = Path(sys.argv[1]), sys.argv[2]
if moment == "renaming":  # between the two renames
    rename = Path.rename
    def once(self, target):
        rename(self, target)
        os.kill(os.getpid(), signal.SIGKILL)
    Path.rename = once
with bag_files.new_bag(path, overwrite=True) as new:
    new.mkdir()
    (new / "metadata.yaml").write_text("new")
    if moment == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
    if moment == "waiting":
        print("writing", flush=True)
        sys.stdin.read()
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old(tmp_path):
    """A bag that is there."""
    path = tmp_path / "drive"
    path.mkdir()
    (path / "metadata.yaml").write_text("old")
    (path / "drive_0.db3").write_text("data")
    return path


def write(path, text="new", overwrite=True):
    with new_bag(path, overwrite) as new:
        new.mkdir()
        (new / "metadata.yaml").write_text(text)


def killed(path, moment):
    done = subprocess.run([sys.executable, "-c", WRITER, str(path), moment], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_new_bag_takes_the_place_of_the_old_one_when_it_is_whole(old):
    with new_bag(old, overwrite=True) as new:
        new.mkdir()
        (new / "metadata.yaml").write_text("new")
        assert (old / "metadata.yaml").read_text() == "old"
    assert names(old) == ["metadata.yaml"] and (old / "metadata.yaml").read_text() == "new"
    assert names(old.parent) == ["drive"]


def test_an_error_keeps_the_old_one_and_leaves_nothing_else(old):
    with pytest.raises(OSError, match=r"No space left on device: '.*drive'"), new_bag(old, overwrite=True) as new:
        new.mkdir()
        (new / "metadata.yaml").write_text("half")
        raise OSError(28, "No space left on device", str(new / "drive_0.mcap"))
    assert names(old.parent) == ["drive"] and (old / "metadata.yaml").read_text() == "old"
    with pytest.raises(ValueError), new_bag(old.parent / "other") as new:
        raise ValueError
    assert names(old.parent) == ["drive"]


def test_a_kill_keeps_the_old_one_and_the_same_command_again_works(old):
    killed(old, "writing")
    assert (old / "metadata.yaml").read_text() == "old" and len(names(old)) == 2
    write(old)
    assert names(old.parent) == ["drive"] and (old / "metadata.yaml").read_text() == "new"


def test_a_kill_between_the_renames_loses_nothing(old):
    from mapkd_core.bags.reader import BagReader

    killed(old, "renaming")
    assert not old.exists()
    with pytest.raises(FileNotFoundError, match=r"a killed `mapkd bag --overwrite` left it as .*/\.drive\.old: rename"):
        BagReader(old)
    with pytest.raises(FileExistsError):  # the old one is back, and needs --overwrite as before
        write(old, overwrite=False)
    assert names(old.parent) == ["drive"] and (old / "metadata.yaml").read_text() == "old"


def test_two_processes_do_not_write_one_bag(old):
    command = [sys.executable, "-c", WRITER, str(old), "waiting"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        with pytest.raises(FolderInUseError, match=f"in use by process {process.pid} on "):
            write(old)
        write(old.parent / "another", overwrite=False)
        process.stdin.close()
        assert process.wait(30) == 0
    assert (old / "metadata.yaml").read_text() == "new" and names(old.parent) == ["another", "drive"]


def test_nothing_that_is_no_bag_is_ever_overwritten(old):
    check_room(old, overwrite=True)
    check_room(old.parent / "new", overwrite=False)
    with pytest.raises(FileExistsError, match="drive exists already; choose another folder or give --overwrite"):
        check_room(old, overwrite=False)
    for end in ("-wal", "-shm"):
        (old / f"drive_0.db3{end}").write_text("")
    check_room(old, overwrite=True)
    (old / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"is not a bag, or not only that: it holds notes\.txt"):
        check_room(old, overwrite=True)
    with pytest.raises(FileExistsError, match=r"notes\.txt is not a bag but a file"):
        check_room(old / "notes.txt", overwrite=True)
    (old / "notes.txt").unlink()
    (old / "photos.mcap").mkdir()
    with pytest.raises(FileExistsError, match=r"it holds photos\.mcap"):
        check_room(old, overwrite=True)


def test_a_link_to_a_bag_stays_a_link(old):
    link = old.parent / "latest"
    link.symlink_to(old)
    write(link)
    assert link.is_symlink() and (old / "metadata.yaml").read_text() == "new"


def test_storage_files_in_the_order_of_their_numbers(tmp_path):
    for name in ("b_10.mcap", "b_2.mcap", "b_9.mcap.zstd", ".b_1.mcap.partial", ".b_1.mcap", "b_2.mcap-wal", "x.txt"):
        (tmp_path / name).write_text("")
    assert [path.name for path in storage_files(tmp_path)] == ["b_2.mcap", "b_9.mcap.zstd", "b_10.mcap"]
    assert is_bag(tmp_path) and is_bag(tmp_path / "b_9.mcap.zstd") and not is_bag(tmp_path / "x.txt")
    assert os.path.basename(tmp_path) and not is_bag(tmp_path / "gone")
