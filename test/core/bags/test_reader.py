"""Bags as they are met in the field: all that is in them is read, and what is not is said."""
import shutil

import pytest

pytest.importorskip("mcap", reason="mcap parses the records")
import odd_bags
from mcap.writer import CompressionType, IndexType
from odd_bags import BEGIN_NS, STEP_NS, metadata, texts

from mapkd_core.bags.qos import LATCHED, Profile
from mapkd_core.bags.reader import BagReader
from mapkd_core.schema import FileFault


def read(path):
    """[(log time, topic, message)], and the reader."""
    with BagReader(path) as bag:
        found = [(m.log_ns, m.topic.name, m.data) for m in bag.messages()]
        assert bag.faults or len(found) == bag.message_count
    return found, bag


def damaged(path, at, length=8):
    data = bytearray(path.read_bytes())
    data[at : at + length] = bytes(255 - value for value in data[at : at + length])
    path.write_bytes(data)

ODD_FILES = {
    "whole": {},
    "zstd": {"compression": CompressionType.ZSTD},
    "no message index": {"indexes": IndexType.CHUNK},
    "no index at all": {"indexes": IndexType.NONE},
    "no index, topics only in chunks": {"indexes": IndexType.NONE, "repeat": False},
    "no chunks": {"chunked": False},
    "killed": {"whole": False},
    "killed, no chunks": {"whole": False, "chunked": False},
}


@pytest.mark.parametrize("options", ODD_FILES.values(), ids=ODD_FILES)
def test_an_mcap_is_read_with_whatever_index_it_has(tmp_path, options):
    expected = texts(20)
    found, bag = read(odd_bags.mcap(tmp_path / "a.mcap", expected, **options))
    assert found == expected
    assert (bag.begin_ns, bag.end_ns) == (BEGIN_NS, BEGIN_NS + 19 * STEP_NS)
    kind = odd_bags.STRING
    assert [(t.name, t.count, t.msg_type) for t in bag.topics] == [("/a", 20, kind), ("/b", 20, kind)]
    assert bag.whole == (not bag.notes)


def test_time_may_go_back_in_a_file(tmp_path):
    backwards = texts(20)[::-1]
    for name, options in (("a.mcap", {}), ("b.mcap", {"indexes": IndexType.NONE}), ("c.mcap", {"chunked": False})):
        found, _ = read(odd_bags.mcap(tmp_path / name, backwards, **options))
        assert [time for time, *_ in found] == sorted(time for time, *_ in backwards)
        assert sorted(found) == sorted(backwards)
    odd_bags.sqlite(tmp_path / "d.db3", backwards).close()
    assert sorted(read(tmp_path / "d.db3")[0]) == sorted(backwards)


def test_some_topics_and_some_time(tmp_path):
    for path in (odd_bags.mcap(tmp_path / "a.mcap", texts(20)), tmp_path / "b.db3"):
        if path.suffix == ".db3":
            odd_bags.sqlite(path, texts(20)).close()
        with BagReader(path) as bag:
            chosen = [topic for topic in bag.topics if topic.name == "/b"]
            found = list(bag.messages(chosen, BEGIN_NS + 3 * STEP_NS, BEGIN_NS + 5 * STEP_NS))
        assert [(m.topic.name, m.log_ns) for m in found] == [("/b", BEGIN_NS + k * STEP_NS) for k in (3, 4)]


@pytest.mark.parametrize("zeros", [False, True])
def test_a_recording_cut_in_its_last_chunk_gives_all_chunks_before_as_a_streaming_reader_does(tmp_path, zeros):
    from mcap.exceptions import McapError
    from mcap.reader import NonSeekingReader

    path = odd_bags.mcap(tmp_path / "a.mcap", texts(40), whole=False)
    content = path.read_bytes()
    path.write_bytes(content[:-120] + (bytes(4096) if zeros else b""))
    streamed = []
    with path.open("rb") as file, pytest.raises((McapError, Exception)):
        for _, channel, message in NonSeekingReader(file).iter_messages(log_time_order=False):
            streamed.append((message.log_time, channel.topic, message.data))
    found, bag = read(path)
    assert found == streamed and 60 < len(found) < 80
    (note,) = bag.notes
    assert "a.mcap was cut off" in note and "bytes at its end are no whole record" in note and not bag.whole


def test_damage_inside_costs_one_chunk_and_is_said(tmp_path):
    path = odd_bags.mcap(tmp_path / "a.mcap", texts(40))
    damaged(path, 1000)
    found, bag = read(path)
    assert 70 < len(found) < 80 and set(found) < set(texts(40)) and bag.message_count == 80
    (fault,) = bag.faults
    assert "a.mcap: the " in fault and "are damaged" in fault
    with BagReader(path) as again:
        assert len(list(again.messages())) == len(list(again.messages())) == len(found) and again.faults == [fault]


def test_other_encodings_and_topics_without_a_type_are_there_by_name(tmp_path):
    encodings = {"/ann": ("protobuf", "foxglove.ImageAnnotations"), "/bare": ("cdr", "")}
    path = odd_bags.mcap(tmp_path / "a.mcap", texts(3, topics=("/a", "/ann", "/bare")), encodings=encodings)
    _, bag = read(path)
    assert [(t.name, t.encoding, t.msg_type, t.count) for t in bag.topics] == [
        ("/a", "cdr", odd_bags.STRING, 3),
        ("/ann", "protobuf", "foxglove.ImageAnnotations", 3),
        ("/bare", "cdr", "", 3),
    ]
    metadata(tmp_path, ["a.mcap"], {"/a": 3, "/ann": 3, "/bare": 3})
    _, bag = read(tmp_path)
    assert {t.name: t.msg_type for t in bag.topics}["/bare"] == odd_bags.STRING  # metadata.yaml knows


def test_files_that_do_not_say_how_messages_are_serialized_are_taken_to_be_of_ros_2(tmp_path):
    path = odd_bags.mcap(tmp_path / "a.mcap", texts(3), encodings=dict.fromkeys(("/a", "/b"), ("", odd_bags.STRING)))
    database = odd_bags.sqlite(tmp_path / "a.db3", texts(3))
    database.execute("UPDATE topics SET serialization_format = ''")
    database.commit()
    database.close()
    for bag in (read(path)[1], read(tmp_path / "a.db3")[1]):
        assert {topic.encoding for topic in bag.topics} == {"cdr"}


@pytest.mark.parametrize("version", [1, 2, 4])
def test_sqlite_files_of_all_releases(tmp_path, version):
    odd_bags.sqlite(tmp_path / "what? 100% #1.db3", texts(5), version).close()
    found, bag = read(tmp_path / "what? 100% #1.db3")
    assert found == texts(5) and bag.whole
    assert bag.topics[0].definition == (b"string data" if version == 4 else b"")


def test_the_write_ahead_log_of_a_killed_sqlite_recording_is_read(tmp_path):
    database = odd_bags.sqlite(tmp_path / "b_0.db3", [])
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    odd_bags.insert(database, texts(5))
    database.execute("PRAGMA wal_checkpoint(FULL)")
    odd_bags.insert(database, texts(15, first=5))
    (tmp_path / "cut").mkdir()
    for name in ("b_0.db3", "b_0.db3-wal"):
        shutil.copy(tmp_path / name, tmp_path / "cut")
    database.close()
    before = (tmp_path / "cut" / "b_0.db3").read_bytes()
    found, bag = read(tmp_path / "cut")
    assert found == texts(20) and any("write-ahead log b_0.db3-wal" in note for note in bag.notes)
    assert (tmp_path / "cut" / "b_0.db3").read_bytes() == before and not bag.whole


def test_a_write_ahead_log_that_cannot_be_opened_in_place_is_read_from_a_copy(tmp_path, monkeypatch):
    """As in a folder that may not be written to, where sqlite cannot make the index of the log."""
    from mapkd_core.bags.sqlite_source import SqliteSource

    database = odd_bags.sqlite(tmp_path / "a.db3", [])
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    odd_bags.insert(database, texts(5))
    connect = SqliteSource._connect

    def forbidden(self, path, options):
        if path == tmp_path / "a.db3":
            raise odd_bags.sqlite3.OperationalError("unable to open database file")
        return connect(self, path, options)

    monkeypatch.setattr(SqliteSource, "_connect", forbidden)
    found, bag = read(tmp_path / "a.db3")
    database.close()
    assert found == texts(5) and "read from a copy" in bag.notes[0]


def test_an_unfinished_change_of_sqlite_is_taken_back(tmp_path):
    database = odd_bags.sqlite(tmp_path / "a.db3", texts(500))
    database.execute("PRAGMA cache_spill=1")
    database.execute("PRAGMA cache_size=1")
    database.execute("DELETE FROM messages WHERE id > 3")  # not committed, and too much for the cache
    shutil.copytree(tmp_path, tmp_path / "killed", ignore=shutil.ignore_patterns("killed"))
    database.rollback()
    database.close()
    assert (tmp_path / "killed" / "a.db3-journal").stat().st_size
    assert len(read(tmp_path / "killed")[0]) == 1000


def test_a_damaged_sqlite_file_gives_what_lies_around_the_damage(tmp_path):
    path = tmp_path / "a.db3"
    odd_bags.sqlite(path, texts(2000)).close()
    damaged(path, 4096 * 20, 4096)
    found, bag = read(path)
    assert 2000 < len(found) < 4000 and set(found) < set(texts(2000))
    assert any("is damaged" in fault for fault in bag.faults) and not bag.whole


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_sqlite_file_that_was_cut_off_gives_what_lies_before(tmp_path, share):
    path = tmp_path / "a.db3"
    odd_bags.sqlite(path, texts(2000)).close()
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    found, bag = read(path)
    assert 4000 * (share - 0.1) < len(found) < 4000 and set(found) < set(texts(2000)) and not bag.whole
    assert f"a.db3 was cut off, as by a copy that broke off or a full disk: {len(data) - int(share * len(data))}" in (
        bag.faults[0]
    )


def test_split_files_are_read_in_the_order_of_their_numbers(tmp_path):
    names = [f"drive_{k}.mcap" for k in range(12)]
    for k, name in enumerate(names):
        odd_bags.mcap(tmp_path / name, texts(3, first=3 * k))
    assert read(tmp_path)[0] == texts(36)
    # Old releases wrote the folder before a name, others where it lay on the machine that recorded it.
    for prefix in ("", "drive/", "/home/somebody/drive/", "C:\\bags\\"):
        found, bag = read(metadata(tmp_path, [prefix + name for name in names], {"/a": 36, "/b": 36}))
        assert found == texts(36) and not bag.notes


def test_compressed_files_and_compressed_messages(tmp_path):
    import zstandard

    for folder in ("files", "messages"):
        (tmp_path / folder).mkdir()
    odd_bags.sqlite(tmp_path / "a.db3", texts(5)).close()
    (tmp_path / "files" / "a.db3.zstd").write_bytes(zstandard.compress((tmp_path / "a.db3").read_bytes()))
    packed = [(time, topic, zstandard.compress(data)) for time, topic, data in texts(5)]
    odd_bags.mcap(tmp_path / "messages" / "a.mcap", packed)
    for folder, name in (("files", "a.db3.zstd"), ("messages", "a.mcap")):
        found, bag = read(tmp_path / folder)  # without metadata.yaml
        assert found == texts(5) and bag.packed
        mode = {"compression_mode": "FILE" if folder == "files" else "MESSAGE", "compression_format": "zstd"}
        metadata(tmp_path / folder, [name], {"/a": 5, "/b": 5}, **mode)
        assert read(tmp_path / folder)[0] == texts(5)
    with pytest.raises(FileFault, match="compression_format is 'lz5'; expected zstd"):
        BagReader(metadata(tmp_path / "files", ["a.db3.zstd"], {}, compression_mode="FILE", compression_format="lz5"))


def test_a_compressed_file_that_was_cut_off_at_its_begin_is_not_called_empty(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "a.mcap.zstd"
    path.write_bytes(zstandard.compress(odd_bags.mcap(tmp_path / "a.mcap", texts(20)).read_bytes())[:40])
    with pytest.raises(FileFault, match=r"a.mcap.zstd was cut off: of its 40 bytes nothing can be unpacked"):
        BagReader(path)



def test_one_message_that_cannot_be_unpacked_is_a_fault_and_the_others_are_read(tmp_path):
    import zstandard

    messages = [(time, topic, zstandard.compress(data)) for time, topic, data in texts(5)]
    messages[4] = (*messages[4][:2], messages[4][2][:9])
    found, bag = read(odd_bags.mcap(tmp_path / "a.mcap", messages))
    assert [row for k, row in enumerate(texts(5)) if k != 4] == found
    assert "a message of /a: zstd cannot unpack it" in bag.faults[0]


def test_metadata_that_announces_more_or_less_than_the_files_hold(tmp_path):
    odd_bags.mcap(tmp_path / "a.mcap", texts(20))
    _, bag = read(metadata(tmp_path, ["a.mcap"], {"/a": 30, "/b": 20, "/gone": 5}))
    assert bag.missing == {"/a": 10, "/gone": 5} and not bag.metadata_fits
    assert "announces messages that the files do not hold: 10 of /a, 5 of /gone" in bag.notes[0]
    _, bag = read(metadata(tmp_path, ["a.mcap"], {"/a": 20, "/b": 20}, message_count=100))
    assert bag.missing == {"all topics together": 60}
    found, bag = read(metadata(tmp_path, ["a.mcap"], {"/a": 15}))
    assert found == texts(20) and not bag.missing
    assert "hold messages that metadata.yaml does not know of: 5 of /a, 20 of /b" in bag.notes[0]
    assert "mapkd bag repair" in bag.notes[-1]


def test_qos_of_metadata_counts_and_differences_lose_no_message(tmp_path):
    from mapkd_core.bags.qos import as_text

    odd_bags.mcap(tmp_path / "a.mcap", texts(20), profiles=(LATCHED,))
    for said, expected in (("", LATCHED), (as_text([Profile(5, reliable=False)]), Profile(5, reliable=False))):
        found, bag = read(metadata(tmp_path, ["a.mcap"], {"/a": 20, "/b": 20}, said))
        assert found == texts(20) and {topic.profiles for topic in bag.topics} == {(expected,)}


def test_a_file_of_several_that_cannot_be_read_is_a_fault(tmp_path):
    odd_bags.mcap(tmp_path / "a_0.mcap", texts(5))
    (tmp_path / "a_1.mcap").write_bytes(b"")
    found, bag = read(tmp_path)
    assert found == texts(5) and "a_1.mcap is empty: it holds 0 bytes" in bag.faults[0]


def test_a_file_that_metadata_does_not_name_is_told_of(tmp_path):
    for k in range(2):
        odd_bags.mcap(tmp_path / f"a_{k}.mcap", texts(5, first=5 * k))
    found, bag = read(metadata(tmp_path, ["a_0.mcap"], {"/a": 5, "/b": 5}))
    assert found == texts(5) and bag.notes == [f"metadata.yaml does not name a_1.mcap of {tmp_path}; not read"]


def test_an_empty_bag_is_a_bag(tmp_path):
    for path in (odd_bags.mcap(tmp_path / "a.mcap", []), tmp_path / "a.db3"):
        if path.suffix == ".db3":
            odd_bags.sqlite(path, []).close()
        found, bag = read(path)
        assert found == [] and bag.topics == [] and (bag.begin_ns, bag.end_ns) == (0, 0)
