"""The streets benchmark scores the same network against maps, masks and simulation."""
from dataclasses import replace

import cv2
import numpy as np
import pytest
from noise_frames import noise_frames

from mapkd_core.commands.main import main
from mapkd_core.data.image_masks import MASK_SIZE, ImageMask, image_key, write_mask
from mapkd_core.data.images import JpegBytes


def stored(frames):
    """The frames with their images as JPEGs."""
    def jpeg(view):
        return JpegBytes(cv2.imencode(".jpg", view.image.rgb())[1].tobytes())

    return [replace(f, views=tuple(replace(v, image=jpeg(v)) for v in f.views)) for f in frames]


@pytest.fixture
def data(monkeypatch, tmp_path):
    frames = stored(noise_frames(2))
    rng = np.random.default_rng(1)
    (tmp_path / "masks").mkdir()
    for frame in frames:
        for view in frame.views:
            shape = MASK_SIZE[::-1]
            coarse = rng.integers(0, 3, (9, 16)).astype(np.uint8)
            surface = cv2.resize(coarse, MASK_SIZE, interpolation=cv2.INTER_NEAREST)
            mask = ImageMask(surface, *np.zeros((2, *shape), np.uint8))
            write_mask(tmp_path / "masks", image_key(view.image.jpeg()), mask)
    monkeypatch.setattr("mapkd_core.frame_sources.open_frames", lambda *a, **k: (frames, []))


def test_tables_of_one_network(tmp_path, data, capsys):
    out = tmp_path / "streets.md"
    words = ["--weights", "nano", "--data", "x", "--masks", str(tmp_path / "masks"), "--simulated", "y", "--limit", "1"]
    assert main(["benchmark", "streets", *words, "--align", "1,0,0", "--out", str(out)]) == 0
    text = out.read_text()
    assert text.strip() in capsys.readouterr().out
    for start in ("| nano | real | as it stands |", "| nano | real | aligned |", "| nano | simulated | aligned |"):
        assert start in text
    assert "## Against masks of the real images" in text and "| nano | t0 |" in text and "| nano | t1 |" in text
    assert out.with_suffix(".json").exists()


def test_refusals(tmp_path, data, capsys):
    for words, told in (
        (["--masks", str(tmp_path / "none")], "make the masks of these images with `mapkd masks`"),
        (["--align", "1,2"], "such as 2,1,1.5"),
    ):
        assert main(["benchmark", "streets", "--weights", "nano", "--data", "x", *words]) == 2
        assert told in capsys.readouterr().err
