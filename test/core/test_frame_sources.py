import pytest

from mapkd_core.frame_sources import open_frames


def test_simulated_drives_by_name():
    frames, missing = open_frames("simdrive-v1:val:small:2")
    more, _ = open_frames("simdrive-v1:val:3", image_size=(176, 64))
    assert 0 < len(frames) < len(more)
    assert frames.drives[0].size == more.drives[0].size
    assert isinstance(missing, list)


def test_drives_in_one_weather_and_with_bodywork_by_name():
    plain, _ = open_frames("simdrive-v1:val:small:6")
    night, _ = open_frames("simdrive-v1:val:small:6:night")
    assert {drive.conditions.weather for drive in night.drives} == {"night"}
    assert [drive.seed for drive in night.drives] == [drive.seed for drive in plain.drives]
    assert not any(drive.own_body for drive in plain.drives)
    some, _ = open_frames("simdrive-v1:val:small:6:own-body/3")
    assert [drive.own_body is not None for drive in some.drives] == [True, False, False] * 2
    wet, _ = open_frames("simdrive-v1:val:own-body:2:wet")
    assert all(drive.own_body and drive.conditions.weather == "wet" for drive in wet.drives)


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("simdrive-v1:val:tiny", ValueError, "'tiny'"),
        ("simdrive-v1:val:small:0", ValueError, "'0'"),
        ("simdrive-v1:val:own-body/0", ValueError, "'own-body/0'"),
        ("simdrive-v1:autumn", ValueError, "autumn"),
        ("/no/such/folder", FileNotFoundError, "neither a folder nor"),
        ("bag:drive.mcap", ValueError, "mapkd cache bag:drive.mcap FOLDER --map MAP"),
    ],
)
def test_names_that_mean_nothing(name, error, told):
    with pytest.raises(error, match=told):
        open_frames(name)


def test_a_folder_must_hold_one_version(tmp_path):
    (tmp_path / "v1.0-mini").mkdir()
    (tmp_path / "v1.0-trainval").mkdir()
    with pytest.raises(ValueError, match=r"v1\.0-mini.*v1\.0-trainval"):
        open_frames(str(tmp_path))


@pytest.mark.parametrize(
    ("file", "opened", "told"),
    [
        ("v1.0-mini/scene.json", "v1.0-mini", r": name .*root$"),
        ("nuscenes/v1.0-mini/scene.json", ".", r": name .*nuscenes$"),
        ("val/log/city_SE3_egovehicle.feather", ".", r"; logs of Argoverse 2 are argoverse2:"),
        ("shard-000000.tar", ".", r"; a training cache is cache:"),
        ("readme.txt", ".", r"; expected simdrive-v1:"),
    ],
)
def test_a_folder_that_is_no_data_root_says_what_was_meant(file, opened, told, tmp_path):
    path = tmp_path / "root" / file
    path.parent.mkdir(parents=True)
    path.write_text("")
    if path.suffix == ".tar":
        path.with_name("index.json").write_text("")
    with pytest.raises(ValueError, match=r"holds no folder v1\.0-\.\.\., as nuScenes' data root does" + told):
        open_frames(str(tmp_path / "root" / opened))
