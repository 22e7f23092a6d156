import numpy as np
import pytest
import torch
from real_data import NUSCENES, PRETRAINED, needs_nuscenes

from mapkd_core.data.images import decode
from mapkd_core.schema import FileFault
from mapkd_core.segmenters.twinlitenet import TwinLiteNet, load_twinlitenet

WEIGHTS = PRETRAINED / "twinlitenet_bdd100k.pth"


def test_probabilities_of_every_pixel():
    torch.manual_seed(0)
    network = TwinLiteNet().eval()
    with torch.inference_mode():
        for found in network(torch.rand(2, 3, 40, 64)):
            assert found.shape == (2, 40, 64) and 0 <= found.min() and found.max() <= 1


def test_position_attention_by_hand():
    torch.manual_seed(1)
    layer = TwinLiteNet().encoder.sa
    torch.nn.init.constant_(layer.gamma, 0.7)
    x = torch.randn(1, 32, 2, 3)
    query, key, value = (conv(x)[0].flatten(1) for conv in (layer.query_conv, layer.key_conv, layer.value_conv))
    expected = torch.empty(32, 6)
    for place in range(6):
        weights = torch.softmax(torch.stack([query[:, place] @ key[:, other] for other in range(6)]), 0)
        expected[:, place] = sum(w * value[:, other] for other, w in enumerate(weights))
    torch.testing.assert_close(layer(x)[0].flatten(1), 0.7 * expected + x[0].flatten(1))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_twinlitenet(tmp_path / "none.pth")
    torch.save({"module.encoder.level1.conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "no.pth").write_bytes(b"no weights")
    for name in ("other.pth", "no.pth"):
        with pytest.raises(FileFault, match="does not hold TwinLiteNet's published weights"):
            load_twinlitenet(tmp_path / name)


@needs_nuscenes
@pytest.mark.skipif(not WEIGHTS.exists(), reason=f"no published weights at {WEIGHTS}; set MAPKD_PRETRAINED")
def test_published_weights_see_a_street():
    """A wrong order of channels or a wrong norm gives noise: on this image lane and road were looked at."""
    import cv2

    image = decode(next((NUSCENES / "samples" / "CAM_FRONT").glob("*n015-2018-07-24*")).read_bytes())
    fitted = cv2.resize(image, (640, 360), interpolation=cv2.INTER_AREA)
    with torch.inference_mode():
        drivable, paint = load_twinlitenet(WEIGHTS)(torch.from_numpy(fitted).permute(2, 0, 1)[None].float() / 255)
    road, lane = (np.asarray(p[0] > 0.5) for p in (drivable, paint))
    assert 0.28 < road.mean() < 0.36 and 0.012 < lane.mean() < 0.025
    assert road[330, 320] and not road[:150].any()
    columns = np.nonzero(lane[300])[0]  # the line left of the middle, leaning towards the horizon
    above = np.nonzero(lane[240])[0]
    assert len(columns) and 250 < columns.min() < 340 and len(above)
