"""What is no bag is refused in a line that says what it is."""
import pytest

pytest.importorskip("mcap", reason="mcap parses the records")
import odd_bags
from odd_bags import metadata, texts

from mapkd_core.bags.reader import BagReader
from mapkd_core.schema import FileFault


def test_a_file_outside_the_folder_is_never_read(tmp_path):
    (tmp_path / "bag").mkdir()
    odd_bags.mcap(tmp_path / "secret.mcap", texts(3))
    metadata(tmp_path / "bag", ["../secret.mcap"], {"/a": 3, "/b": 3})
    with pytest.raises(FileNotFoundError, match=r"bag lacks \.\./secret\.mcap, which its metadata\.yaml names"):
        BagReader(tmp_path / "bag")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.mcap", b"", "a.mcap is empty: it holds 0 bytes"),
        ("a.db3", b"", "a.db3 is empty: it holds 0 bytes"),
        ("a.mcap", b"this is no bag" * 50, "a.mcap is not an MCAP file: it begins with b'this is "),
        ("a.db3", b"this is no bag" * 50, "a.db3 is not a readable rosbag2 file: file is not a database"),
        ("a.mcap", b"\x89MCAP0\r\n\x01\x20", "a.mcap was cut off before its first message"),
        ("a.mcap.zstd", b"no zstd", "a.mcap.zstd cannot be unpacked"),
        ("old.bag", b"#ROSBAG V2.0\n", "old.bag is a bag of ROS 1; convert it first: rosbags-convert"),
        ("renamed.mcap", b"#ROSBAG V2.0\n", "renamed.mcap is a bag of ROS 1"),
        ("photo.jpg", b"\xff\xd8", "photo.jpg is not a rosbag2; expected a folder with metadata.yaml, or an .mcap"),
    ],
)
def test_a_file_that_is_no_bag(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFault) as caught:
        BagReader(tmp_path / name)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_database_of_somebody_else(tmp_path):
    database = odd_bags.sqlite3.connect(tmp_path / "a.db3")
    database.execute("CREATE TABLE songs(id INTEGER)")
    database.commit()
    database.close()
    with pytest.raises(FileFault, match="is a sqlite3 file, but none of rosbag2: it lacks the tables topics, messages"):
        BagReader(tmp_path / "a.db3")


def test_folders_that_are_no_bags(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no bag .*gone$"):
        BagReader(tmp_path / "gone")
    (tmp_path / "images").mkdir()
    with pytest.raises(FileFault, match="images is not a rosbag2; expected a folder"):
        BagReader(tmp_path / "images")
    (tmp_path / "images" / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(FileFault, match=r"images/old\.bag is a bag of ROS 1"):
        BagReader(tmp_path / "images")
    (tmp_path / "two").mkdir()
    odd_bags.mcap(tmp_path / "two" / "a.mcap", texts(1))
    odd_bags.sqlite(tmp_path / "two" / "a.db3", texts(1)).close()
    with pytest.raises(FileFault, match=r"no metadata\.yaml, and both \.mcap and \.db3 files; name one"):
        BagReader(tmp_path / "two")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{ not: [yaml", "not YAML"),
        ("[]", "expected an object with the keys rosbag2_bagfile_information"),
        ("rosbag2_bagfile_information: {storage_identifier: mcap}", "expected the key 'relative_file_paths'"),
        ("rosbag2_bagfile_information: " + "[" * 3000, "not YAML"),
    ],
)
def test_metadata_that_is_none(tmp_path, content, words):
    odd_bags.mcap(tmp_path / "a.mcap", texts(1))
    (tmp_path / "metadata.yaml").write_text(content)
    with pytest.raises(FileFault) as caught:
        BagReader(tmp_path)
    assert words in str(caught.value) and "`mapkd bag repair" in str(caught.value) and "\n" not in str(caught.value)


def test_storage_of_a_plugin_that_is_unknown(tmp_path):
    odd_bags.mcap(tmp_path / "a.mcap", texts(1))
    with pytest.raises(FileFault, match="storage_identifier is 'tape'; expected mcap or sqlite3"):
        BagReader(metadata(tmp_path, ["a.mcap"], {"/a": 1}, storage_identifier="tape"))
