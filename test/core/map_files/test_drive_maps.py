"""A drive's maps as files: all of them or none, and what was there until then after Ctrl-C."""
import json

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags has the message classes")
pytest.importorskip("av", reason="PyAV writes the video")
from camera_bags import BEGIN_NS, PERIOD_NS, SIZE, jpeg

from mapkd_core.artifact import ModelCard
from mapkd_core.bags.camera_sets import CalibratedSet
from mapkd_core.bags.reader import BagReader
from mapkd_core.cameras.calibration import CameraModel
from mapkd_core.grid import BevGrid
from mapkd_core.map_files.drive_maps import write_maps
from mapkd_core.predictor import CameraError, PredictedMap
from mapkd_core.types import MapElement

GRID = BevGrid((-10.0, 30.0), (-5.0, 5.0), 0.5)
LOOKING_AHEAD = np.array([[0, 0, 1, 1], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], float)


class Scripted:
    """A predictor that finds one line, and in some calls cannot decode the last camera's image."""

    card = ModelCard("student", "1.2.3", "student", {}, GRID, (32, 18))

    def __init__(self, broken=()):
        self.calls, self.broken = [], broken

    def predict(self, images, intrinsics, base_from_camera, image_sizes=None, masks=None):
        self.calls.append((images, intrinsics, base_from_camera, image_sizes, masks))
        if len(self.calls) - 1 in self.broken:
            raise CameraError(len(images) - 1, "no JPEG")
        line = MapElement("divider", np.array([[2, 1], [20, 1]], np.float32), 0.5)
        return PredictedMap([line], np.full((4, GRID.rows, GRID.cols), 0.25, np.float32), {"network": 1.0})


def sets(count, cameras=("A", "B"), distortion=()):
    intrinsics = np.array([[50.0, 0, 32], [0, 50, 18], [0, 0, 1]])
    model = CameraModel(SIZE, intrinsics, "plumb_bob" if distortion else "", distortion)
    for k in range(count):
        at_ns = BEGIN_NS + k * PERIOD_NS
        used = cameras if k != 2 else cameras[:1]
        yield CalibratedSet(
            at_ns, at_ns + 5, used, (at_ns,) * len(used), (memoryview(jpeg()),) * len(used), (model,) * len(used),
            np.stack([LOOKING_AHEAD] * len(used)), (None,) * len(used),
        )  # fmt: skip


def lines_of(out):
    return [json.loads(line) for line in (out / "elements.jsonl").read_text().splitlines()[1:]]


def test_every_map_is_in_every_file(tmp_path):
    import av

    predictor = Scripted(broken=(1, 5, 6))  # the second set's B, the fifth's A and B
    done = write_maps(sets(5), {"A": SIZE, "B": SIZE}, predictor, tmp_path / "out")
    faults = {"A: no JPEG": 1, "B: no JPEG": 2}
    assert (done.maps, dict(done.elements), dict(done.faults)) == (4, {"divider": 4}, faults)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["elements.jsonl", "maps.mcap", "overlay.mp4"]
    assert [line["missing_cameras"] for line in lines_of(tmp_path / "out")] == [[], ["B"], ["B"], []]
    with BagReader(tmp_path / "out" / "maps.mcap") as bag:
        assert {topic.name: topic.count for topic in bag.topics} == {
            "/student_node/vector_map": 4, "/student_node/markers": 4,
        }  # fmt: skip
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as video:
        assert len(list(video.decode(video=0))) == 4
    images, intrinsics, mountings, sizes, masks = predictor.calls[0]
    assert [bytes(image) for image in images] == [jpeg().tobytes()] * 2 and sizes == [SIZE, SIZE]
    assert intrinsics.shape == (2, 3, 3) and mountings.shape == (2, 4, 4) and masks == (None, None)


def test_images_with_distortion_are_straightened_before(tmp_path):
    predictor = Scripted()
    write_maps(sets(1, distortion=(-0.1, 0.0, 0.0, 0.0)), {"A": SIZE, "B": SIZE}, predictor, tmp_path, video=False)
    images, intrinsics, _, sizes, _ = predictor.calls[0]
    assert images[0].shape == (18, 32, 3) and sizes[0] == (32, 18) and intrinsics[0, 0, 0] == 25
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elements.jsonl", "maps.mcap"]


def test_ctrl_c_keeps_what_came_until_then(tmp_path):
    def interrupted():
        yield from sets(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_maps(interrupted(), {"A": SIZE, "B": SIZE}, Scripted(), tmp_path)
    assert len(lines_of(tmp_path)) == 2
    with BagReader(tmp_path / "maps.mcap") as bag:
        assert bag.message_count == 4 and bag.whole


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), None])
def test_without_a_map_or_after_an_error_old_files_stay(tmp_path, error):
    write_maps(sets(1), {"A": SIZE, "B": SIZE}, Scripted(), tmp_path, video=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken():
        yield from sets(1)
        if error:
            raise error

    predictor = Scripted(broken=() if error else (0, 1))
    if error:
        with pytest.raises(OSError, match="No space"):
            write_maps(broken(), {"A": SIZE, "B": SIZE}, predictor, tmp_path, video=False)
    else:
        assert write_maps(broken(), {"A": SIZE, "B": SIZE}, predictor, tmp_path, video=False).maps == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
