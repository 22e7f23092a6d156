import functools
import http.server
import json
import shutil
import tarfile
import threading
from collections import Counter

import numpy as np
import pytest
from invented_frames import Drive, frame
from real_data import NUSCENES, needs_nuscenes
from torch.utils.data import DataLoader

from mapkd_core.commands.main import main
from mapkd_core.config import AugmentConfig, DataConfig, TrainConfig
from mapkd_core.data.cache import CachedSamples, CacheIndex, StreamedSamples
from mapkd_core.data.cache_record import CacheOptions, decode, encode
from mapkd_core.data.cache_write import EncodePart, parts_of, write_cache
from mapkd_core.data.dataset import Collate
from mapkd_core.data.frame_sample import SampleOptions, sample_from_frame
from mapkd_core.data.nuscenes import NuScenesSource
from mapkd_core.grid import GRID_60X30, GRID_120X60, GRID_240X60
from mapkd_core.schema import FileFault
from mapkd_core.sim.simdrive import simdrive
from mapkd_core.storage import open_storage
from mapkd_core.training.batches import training_batches

pytest.importorskip("webdataset")
PACKED = CacheOptions((160, 64), lidar=True)
OPTIONS = SampleOptions(GRID_60X30, (160, 64), lidar=True, sd_map=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """23 frames in 4 shards."""
    path = tmp_path_factory.mktemp("caches") / "drive"
    write_cache(Drive(23), path, PACKED, shard_frames=6, progress=False)
    return path


def test_samples_come_back_as_they_went_in(folder):
    cached = CachedSamples(folder, OPTIONS)
    wide = SampleOptions(GRID_120X60, (160, 64))
    assert len(cached) == 23 and {cached[i].token for i in range(23)} == {f"token-{k}" for k in range(23)}
    for index in (0, 11, 22):
        sample = cached[index]
        direct = sample_from_frame(frame(int(sample.token.split("-")[1])), OPTIONS)
        assert np.abs(sample.images.astype(int) - direct.images).mean() < 3
        np.testing.assert_allclose(sample.intrinsics, direct.intrinsics, atol=1e-12)
        np.testing.assert_array_equal(sample.base_from_camera, direct.base_from_camera)
        np.testing.assert_allclose(sample.lidar, direct.lidar, atol=0.02)
        assert sample.conditions == direct.conditions
        mine, theirs = (Collate(GRID_60X30)([s]) for s in (sample, direct))
        np.testing.assert_array_equal(mine.semantic, theirs.semantic)
        np.testing.assert_array_equal(mine.direction, theirs.direction)
        np.testing.assert_array_equal(mine.sd_map, theirs.sd_map)
        far = sample_from_frame(frame(int(sample.token.split("-")[1])), wide)
        mine, theirs = (Collate(GRID_120X60)([s]) for s in (CachedSamples(folder, wide)[index], far))
        np.testing.assert_array_equal(mine.semantic, theirs.semantic)


def test_smaller_images_may_be_asked_for_but_not_larger_ones(folder):
    small = CachedSamples(folder, SampleOptions(GRID_240X60, (80, 32)))[0]
    assert small.images.shape == (6, 32, 80, 3) and small.intrinsics[0, 0, 0] == pytest.approx(62.5)
    with pytest.raises(ValueError, match="352x128 are asked for, the cache holds 160x64"):
        CachedSamples(folder, SampleOptions())[0]


def test_a_grid_beyond_the_reach_is_refused(tmp_path):
    write_cache(Drive(2), tmp_path / "c", CacheOptions((160, 64), reach_m=(40, 25)), progress=False)
    CachedSamples(tmp_path / "c", SampleOptions(GRID_60X30, (160, 64), margin_m=10))
    with pytest.raises(ValueError, match=r"reaches 40 x 25 m.*needs 42 x 27 m"):
        CachedSamples(tmp_path / "c", SampleOptions(GRID_60X30, (160, 64), margin_m=12))


def test_shards_are_plain_tar_files_in_webdatasets_layout(folder):
    sizes = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            names = archive.getnames()
        sizes.append(sum(name.endswith(".json") for name in names))
        assert "lidar.npz" in {name.split(".", 1)[1] for name in names}
    assert sorted(sizes) == [5, 6, 6, 6]
    whole = {sample.token for _, sample in take(StreamedSamples(folder, OPTIONS), 23)}
    assert len(whole) == 23


def test_neighbours_are_scattered_over_shards(folder):
    index = CachedSamples(folder, OPTIONS)
    shard = {index[i].token: index.shard[i] for i in range(23)}
    assert len({shard[f"token-{k}"] for k in range(8, 12)}) == 4


def test_interrupted_writing_goes_on_where_it_stopped(folder, tmp_path):
    path = tmp_path / "resumed"
    with pytest.raises(ValueError, match="frame 17 is damaged"):
        write_cache(Drive(23, fails_at=17), path, PACKED, shard_frames=6, progress=False, part_frames=4)
    with pytest.raises(ValueError, match="not finished; run the same"):
        CachedSamples(path, OPTIONS)
    # As after a crash between a part and its note, and notes that a disk has lost.
    (path / "parts" / "0000004.tar").write_bytes(b"x" * 700)
    (path / "parts" / "0000001.json").write_text('{"ends": [512, ')
    (path / "parts" / "0000002.json").write_text('{"ends": [512, 1024, 1536, 2048]}')
    mended = Drive(23)
    write_cache(mended, path, PACKED, shard_frames=6, progress=False, part_frames=4)
    assert mended.read == [*range(4, 12), *range(16, 23)]
    for shard in sorted(folder.glob("*.tar")):
        assert (path / shard.name).read_bytes() == shard.read_bytes()
    assert (path / "index.json").read_text() == (folder / "index.json").read_text()
    assert {p.suffix for p in path.iterdir()} == {".tar", ".json"} and not (path / "plan.json").exists()
    assert not (path / "parts").exists()


def test_an_interrupted_cache_does_not_go_on_with_other_data(tmp_path):
    def write(drive, what):
        write_cache(drive, tmp_path, PACKED, shard_frames=6, progress=False, data_fingerprint=what)

    with pytest.raises(ValueError, match="frame 7 is damaged"):
        write(Drive(9, fails_at=7), "of yesterday")
    with pytest.raises(ValueError, match=r"something else \(data_fingerprint 'of yesterday' -> 'of now'"):
        write(Drive(9), "of now")
    write(Drive(9), "of yesterday")
    with pytest.raises(ValueError, match="something else"):
        write(Drive(9), "of now")


@pytest.mark.parametrize("left", [("plan.json", "parts/0000000.tar", "parts/0000000.json"), ("plan.json",)])
def test_a_kill_at_the_very_end_leaves_nothing_that_is_not_cleared_up(folder, tmp_path, left):
    path = tmp_path / "cache"
    shutil.copytree(folder, path)
    for name in left:  # the index is there, what only an unfinished cache needs is not gone yet
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("0 0 512\n")
    write_cache(Drive(23), path, PACKED, shard_frames=6, progress=False)
    assert sorted(p.name for p in path.iterdir()) == sorted(p.name for p in folder.iterdir())


def test_workers_write_the_same_bytes(folder, tmp_path):
    write_cache(Drive(23), tmp_path / "two", PACKED, shard_frames=6, workers=2, progress=False)
    for shard in folder.glob("*.tar"):
        assert (tmp_path / "two" / shard.name).read_bytes() == shard.read_bytes()


def test_a_finished_or_foreign_folder_is_not_overwritten(folder, tmp_path):
    again = Drive(23)
    write_cache(again, folder, PACKED, shard_frames=6, progress=False)
    assert again.read == []
    with pytest.raises(ValueError, match=r"something else \(frames 23 -> 24"):
        write_cache(Drive(24), folder, PACKED, shard_frames=6, progress=False)
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(ValueError, match="other files"):
        write_cache(Drive(2), tmp_path, PACKED, progress=False)
    with pytest.raises(ValueError, match="no frames"):
        write_cache(Drive(0), tmp_path / "none", PACKED, progress=False)


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


def test_a_worker_that_does_not_see_the_folder_writes_nothing(tmp_path):
    job = EncodePart(Drive(2), PACKED, open_storage(tmp_path / "elsewhere"))
    with pytest.raises(OSError, match=r"elsewhere/plan\.json is not seen by .*; expected a folder that all"):
        job((0, range(2)))
    assert not (tmp_path / "elsewhere").exists()


def test_parts_end_with_drives():
    source = simdrive("val", drives=3)
    parts = parts_of(source, 5)
    assert [k for part in parts for k in part] == list(range(len(source))) and max(map(len, parts)) == 5
    assert {part.stop for part in parts} >= set(source.drive_ends) and len(source.drive_ends) == 3


@pytest.mark.parametrize(("name", "content"), [("index.json", "[]"), ("index.json", "{"), ("plan.json", "5")])
def test_a_damaged_note_of_a_cache_is_told_when_it_is_written_again(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(FileFault, match=rf"{name} is not the .* of a cache"):
        write_cache(Drive(2), tmp_path, PACKED, progress=False)


def take(stream, count):
    return [pair for pair, _ in zip(stream, range(count), strict=False)]


def tokens(pairs):
    return [sample.token for _, sample in pairs]


def test_a_stream_gives_every_sample_once_an_epoch_in_a_new_order(folder):
    pairs = take(StreamedSamples(folder, OPTIONS, window=8), 69)
    epochs = [tokens(pairs[k : k + 23]) for k in (0, 23, 46)]
    assert all(len(set(epoch)) == 23 for epoch in epochs) and epochs[0] != epochs[1] != epochs[2]
    assert [number for number, _ in pairs] == list(range(69))
    assert tokens(take(StreamedSamples(folder, OPTIONS, window=8), 69)) == tokens(pairs)
    assert tokens(take(StreamedSamples(folder, OPTIONS, window=8, seed=1), 23)) != epochs[0]


def test_processes_share_an_epoch(folder):
    shares = [tokens(take(StreamedSamples(folder, OPTIONS, rank=r, world=3, window=4), 7)) for r in range(3)]
    assert max(Counter(token for share in shares for token in share).values()) == 1
    with pytest.raises(ValueError, match="23 cached samples for 30 workers"):
        take(StreamedSamples(folder, OPTIONS, rank=0, world=30), 1)


def batches(folder, start: int, count: int) -> list[list[tuple[int, str]]]:
    stream = StreamedSamples(folder, OPTIONS, batch_size=2, start_batch=start, window=5)
    loader = DataLoader(stream, batch_size=2, num_workers=2, collate_fn=list)
    return [[(number, sample.token) for number, sample in batch] for batch in take(loader, count)]


def test_a_resumed_stream_with_workers_continues_to_the_sample(folder):
    whole = batches(folder, 0, 18)
    assert batches(folder, 7, 11) == whole[7:]
    assert len({number for batch in whole for number, _ in batch}) == 36


@pytest.fixture
def url(folder):
    """The cache behind a web server."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_streams_over_http(folder, url):
    pairs = take(StreamedSamples(url, OPTIONS, window=8), 23)
    assert tokens(pairs) == tokens(take(StreamedSamples(folder, OPTIONS, window=8), 23))
    with pytest.raises(ValueError, match="StreamedSamples"):
        CachedSamples(url, OPTIONS)
    with pytest.raises(FileNotFoundError, match="no cache at http"):
        CacheIndex.read(f"{url}/elsewhere")


def test_training_from_a_url_resumes_to_the_same_batch(url):
    config = TrainConfig(
        data=DataConfig(train=f"cache:{url}", image_size=(160, 64), sd_map=True), batch_size=2,
        augment=AugmentConfig(photometric=0.5, flip=True),
    )
    whole = take(training_batches(config), 14)
    assert len({token for batch in whole[:11] for token in batch.tokens}) == 22
    (resumed,) = take(training_batches(config, first_batch=12), 1)
    assert resumed.tokens == whole[12].tokens and resumed.images.equal(whole[12].images)
    assert resumed.semantic.equal(whole[12].semantic) and resumed.lidar is None


@needs_nuscenes
def test_the_command_packs_real_frames_whose_labels_stay_to_the_pixel(tmp_path, capsys):
    arguments = ["cache", str(NUSCENES), str(tmp_path / "real")]
    assert main(arguments) == 0
    assert "2 frames in 1 shards" in capsys.readouterr().out
    options = SampleOptions(GRID_60X30, sd_map=True)
    cached = CachedSamples(tmp_path / "real", options)
    frames = {f.token: f for f in NuScenesSource(NUSCENES)}
    for index in range(len(cached)):
        direct = sample_from_frame(frames[cached[index].token], options)
        mine, theirs = (Collate(GRID_60X30)([s]) for s in (cached[index], direct))
        np.testing.assert_array_equal(mine.semantic, theirs.semantic)
        np.testing.assert_array_equal(mine.sd_map, theirs.sd_map)
    known = {cached.frame(i).frame.scene: cached.frame(i).local_map.known for i in range(2)}
    assert "ped_crossing" not in known["scene-0061"]
    assert main([*arguments, "--lidar"]) == 2
    assert "lidar False -> True" in capsys.readouterr().err


def test_command_mistakes_are_one_line(tmp_path, capsys):
    assert main(["cache", "kitti:/data", str(tmp_path / "c")]) == 2
    assert "'kitti:/data' is neither a folder nor of the form" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["cache", "--help"])
    assert "mapkd cache nuscenes:" in capsys.readouterr().out
