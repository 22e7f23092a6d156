"""`mapkd view` and `mapkd render`: one source, one network, two ways to look at it."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from invented_frames import Drive
from tiny_student import save_tiny_student

from mapkd_core.commands.main import main
from mapkd_core.types import CAMERAS


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_student(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    from mapkd_core.data.cache_record import CacheOptions
    from mapkd_core.data.cache_write import write_cache

    folder = tmp_path_factory.mktemp("cache")
    write_cache(Drive(4), folder, CacheOptions((160, 90), lidar=True), progress=False)
    return f"cache:{folder}"


def test_view_writes_a_file_with_images_predictions_truth_and_points(
    cache: str, card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rerun", reason="the viewer needs: pip install '.[view]'")
    from rrd_files import logged

    out = tmp_path / "a.rrd"
    assert main(["view", cache, "--weights", card, "--lidar", "--limit", "3", "--save", str(out)]) == 0
    found = logged(out)
    assert len(found["drive/vehicle"]) == 3 and len(found["drive/vehicle/lidar"]) == 3
    assert {f"drive/vehicle/{name}" for name in CAMERAS} <= found.keys()
    assert len(found["drive/vehicle/predicted/boundary"]) == len(found["drive/vehicle/true/boundary"]) == 3
    assert "3 moments" in capsys.readouterr().out


def test_view_without_a_network_and_what_makes_no_sense(
    cache: str, card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rerun", reason="the viewer needs: pip install '.[view]'")
    out = str(tmp_path / "a.rrd")
    assert main(["view", cache, "--no-predict", "--limit", "1", "--save", out]) == 0
    assert main(["view", cache, "--no-predict", "--weights", card, "--save", out]) == 2
    assert "expected one of them" in capsys.readouterr().err
    assert main(["view", cache, "--scene", "nowhere", "--weights", card, "--save", out]) == 2
    assert "holds no frame of scene nowhere" in capsys.readouterr().err
    shard = next(Path(cache.removeprefix("cache:")).glob("*.tar"))
    before = shard.read_bytes()
    assert main(["view", cache, "--no-predict", "--save", str(shard)]) == 2
    assert shard.read_bytes() == before


def frames_of(path: Path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(container.streams.video[0])]


def test_render_writes_a_video_with_truth_beside_and_does_not_replace_one_unasked(
    cache: str, card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av", reason="PyAV writes the video")
    out = tmp_path / "a.mp4"
    command = ["render", cache, "--weights", card, "--camera-width", "100", "--video", str(out)]
    assert main(command) == 0
    alone = frames_of(out)
    before = out.read_bytes()
    assert main([*command, "--truth"]) == 2 and "see --overwrite" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert main([*command, "--truth", "--overwrite"]) == 0
    beside = frames_of(out)
    assert len(alone) == len(beside) == 4
    assert beside[0].shape[1] > alone[0].shape[1] + 50, "the true map has a panel of its own"
    assert main(["render", cache, "--no-predict", "--video", str(tmp_path / "b.mov")]) == 2
    assert "ends with .mp4" in capsys.readouterr().err


def test_ctrl_c_leaves_the_video_until_then(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV writes the video")
    from invented_frames import frame

    from mapkd_core.grid import BevGrid
    from mapkd_core.map_files.moment import Moment, cameras_of_frame
    from mapkd_core.viewing.video import write_video

    def interrupted():  # type: ignore[no-untyped-def]
        for number in range(2):
            one = frame(number)
            yield Moment(one.token, one.scene, one.stamp_ns, cameras_of_frame(one), truth=[])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(interrupted(), tmp_path / "a.mp4", BevGrid(), camera_width=100)
    assert len(frames_of(tmp_path / "a.mp4")) == 2
    assert write_video([], tmp_path / "b.mp4", BevGrid()) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
