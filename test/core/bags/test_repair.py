"""Repair: a sound bag for other programs, with every message that can be read, and what was recorded left alone."""
import shutil

import pytest

pytest.importorskip("mcap", reason="mcap parses the records")
pytest.importorskip("rosbags", reason="rosbags is a reader of sound bags")
import odd_bags
from odd_bags import metadata, texts
from rosbags.highlevel import AnyReader

from mapkd_core.bags.qos import LATCHED
from mapkd_core.bags.reader import BagReader
from mapkd_core.bags.repair import repair


def elsewhere(path):
    """What rosbags, which is strict, reads."""
    with AnyReader([path]) as reader:
        return [(stamp, connection.topic, bytes(raw)) for connection, stamp, raw in reader.messages()]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_killed_recording_becomes_a_sound_file_beside_it(tmp_path):
    path = odd_bags.mcap(tmp_path / "out.mcap", texts(20), whole=False, profiles=(LATCHED,))
    before = path.read_bytes()
    done = repair(path, progress=False)
    assert done.path == tmp_path / "out_repaired.mcap" and done.messages_by_topic == {"/a": 20, "/b": 20}
    assert path.read_bytes() == before and "was cut off" in done.remarks[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mcap", "out_repaired.mcap"]
    assert elsewhere(done.path) == texts(20)
    with BagReader(done.path) as bag:
        assert bag.whole and not bag.notes and {topic.profiles for topic in bag.topics} == {(LATCHED,)}
        assert {message.log_ns - message.publish_ns for message in bag.messages()} == {5}
        assert {topic.definition for topic in bag.topics} == {b"string data"}
    with pytest.raises(FileExistsError, match=r"out_repaired\.mcap exists already; choose another place with --out"):
        repair(path, progress=False)
    assert repair(path, tmp_path / "other" / "b.mcap", progress=False).path.is_file()


def test_a_sound_bag_is_left_alone(tmp_path):
    path = odd_bags.mcap(tmp_path / "a.mcap", texts(5))
    assert repair(path, progress=False).what == "is sound, nothing to repair"
    metadata(tmp_path, ["a.mcap"], {"/a": 5, "/b": 5})
    before = content(tmp_path)
    assert repair(tmp_path, progress=False).what == "is sound, nothing to repair"
    assert content(tmp_path) == before


@pytest.mark.parametrize("what", ["missing", "wrong counts", "not yaml", "names a file that is gone", "names too few"])
def test_metadata_alone_is_written_anew_in_its_place(tmp_path, what):
    folder = tmp_path / "drive"
    folder.mkdir()
    for k in range(2):
        odd_bags.sqlite(folder / f"drive_{k}.db3", texts(5, first=5 * k)).close()
    files = ["drive_0.db3", "drive_1.db3"]
    if what == "wrong counts":
        metadata(folder, files, {"/a": 500, "/b": 10})
    elif what == "names a file that is gone":
        metadata(folder, [*files, "drive_2.db3"], {"/a": 15, "/b": 15})
    elif what == "names too few":
        metadata(folder, files[:1], {"/a": 5, "/b": 5})
    elif what == "not yaml":
        (folder / "metadata.yaml").write_text("{")
    before = content(folder)
    done = repair(folder, progress=False)
    assert done.path == folder and done.messages_by_topic == {"/a": 10, "/b": 10}
    after = content(folder)
    assert after.pop("metadata.yaml.old", None) == before.pop("metadata.yaml", None)
    assert after.pop("metadata.yaml") and after == before and [p.name for p in tmp_path.iterdir()] == ["drive"]
    assert elsewhere(folder) == texts(10)
    with BagReader(folder) as bag:
        assert bag.metadata_fits and not bag.notes


def test_damage_compression_and_write_ahead_logs_go_to_a_new_folder(tmp_path):
    import zstandard

    for name in ("packed", "logged", "hurt"):
        (tmp_path / name).mkdir()
    packed = [(time, topic, zstandard.compress(data)) for time, topic, data in texts(5)]
    odd_bags.mcap(tmp_path / "packed" / "a.mcap", packed)
    database = odd_bags.sqlite(tmp_path / "a.db3", [])
    database.execute("PRAGMA journal_mode=WAL")
    odd_bags.insert(database, texts(5))
    assert (tmp_path / "a.db3-wal").stat().st_size
    for name in ("a.db3", "a.db3-wal"):
        shutil.copy(tmp_path / name, tmp_path / "logged")
    database.close()
    hurt = odd_bags.mcap(tmp_path / "hurt" / "a.mcap", texts(40))
    data = bytearray(hurt.read_bytes())
    data[1000:1010] = bytes(10)
    hurt.write_bytes(data)
    for name, count in (("packed", range(10, 11)), ("logged", range(10, 11)), ("hurt", range(60, 80))):
        before = content(tmp_path / name)
        done = repair(tmp_path / name, progress=False)
        assert done.path == tmp_path / f"{name}_repaired" and content(tmp_path / name).items() >= before.items()
        found = elsewhere(done.path)
        assert len(found) == sum(done.messages_by_topic.values()) and len(found) in count
        assert set(found) <= set(texts(40))
        assert set(content(done.path)) == {f"{name}_repaired_0.mcap", "metadata.yaml"}
        assert any("damaged" in remark for remark in done.remarks) == (name == "hurt")


def test_a_full_disk_leaves_no_half_bag(tmp_path, monkeypatch):
    path = odd_bags.mcap(tmp_path / "out.mcap", texts(20), whole=False)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mapkd_core.bags.mcap_writer.McapWriter.write", full)
    with pytest.raises(OSError, match="No space left"):
        repair(path, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mcap"]
