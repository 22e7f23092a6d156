import cv2
import numpy as np
import pytest
import torch
from real_data import NUSCENES, PRETRAINED, needs_nuscenes

from mapkd_core.commands.main import main
from mapkd_core.data.image_masks import SURFACES, UNKNOWN, image_key, read_mask
from mapkd_core.schema import FileFault
from mapkd_core.segmenters.make_masks import make_masks

ROAD, SIDEWALK = SURFACES.index("road"), SURFACES.index("sidewalk")


class Lanes:
    """Everything left is drivable, the top row is paint."""

    def __call__(self, images):
        assert images.shape == (1, 3, 360, 640) and images.max() <= 1
        drivable, paint = torch.zeros(2, 1, 360, 640)
        drivable[..., :320], paint[:, 0] = 1, 0.5
        return drivable, paint


class Surfaces:
    """The lower half is road; counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def surfaces(self, image):
        self.asked += 1
        return np.repeat(np.array([[0], [ROAD]], np.uint8), 3, 1)


def written(folder, name, value=9, ending=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{ending}"
    cv2.imwrite(str(path), np.full((30, 40, 3), value, np.uint8))
    return path


def test_every_image_once_and_again_only_what_is_new(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    path = written(images / "deep", "a")
    masks.mkdir()
    surfaces = Surfaces()
    assert make_masks(images, masks, Lanes(), surfaces) == 1
    mask = read_mask(masks, image_key(path.read_bytes()))
    assert (mask.surface[:180] == 0).all() and (mask.surface[180:] == ROAD).all()
    assert (mask.drivable[:, :320] == 255).all() and (mask.drivable[:, 320:] == 0).all()
    assert (mask.paint[0] == 128).all() and not mask.paint[1:].any()
    written(images, "b", 50)
    assert make_masks(images, masks, Lanes(), surfaces) == 2 and surfaces.asked == 2


def test_labels_of_camvid_stand_before_predictions(tmp_path):
    path = written(tmp_path / "train", "a")
    labels = np.full((30, 40), 4, np.uint8)
    labels[:, :20], labels[0] = 3, 11
    (tmp_path / "train_labels").mkdir()
    cv2.imwrite(str(tmp_path / "train_labels" / "a.png"), labels)
    (tmp_path / "masks").mkdir()
    surfaces = Surfaces()
    assert make_masks(tmp_path, tmp_path / "masks", Lanes(), surfaces, camvid=True) == 1 and not surfaces.asked
    surface = read_mask(tmp_path / "masks", image_key(path.read_bytes())).surface
    assert (surface[:12] == UNKNOWN).all()
    assert (surface[12:, :320] == ROAD).all() and (surface[12:, 320:] == SIDEWALK).all()
    cv2.imwrite(str(tmp_path / "train_labels" / "a.png"), np.full((30, 40), 12, np.uint8))
    with pytest.raises(FileFault, match="eleven classes"):
        make_masks(tmp_path, tmp_path, Lanes(), surfaces, camvid=True)


def test_a_folder_without_images_and_files_that_are_no_networks(tmp_path, capsys):
    (tmp_path / "no.pth").write_bytes(b"x")
    assert main(["masks", str(tmp_path), str(tmp_path / "m"), "--twinlitenet", str(tmp_path / "no.pth"),
                 "--deeplab", str(tmp_path / "no.tflite")]) == 2  # fmt: skip
    assert "TwinLiteNet's published weights" in capsys.readouterr().err


@needs_nuscenes
@pytest.mark.skipif(not PRETRAINED.is_dir(), reason=f"no published networks at {PRETRAINED}; set MAPKD_PRETRAINED")
def test_the_command_on_real_images(tmp_path, capsys):
    pytest.importorskip("ai_edge_litert", reason="needs the extra segment")
    source = next((NUSCENES / "samples" / "CAM_FRONT").glob("*n015-2018-07-24*"))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(source.read_bytes())
    networks = ("--twinlitenet", str(PRETRAINED / "twinlitenet_bdd100k.pth"), "--deeplab",
                str(PRETRAINED / "deeplab_mobilenet_edgetpu_slim_cityscapes_quant.tflite"))  # fmt: skip
    assert main(["masks", str(tmp_path / "images"), str(tmp_path / "masks"), *networks]) == 0
    assert "masks of 1 images" in capsys.readouterr().out
    surface = read_mask(tmp_path / "masks", image_key(source.read_bytes())).surface
    assert surface[340, 320] == ROAD and 0.3 < (surface == ROAD).mean() < 0.6
    assert main(["masks", str(tmp_path / "masks" / "none"), str(tmp_path / "masks"), *networks]) == 2
