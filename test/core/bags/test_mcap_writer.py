"""The growing MCAP file: whatever ends the process, what was written before can be read."""
import resource
import signal
import subprocess
import sys

import pytest

pytest.importorskip("mcap", reason="mcap writes the file")
from mcap.reader import make_reader

from mapkd_core.bags import mcap_writer
from mapkd_core.bags.mcap_writer import McapWriter
from mapkd_core.bags.qos import Profile, as_text
from mapkd_core.bags.reader import BagReader

KILLED = """
import os, signal, sys
from pathlib import Path
from mapkd_core.bags import mcap_writer
mcap_writer.CHUNK_BYTES = 2000
writer = mcap_writer.McapWriter(Path(sys.argv[1]))
number = writer.add_topic("/a", "std_msgs/msg/String", b"string data")
for k in range(1000):
    writer.write(number, bytes(100), k)
print(writer.saved, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def times(path):
    with BagReader(path) as bag:
        return [message.log_ns for message in bag.messages()]


def test_a_finished_file_is_sound_and_says_what_was_written(tmp_path):
    with McapWriter(tmp_path / "new" / "a.mcap") as writer:
        first = writer.add_topic("/tf_static", "std_msgs/msg/String", b"string data")
        second = writer.add_topic("/b", "std_msgs/msg/String", b"string data", as_text([Profile(3, reliable=False)]))
        writer.write(first, b"\0\1\0\0one", 7)
        writer.write(second, b"\0\1\0\0two", 5, 4)
    assert (writer.count, writer.saved, dict(writer.counts)) == (2, 2, {first: 1, second: 1})
    assert (writer.begin_ns, writer.end_ns) == (5, 7)
    with (tmp_path / "new" / "a.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        found = [(c.topic, s.name, m.log_time, m.publish_time, m.data) for s, c, m in reader.iter_messages()]
        offered = {c.topic: c.metadata["offered_qos_profiles"] for c in reader.get_summary().channels.values()}
    assert found == [
        ("/b", "std_msgs/msg/String", 5, 4, b"\0\1\0\0two"),
        ("/tf_static", "std_msgs/msg/String", 7, 7, b"\0\1\0\0one"),
    ]
    assert "durability: 1" in offered["/tf_static"] and "reliability: 2" in offered["/b"]


def test_a_kill_costs_what_had_not_gone_to_the_disk_yet(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.mcap")], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    saved = int(done.stdout)
    assert 900 < saved < 1000 and times(tmp_path / "a.mcap") == list(range(saved))


def test_few_messages_go_to_the_disk_in_time_too(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(mcap_writer.time, "monotonic", lambda: now[0])
    writer = McapWriter(tmp_path / "a.mcap")
    number = writer.add_topic("/a", "std_msgs/msg/String", b"string data")
    writer.write(number, b"\0\1\0\0", 1)
    assert writer.saved == 0
    now[0] += 1.1
    writer.write(number, b"\0\1\0\0", 2)
    assert writer.saved == 2 and times(tmp_path / "a.mcap") == [1, 2]  # it is still open
    writer.close()


def test_a_full_disk_leaves_whole_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(mcap_writer, "CHUNK_BYTES", 2000)
    path = tmp_path / "a.mcap"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = McapWriter(path)
    number = writer.add_topic("/a", "std_msgs/msg/String", b"string data")
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match=r"'.*a\.mcap'"):
            for k in range(1000):
                writer.write(number, bytes(range(100)), k)
        writer.close()  # and no second error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.stat().st_size <= 20_000 and 50 < writer.saved < writer.count
    with BagReader(path) as bag:
        assert [message.log_ns for message in bag.messages()] == list(range(writer.saved)) and not bag.faults
        assert not bag.notes or "no whole record" not in bag.notes[0]
