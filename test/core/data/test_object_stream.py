"""Caches in object storage: written there, resumed, streamed with prefetch, the bytes and samples of a local one."""
from __future__ import annotations

import dataclasses
import threading
import time

import pytest
from invented_frames import Drive
from object_store import object_store
from torch.utils.data import DataLoader

from mapkd_core.commands.main import main
from mapkd_core.data.cache import CacheIndex, StreamedSamples
from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import write_cache
from mapkd_core.data.frame_sample import SampleOptions
from mapkd_core.data.object_stream import Stretch, records_ahead
from mapkd_core.grid import GRID_60X30
from mapkd_core.schema import FileFault
from mapkd_core.storage import Folder, open_storage

pytest.importorskip("s3fs", reason="object storage needs s3fs: pip install '.[cluster]'")
pytest.importorskip("moto", reason="moto stands for S3: pip install -r requirements/cluster.txt")
pytest.importorskip("webdataset")
PACKED, OPTIONS = CacheOptions((96, 48)), SampleOptions(GRID_60X30, (96, 48))


@pytest.fixture(scope="module")
def bucket():
    with object_store() as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("caches") / "drive"
    write_cache(Drive(23), path, PACKED, shard_frames=6, progress=False)
    return path


@pytest.fixture(scope="module")
def url(bucket):
    """Its writing was interrupted and went on."""
    place = f"{bucket}/caches/drive"
    with pytest.raises(ValueError, match="frame 17 is damaged"):
        write_cache(Drive(23, fails_at=17), place, PACKED, shard_frames=6, progress=False, part_frames=4)
    with pytest.raises(FileNotFoundError, match="no cache at s3://"):
        CacheIndex.read(place)
    mended = Drive(23)
    write_cache(mended, place, PACKED, shard_frames=6, progress=False, part_frames=4)
    assert mended.read == list(range(16, 23))
    return place


def test_the_same_objects_as_files(folder, url):
    storage = open_storage(url)
    assert storage.sizes() == {path.name: path.stat().st_size for path in folder.iterdir()}
    assert all(storage.read(path.name) == path.read_bytes() for path in folder.iterdir())


def samples(place, count, **options):
    stream = StreamedSamples(place, OPTIONS, window=8, **options)
    return [(number, sample.token, sample.images.tobytes()) for number, sample in take(stream, count)]


def take(stream, count):
    return [pair for pair, _ in zip(stream, range(count), strict=False)]


def test_a_stream_from_object_storage_gives_the_samples_of_the_folder(folder, url):
    assert samples(url, 46) == samples(folder, 46)
    assert samples(url, 5, rank=1, world=2, start_batch=3) == samples(folder, 5, rank=1, world=2, start_batch=3)
    # fsspec's connections do not outlive a fork; each loader process has its own
    loader = DataLoader(StreamedSamples(url, OPTIONS, window=5), batch_size=2, num_workers=2, collate_fn=list)
    drawn = [(number, sample.token) for batch in take(loader, 10) for number, sample in batch]
    assert len({number for number, _ in drawn}) == len({token for _, token in drawn}) == 20


def test_damage_and_loss_are_told_with_their_place(bucket, url, folder):
    storage = open_storage(f"{bucket}/damaged")
    for path in folder.iterdir():
        storage.write(path.name, path.read_bytes())
    index = CacheIndex.read(folder)
    storage.write(index.files[0], bytes([1]) * (folder / index.files[0]).stat().st_size)
    with pytest.raises(FileFault, match=r"s3://bucket/damaged/00000\.tar at byte \d+: the shard is damaged"):
        samples(storage.location, 23)
    storage.delete([index.files[0]])
    with pytest.raises(FileNotFoundError, match=r"cannot read s3://bucket/damaged/00000\.tar: there is nothing"):
        samples(storage.location, 23)


def test_blocks_are_fetched_ahead_and_never_more_than_some(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(100)))
    asked, lock = [], threading.Lock()

    @dataclasses.dataclass(frozen=True)
    class Slow(Folder):
        def read_pieces(self, pieces):
            with lock:
                asked.append(pieces[0])
            return super().read_pieces(pieces)

    stretches = [Stretch("a", list(range(10, 101, 10)), 2, 9)] * 10
    records = records_ahead(Slow(str(tmp_path)), stretches, block_bytes=20)
    first = next(records)
    assert first.data == bytes(range(20, 30)) and first.where.endswith("a at byte 20")
    until = time.monotonic() + 30
    while len(asked) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    assert asked == [("a", 20, 40), ("a", 40, 60), ("a", 60, 80), ("a", 80, 90)], "asked for before they are wanted"
    rest = [record.data for record in records]
    assert len(rest) == 69 and rest[:7] == [bytes(range(k, k + 10)) for k in (*range(30, 90, 10), 20)]


def test_the_command_writes_to_a_url(bucket, capsys):
    words = ["cache", "simdrive-v1:val:small:1", f"{bucket}/sim", "--size", "64x32", "--reach", "40", "25"]
    assert main(words) == 0
    assert "s3://bucket/sim: " in capsys.readouterr().out and len(CacheIndex.read(f"{bucket}/sim")) > 3
    assert main([*words, "--quality", "50"]) == 2
    assert "s3://bucket/sim holds a cache of something else (quality 90 -> 50)" in capsys.readouterr().err
    assert main(["cache", "simdrive-v1:val:small:1", "s3://no-such-bucket/sim"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
