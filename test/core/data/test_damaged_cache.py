"""Caches that are broken, damaged, of an earlier version, or no cache: refused by name."""
import json
import shutil
import tarfile

import numpy as np
import pytest
from invented_frames import Drive, frame

from mapkd_core.data.cache import CachedSamples, CacheIndex, StreamedSamples
from mapkd_core.data.cache_record import decode, encode
from mapkd_core.data.cache_write import write_cache
from mapkd_core.schema import FileFault

pytest.importorskip("webdataset")
from packed_drive import OPTIONS, PACKED, packed_drive


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return packed_drive(tmp_path_factory.mktemp("caches") / "drive")


def test_broken_caches_are_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no cache in"):
        CacheIndex.read(tmp_path)
    shutil.copytree(folder, tmp_path / "broken")
    text = (tmp_path / "broken" / "index.json").read_text()
    (tmp_path / "broken" / "index.json").write_text(text.replace("mapkd-cache-1", "mapkd-cache-9"))
    with pytest.raises(ValueError, match="format 'mapkd-cache-9'"):
        CacheIndex.read(tmp_path / "broken")
    (tmp_path / "broken" / "index.json").write_text(text)
    damaged = tmp_path / "broken" / "00000.tar"
    damaged.write_bytes(b"\x01" * damaged.stat().st_size)
    with pytest.raises(ValueError, match=r"00000\.tar at byte 0: the shard is damaged"):
        CachedSamples(tmp_path / "broken", OPTIONS)[0]
    damaged.unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks its shard .*00000\.tar"):
        CachedSamples(tmp_path / "broken", OPTIONS)[0]


@pytest.mark.parametrize(
    "name",
    ["pipe:touch {mark}", "pipe://touch {mark}", "PIPE:touch {mark}", "file:{mark}", "sftp://host/x", "a:b",
     "gs://bucket/x'; touch {mark}; '", "http://host/$(touch {mark})", "s3://b/x y"],
)  # fmt: skip
def test_a_cache_is_a_folder_or_a_plain_url_and_never_a_command(tmp_path, name):
    mark = tmp_path / "mark"
    for read in (CacheIndex.read, lambda place: StreamedSamples(place, OPTIONS)):
        with pytest.raises(ValueError, match="neither a folder nor a plain URL of http://, https://, gs://"):
            read(name.format(mark=mark))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda index: index["shards"][0].update(file="../x.tar"), r"shards\[0\]\.file is '\.\./x\.tar'"),
        (lambda index: index["shards"][0].update(file="pipe:ls"), "file is 'pipe:ls'"),
        (lambda index: index["shards"][0].update(file="/etc/passwd"), "file is '/etc/passwd'"),
        (lambda index: index["shards"][1]["ends"].reverse(), "expected ends that grow"),
        (lambda index: index["shards"][1].update(ends=[1.5]), r"ends\[0\] is 1\.5"),
        (lambda index: index["plan"].update(reach_m=[None, 3]), "plan.reach_m"),
        (lambda index: index.pop("shards"), "key 'shards'"),
    ],
)
def test_an_index_that_cannot_be_is_refused(folder, tmp_path, change, words):
    index = json.loads((folder / "index.json").read_text())
    change(index)
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(FileFault, match=words):
        CacheIndex.read(tmp_path)


def facts(parts, **changes):
    return {**parts, "json": json.dumps({**json.loads(parts["json"]), **changes}).encode()}


def without(parts, name):
    return {key: value for key, value in parts.items() if key != name}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda parts: without(parts, "json"), "record has no json"),
        (lambda parts: {**parts, "json": b"[]"}, "is not a record of a cache"),
        (lambda parts: facts(parts, format="other"), "format 'other'"),
        (lambda parts: facts(parts, map_from_base=[[float("nan")] * 4] * 4), "map_from_base is"),
        (lambda parts: facts(parts, views=[]), "views is .*at least 1"),
        (lambda parts: facts(parts, known=["fence"]), "known"),
        (lambda parts: without(parts, "cam_back.jpg"), "no image of CAM_BACK"),
        (lambda parts: without(parts, "lines.npy"), "lines.npy is damaged"),
        (lambda parts: {**parts, "lines.npy": parts["lines.npy"][:-8]}, "lines.npy is damaged .*expected float32"),
        (lambda parts: {**parts, "lines.npy": parts["lines.npy"].replace(b"(", b"(9999", 1)}, "lines.npy is damaged"),
        (lambda parts: {**parts, "lidar.npz": parts["lidar.npz"][:-30]}, "lidar.npz is damaged"),
        (lambda parts: {**parts, "cam_back.jpg": parts["cam_back.jpg"][:-60]}, "cut off or damaged"),
    ],
)
def test_a_record_that_is_damaged_is_refused_with_its_place(change, words):
    parts = change(encode(frame(1), PACKED))
    with pytest.raises(ValueError, match=words):
        decode(parts, "shard at byte 5").sample(OPTIONS)


@pytest.mark.parametrize(
    ("size", "words"),
    [(-512, "has -512 bytes"), (10**9, "has 1000000000 bytes"), (None, "the shard is damaged .*checksum|bad checksum")],
)
def test_lengths_inside_a_shard_are_checked_before_they_are_followed(folder, tmp_path, size, words):
    shutil.copytree(folder, tmp_path / "broken")
    path = tmp_path / "broken" / "00000.tar"
    data = bytearray(path.read_bytes())
    header = tarfile.TarInfo.frombuf(bytes(data[:512]), "utf-8", "strict")
    if size is None:
        data[130] ^= 1
    else:
        header.size = size
        data[:512] = header.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(data)
    cached = CachedSamples(tmp_path / "broken", OPTIONS)
    with pytest.raises(FileFault, match=words):
        cached.frame(int(np.flatnonzero(cached.shard == 0)[0]))


def test_an_unfinished_cache_of_an_earlier_version_is_told(tmp_path):
    with pytest.raises(ValueError, match="frame 5 is damaged"):
        write_cache(Drive(9, fails_at=5), tmp_path, PACKED, progress=False)
    plan = json.loads((tmp_path / "plan.json").read_text())
    del plan["part_frames"]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ValueError, match="unfinished cache of an earlier version of this software; delete it"):
        write_cache(Drive(9), tmp_path, PACKED, progress=False)


@pytest.mark.parametrize(("name", "content"), [("index.json", "[]"), ("index.json", "{"), ("plan.json", "5")])
def test_a_damaged_note_of_a_cache_is_told_when_it_is_written_again(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(FileFault, match=rf"{name} is not the .* of a cache"):
        write_cache(Drive(2), tmp_path, PACKED, progress=False)
