"""`mapkd predict` writes an image and the elements, and says what is wrong with its input."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from real_data import NUSCENES, needs_nuscenes

from mapkd_core.commands.main import main
from mapkd_core.predictor import DEFAULT_WEIGHTS
from mapkd_core.types import CAMERAS

pytestmark = pytest.mark.skipif(not DEFAULT_WEIGHTS.is_file(), reason="no shipped student")


def image_files(folder: Path, count: int = 6) -> list[str]:
    paths = [folder / f"{name.lower()}.png" for name in CAMERAS[:count]]
    for k, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((90, 160, 3), 30 * k, np.uint8))
    return [str(path) for path in paths]


def calibration(folder: Path) -> str:
    intrinsics = [[126.0, 0, 80], [0, 126.0, 45], [0, 0, 1]]
    rig = {}
    for k, name in enumerate(CAMERAS):
        c, s = np.cos(k), np.sin(k)
        rig[name] = {
            "intrinsics": intrinsics,
            "base_from_camera": [[s, 0, c, 0], [-c, 0, s, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]],
        }
    (folder / "rig.json").write_text(json.dumps(rig))
    return str(folder / "rig.json")


def test_own_images_become_an_overview_and_elements(tmp_path: Path) -> None:
    out = tmp_path / "out"
    images = image_files(tmp_path)
    assert main(["predict", "--images", *images, "--calibration", calibration(tmp_path), "--device", "cpu",
                 "--out", str(out)]) == 0
    record = json.loads((out / "cam_front_left.json").read_text())
    assert {"model", "grid", "elements", "stage_ms"} <= set(record)
    assert cv2.imread(str(out / "cam_front_left.png")).shape[0] > 500


@needs_nuscenes
def test_a_bare_overview_shows_neither_images_nor_true_map(tmp_path: Path) -> None:
    from tiny_student import save_tiny_student

    words = ["predict", "--dataroot", str(NUSCENES), "--scene", "scene-0103", "--device", "cpu",
             "--weights", str(save_tiny_student(tmp_path)), "--out"]
    assert main([*words, str(tmp_path / "shown")]) == main([*words, str(tmp_path / "bare"), "--bare"]) == 0
    shown, bare = (cv2.imread(str(next((tmp_path / name).glob("*.png")))) for name in ("shown", "bare"))
    assert bare.shape[1] < shown.shape[1]  # no panel of the reference
    tiles = [image[80:300, 20:560] for image in (shown, bare)]
    assert tiles[0].std() > 10
    assert (tiles[1] == np.median(tiles[1])).mean() > 0.9


def test_a_bag_has_no_bare_overview(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(tmp_path), "--bare"]) == 2
    assert "of a bag, --no-video writes no images" in capsys.readouterr().err


def test_images_and_their_calibration_are_never_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, rig = image_files(tmp_path), Path(calibration(tmp_path))
    before = Path(images[0]).read_bytes()
    assert main(["predict", "--images", *images, "--calibration", str(rig), "--out", str(tmp_path)]) == 2
    assert f"{images[0]} would be written over" in capsys.readouterr().err
    assert Path(images[0]).read_bytes() == before
    own = rig.rename(tmp_path / "cam_front_left.json")
    jpegs = [str(Path(path).rename(Path(path).with_suffix(".jpg"))) for path in images]
    assert main(["predict", "--images", *jpegs, "--calibration", str(own), "--out", str(tmp_path)]) == 2
    assert "cam_front_left.json would be written over" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (lambda d: ["--images", *image_files(d)], "--calibration"),
    (lambda d: ["--images", *image_files(d, 5), "--calibration", calibration(d)], "5 images, 6 cameras"),
])
def test_incomplete_input_is_named(
    arguments: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", *arguments(tmp_path), "--out", str(tmp_path / "out")]) == 2  # type: ignore[operator]
    assert message in capsys.readouterr().err


def test_each_keyframe_has_files_of_its_own_whatever_its_token_begins_with(tmp_path: Path) -> None:
    from tiny_nuscenes import write_tiny_nuscenes
    from tiny_student import save_tiny_student

    root = write_tiny_nuscenes(tmp_path / "root", {"scene-a": 2})  # tokens scene-a-0 and scene-a-1
    words = ["predict", "--dataroot", str(root), "--weights", str(save_tiny_student(tmp_path)), "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    names = {path.name for path in (tmp_path / "out").glob("*.json")}
    assert names == {"scene-a_scene-a-0.json", "scene-a_scene-a-1.json"}


def test_a_bag_is_never_written_over(
    sim_bag: tuple[Path, list], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tiny_student import save_tiny_student

    data = next(sim_bag[0].glob("*.mcap")).read_bytes()
    (tmp_path / "maps.mcap").write_bytes(data)
    words = ["predict", "maps.mcap", "--weights", str(save_tiny_student(tmp_path)), "--out", ".", "--no-video"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(words) == 2
    assert "maps.mcap would be written over maps.mcap, which is read here" in capsys.readouterr().err
    assert (tmp_path / "maps.mcap").read_bytes() == data


@pytest.fixture(scope="module")
def sim_bag(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list]:
    """Two frames of a simulated drive as `mapkd bag` writes them, and the frames."""
    pytest.importorskip("rosbags", reason="rosbags writes the bag")
    from mapkd_core.bags.drive_stream import DriveStream
    from mapkd_core.bags.writer import write_bag
    from mapkd_core.sim.drive import SimDrive

    frames = list(SimDrive(1, size=(160, 90), frames=2, lidar=False))
    path = tmp_path_factory.mktemp("sim") / "drive"
    write_bag(DriveStream(frames, lidar=False), path, progress=False)
    return path, frames


def test_a_bag_of_a_simulated_drive_becomes_maps_video_and_messages(
    sim_bag: tuple[Path, list], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av", reason="PyAV writes the video")
    from tiny_student import save_tiny_student

    from mapkd_core.bags.reader import BagReader
    from mapkd_core.bags.sensor_fields import compressed_image
    from mapkd_core.predictor import MapPredictor

    bag, frames = sim_bag
    card, out = save_tiny_student(tmp_path), tmp_path / "out"
    assert main(["predict", str(bag), "--weights", str(card), "--device", "cpu", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "CAM_FRONT: /camera/cam_front/image_raw/compressed, 160x90" in printed and "2 maps with" in printed
    lines = [json.loads(line) for line in (out / "elements.jsonl").read_text().splitlines()]
    assert lines[0]["model"]["name"] == "tiny" and len(lines) == 3
    predictor = MapPredictor.from_artifact(card)
    for frame, line in zip(frames, lines[1:], strict=True):
        images = [compressed_image(view, 0)["data"].tobytes() for view in frame.views]
        intrinsics, mountings = zip(*((view.intrinsics, view.base_from_camera) for view in frame.views), strict=True)
        expected = predictor.predict(images, np.stack(intrinsics), np.stack(mountings)).elements
        assert line["cameras"] == {view.name: view.stamp_ns for view in frame.views} and not line["missing_cameras"]
        assert [element["label"] for element in line["elements"]] == [element.label for element in expected]
        for found, wanted in zip(line["elements"], expected, strict=True):
            np.testing.assert_allclose(found["points_m"], wanted.points_m, atol=1e-3)
    with BagReader(out / "maps.mcap") as recorded:
        assert {topic.name: topic.count for topic in recorded.topics}["/student_node/vector_map"] == 2
    assert (out / "overlay.mp4").stat().st_size > 1000


def test_a_bag_that_gives_no_map_says_why(
    sim_bag: tuple[Path, list], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tiny_student import save_tiny_student

    given = ["predict", "--weights", str(save_tiny_student(tmp_path)), "--out", str(tmp_path / "out"), "--no-video"]
    assert main([*given, str(sim_bag[0]), "--base-frame", "ego"]) == 2
    complaint = capsys.readouterr().err.strip().splitlines()[-1]
    assert "no map: CAM_" in complaint and "no message names the frame 'ego'" in complaint
    assert not (tmp_path / "out" / "elements.jsonl").exists()
    (tmp_path / "v1.0-mini").mkdir()
    (tmp_path / "v1.0-mini" / "sample.json").write_text("[]")
    assert main([*given, str(tmp_path)]) == 2
    assert "is a data root in nuScenes' format; expected a bag: give it with --dataroot" in capsys.readouterr().err


def test_a_network_with_a_memory_goes_through_scenes_in_their_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from tiny_nuscenes import write_tiny_nuscenes
    from tiny_student import GRID, SIZE

    from mapkd_core.artifact import ModelCard, save_artifact
    from mapkd_core.data.nuscenes import NuScenesSource
    from mapkd_core.evaluation.batch_predictor import BatchPredictor
    from mapkd_core.model.build import build_model

    options = {
        "variant": "vector_nano", "image_width": 8, "view_channels": 8, "bev_width": 8, "width": 16, "hidden": 16,
        "vectors": 5, "points": 4, "sampling_heads": 4, "evidence": [], "memory": 2,
    }  # fmt: skip
    torch.manual_seed(0)
    network = build_model("vector_student", GRID, SIZE, options)
    for name, parameter in network.named_parameters():
        if name.startswith("memory.") or "bend" in name or name.endswith(".4.weight"):
            torch.nn.init.normal_(parameter, 0.0, 0.3)
    card = ModelCard("tiny", "1", "vector_student", options, GRID, SIZE, least_score=0.005)
    save_artifact(tmp_path / "tiny.json", card, network.state_dict())
    root = write_tiny_nuscenes(tmp_path / "root", {"scene-a": 3, "scene-b": 2})
    words = ["predict", "--dataroot", str(root), "--weights", str(tmp_path / "tiny.json"), "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    predictor = BatchPredictor(tmp_path / "tiny.json", "cpu")
    predictor.least_score = 0.005
    alone = BatchPredictor(tmp_path / "tiny.json", "cpu")
    told = []
    for frame in NuScenesSource(root, "v1.0-mini", lidar_sweeps=0):
        written = json.loads((tmp_path / "out" / f"{frame.scene}_{frame.token[:9]}.json").read_text())["elements"]
        expected = predictor.predict_frame(frame).elements
        assert len(written) == len(expected) > 0
        for element, one in zip(written, expected, strict=True):
            assert np.allclose(np.array(element["points_m"])[:, :2], one.points_m, atol=0.01)
        alone._last = None
        told.append(np.allclose(alone.predict_frame(frame).elements[0].points_m, expected[0].points_m, atol=1e-3))
    assert told == [True, False, False, True, False]
    capsys.readouterr()
    assert main([*words, "--backend", "onnx"]) == 2
    assert "are for a network without memory; leave them out" in capsys.readouterr().err
    images = ["predict", "--images", *image_files(tmp_path), "--calibration", calibration(tmp_path)]
    assert main([*images, "--weights", str(tmp_path / "tiny.json"), "--out", str(tmp_path / "x")]) == 2
    assert "is of a network with a memory" in capsys.readouterr().err
