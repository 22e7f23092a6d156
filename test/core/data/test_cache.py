"""Training caches: written whole, in shards, gone on with, and read as they went in."""
import shutil
import tarfile
from itertools import islice

import numpy as np
import pytest
from invented_frames import Drive, frame
from real_data import NUSCENES, needs_nuscenes

from mapkd_core.commands.main import main
from mapkd_core.data.cache import CachedSamples, StreamedSamples
from mapkd_core.data.cache_record import CacheOptions
from mapkd_core.data.cache_write import EncodePart, parts_of, write_cache
from mapkd_core.data.dataset import Collate
from mapkd_core.data.frame_sample import SampleOptions, sample_from_frame
from mapkd_core.data.nuscenes import NuScenesSource
from mapkd_core.grid import GRID_60X30, GRID_120X60, GRID_240X60
from mapkd_core.sim.simdrive import simdrive
from mapkd_core.storage import open_storage

pytest.importorskip("webdataset")
from packed_drive import OPTIONS, PACKED, packed_drive


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return packed_drive(tmp_path_factory.mktemp("caches") / "drive")


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
    with pytest.raises(ValueError, match=r"352x128 are asked for, the cache holds 160x64; .* --size 352x128"):
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
    whole = {sample.token for _, sample in islice(StreamedSamples(folder, OPTIONS), 23)}
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
